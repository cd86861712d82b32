"""The ledger on SQLite and on a real PostgreSQL: the port's promises, one process or two."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from contract.ledger_contract import LedgerContract
from registry.oci.errors import StorageUnavailable
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ledger.schema import metadata
from registry.storage.ports.ledger import Ledger
from support.ledgers import SHOES, Clock, Template


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    async def ledger(
        self, clock: Clock, template: Template, tmp_path: Path
    ) -> AsyncIterator[Ledger]:
        ledger = SqlLedger(await template.copy(tmp_path / "ledger.db"), clock=clock)
        yield ledger
        await ledger.close()


class TestOneOfTwoSqliteLedgers(LedgerContract):
    """Each call goes to the other one: what a second process sees."""

    @pytest.fixture
    async def ledger(
        self, clock: Clock, template: Template, tmp_path: Path
    ) -> AsyncIterator[Ledger]:
        url = await template.copy(tmp_path / "ledger.db")
        both = [SqlLedger(url, clock=clock) for _ in range(2)]
        yield Alternating(*both)
        for each in both:
            await each.close()


class TestPostgresqlLedger(LedgerContract):
    @pytest.fixture
    async def ledger(self, clock: Clock, schema_url: str) -> AsyncIterator[Ledger]:
        ledger = SqlLedger(schema_url, clock=clock)
        await ledger.migrate()
        yield ledger
        await ledger.close()


class Alternating(SqlLedger):
    def __init__(self, *ledgers: SqlLedger) -> None:
        self._ledgers = list(ledgers)

    def __getattribute__(self, name: str) -> object:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        ledgers = object.__getattribute__(self, "_ledgers")
        ledgers.append(ledgers.pop(0))
        return getattr(ledgers[0], name)


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


class TestMigrations:
    """What Alembic makes is what the schema says."""

    async def test_the_migrations_make_the_schema_on_sqlite(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/ledger.db"
        await (await SqlLedger.open(url)).close()
        with create_engine(url, poolclass=NullPool).connect() as connection:
            assert differences(connection) == []

    async def test_the_migrations_make_the_schema_on_postgresql(self, schema_url: str) -> None:
        await (await SqlLedger.open(schema_url)).close()
        with create_engine(schema_url, poolclass=NullPool).connect() as connection:
            assert differences(connection) == []

    async def test_a_ledger_of_a_later_release_is_refused(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/ledger.db"
        await (await SqlLedger.open(url)).close()
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StorageUnavailable, match="does not know"):
            await SqlLedger.open(url)


async def test_a_second_opening_in_one_process_keeps_the_firsts_locks(tmp_path: Path) -> None:
    """Else another process takes itself for the last one, and removes what the first still uses."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    first = await SqlLedger.open(url)
    await first.begin_upload(SHOES, "anna")
    waiting = (tmp_path / "ledger.db-wal").stat().st_ino
    second, collection = SqlLedger(url), SqlCollection(url)
    source = (
        "import asyncio, sys\n"
        "from registry.oci.names import RepositoryName\n"
        "from registry.storage.ledger import SqlLedger\n"
        "async def main():\n"
        "    ledger = await SqlLedger.open(sys.argv[1])\n"
        "    session = await ledger.begin_upload(RepositoryName('shoes', 'red/boots'), 'bert')\n"
        "    await ledger.close()\n"
        "    print(session.id)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", source, url]
    done = await anyio.run_process(command, check=True)
    other = done.stdout.decode().strip()
    for ledger in (first, second):
        assert (await ledger.find_upload(SHOES, other)).principal == "bert"
    assert (tmp_path / "ledger.db-wal").stat().st_ino == waiting, "what was written aside stays"
    mine = await first.begin_upload(SHOES, "anna")
    assert (await second.find_upload(SHOES, mine.id)).principal == "anna"
    await collection.close()
    for ledger in (first, second):
        await ledger.close()
