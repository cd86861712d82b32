"""SqlQuotas: the port Quotas, over the counters and the limits in a ledger."""

from collections.abc import Callable

from sqlalchemy import Connection, Table, text

from registry.limits import Limits
from registry.oci.names import RepositoryName
from registry.storage.changes import Change
from registry.storage.ledger import room, usage, writes
from registry.storage.ledger.apply import NOWHERE, Place, find_place
from registry.storage.ledger.database import Database
from registry.storage.ledger.lines import lock_project, write_line
from registry.storage.ledger.schema import blob, link, manifest, trash, upload
from registry.storage.ports.quota import Difference, Standing
from registry.storage.records import Position

_COUNTED: tuple[Table, ...] = (blob, link, manifest, trash, upload)


class SqlQuotas:
    """The Quotas of a SqlLedger."""

    def __init__(self, database: Database, now: Callable[[Connection], float]) -> None:
        self._database = database
        self._now = now

    async def standing(self, name: RepositoryName) -> Standing:
        def work(connection: Connection) -> Standing:
            if not name.path:
                whole = room.find_limits(connection, name.project)
                used = usage.find(connection, name, NOWHERE)
                return Standing(usage=used, limits=room.read(whole))
            place = find_place(connection, name) or Place(NOWHERE, None, None)
            used = usage.find(connection, name, place.id)
            return Standing(usage=used, limits=room.read(place.limits))

        return await self._database.read_aside(work)

    async def list_projects(self) -> list[str]:
        return await self._database.read_aside(usage.list_projects)

    async def set_limits(self, name: RepositoryName, limits: Limits) -> Position:
        def work(connection: Connection) -> Position:
            lock_project(connection, name.project)
            change = Change("limits", name, self._now(connection), limits=limits.spelt())
            writes.set_limits(connection, change)
            return write_line(connection, change)

        return await self._database.write(work)

    async def differences(self, *, mend: bool = False) -> list[Difference]:
        def work(connection: Connection) -> list[Difference]:
            if connection.dialect.name == "postgresql":  # SQLite's writers are alone anyway
                names = ", ".join(table.name for table in _COUNTED)
                connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))
            found = usage.differences(connection)
            if found and mend:
                usage.mend(connection)
            return found

        return await self._database.write(work)
