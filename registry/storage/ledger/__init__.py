"""The Ledger on SQL: SQLite or PostgreSQL, by SQLAlchemy Core."""
