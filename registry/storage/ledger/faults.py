"""What the drivers raise, in the registry's words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from registry.oci.errors import StorageFull, StorageUnavailable

_FULL: Final = {"53100"}
"""PostgreSQL's disk_full."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the drivers' exceptions into the registry's; a full disk keeps its own name.

    The detail names the kind of the failure only: messages of drivers hold values and addresses.
    """
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if _is_full(cause):
            raise StorageFull("the ledger's disk is full") from error
        raise StorageUnavailable(f"the ledger: {type(cause).__name__}") from error


def _is_full(cause: BaseException | None) -> bool:
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        return code == sqlite3.SQLITE_FULL
    return getattr(cause, "sqlstate", None) in _FULL
