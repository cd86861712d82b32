"""The two databases that a ledger may lie in, chosen by URL."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from registry.oci.errors import StorageUnavailable
from registry.storage.ledger.postgresql import PostgresqlDatabase
from registry.storage.ledger.sqlite import SqliteDatabase

Database = SqliteDatabase | PostgresqlDatabase


def open_database(url: str, options: Mapping[str, Any] | None = None) -> Database:
    """Connect; raises StorageUnavailable. *options* are known to every connection."""
    try:
        name = make_url(url).get_backend_name()
    except ArgumentError:
        raise StorageUnavailable("ledger.url is no URL, such as sqlite:////path/l.db") from None
    if name == "sqlite":
        return SqliteDatabase(url, options or {})
    if name == "postgresql":
        return PostgresqlDatabase(url, options or {})
    raise StorageUnavailable(f"a ledger lies in SQLite or PostgreSQL, not in {name}")
