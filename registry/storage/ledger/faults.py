"""What the drivers raise, in the registry's words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from registry.oci.errors import StorageFull, StorageUnavailable

_FULL: Final = {"53100"}
"""PostgreSQL's disk_full."""
_CLOSED: Final = "its file cannot be opened and written: run this as the user who serves it"
_ANEW: Final = "put it away, and `berth rebuild` makes it anew"
_ADVICE: Final = {
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_READONLY: _CLOSED,
    sqlite3.SQLITE_IOERR: "its file or disk fails: see ledger.url and the kernel's log",
    sqlite3.SQLITE_NOTADB: f"its file is no SQLite database; if ledger.url is right, {_ANEW}",
    sqlite3.SQLITE_CORRUPT: f"its file is damaged; {_ANEW}",
}


@contextmanager
def translated() -> Iterator[None]:
    """Turn the drivers' exceptions into the registry's; a full disk keeps its own name.

    The detail names the kind of the failure, or what to do about it, and nothing else: messages of
    drivers hold values and addresses.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if _is_full(cause):
            raise StorageFull("the ledger's disk is full") from error
        advice = _ADVICE.get(_sqlite_code(cause), type(cause).__name__)
        raise StorageUnavailable(f"the ledger: {advice}") from error


def _sqlite_code(cause: BaseException | None) -> int:
    """SQLite's primary result code (sqlite.org/rescode.html); 0 where it was not SQLite."""
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF


def _is_full(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        return _sqlite_code(cause) == sqlite3.SQLITE_FULL
    return getattr(cause, "sqlstate", None) in _FULL
