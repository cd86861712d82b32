"""The tables' versions, by Alembic."""

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from registry.oci.errors import StorageUnavailable

LOCK: Final = 0x6265727468
"""The advisory lock under which PostgreSQL's tables are migrated."""
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME: Final = threading.Lock()
"""Alembic keeps its context in a module's globals."""


def versions(connection: Connection) -> tuple[str | None, str | None]:
    """Of the tables that are there, and of this release's."""
    present = MigrationContext.configure(connection).get_current_revision()
    return present, _scripts(Config()).get_current_head()


def _scripts(config: Config) -> ScriptDirectory:
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest version, inside the caller's transaction.

    Raises StorageUnavailable where they are of a version that is not known here.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    config = Config()
    newest = _scripts(config).get_current_head()
    present = MigrationContext.configure(connection).get_current_revision()
    if present == newest:
        return
    config.attributes["connection"] = connection
    try:
        with _ONE_AT_A_TIME:
            command.upgrade(config, "head")
    except CommandError:
        raise StorageUnavailable(
            f"the ledger's tables are of version {present}, which this release does not know; "
            "run the release that made them, or a newer one"
        ) from None
