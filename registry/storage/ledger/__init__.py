"""The Ledger on SQL: SQLite or PostgreSQL, by SQLAlchemy Core."""

from registry.storage.ledger.ledger import SqlLedger

__all__ = ["SqlLedger"]
