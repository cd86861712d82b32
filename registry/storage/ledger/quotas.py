"""SqlQuotas: the port Quotas, over the counters and the limits in a ledger."""

from collections.abc import Callable

from sqlalchemy import Connection, Table, select, text

from registry.oci.names import RepositoryName
from registry.storage.changes import Change
from registry.storage.ledger import room, usage, writes
from registry.storage.ledger.apply import Place, find_place
from registry.storage.ledger.database import Database
from registry.storage.ledger.schema import blob, link, manifest, project, trash, upload
from registry.storage.quota import Allowance, Difference, Limits, Standing
from registry.storage.records import Position

_COUNTED: tuple[Table, ...] = (blob, link, manifest, trash, upload)


class SqlQuotas:
    """The Quotas of a SqlLedger."""

    def __init__(self, database: Database, now: Callable[[Connection], float]) -> None:
        self._database = database
        self._now = now

    async def standing(self, name: RepositoryName) -> Standing:
        def work(connection: Connection) -> Standing:
            place = _find(connection, name)
            here = place.id if name.path and place is not None else None
            said = None if place is None else place.limits if name.path else place.whole
            return Standing(usage=usage.find(connection, name, here), limits=room.read(said))

        return await self._database.read_aside(work)

    async def is_bounded(self, name: RepositoryName, allowance: Allowance) -> bool:
        def work(connection: Connection) -> bool:
            place = _find(connection, name)
            return place is not None and room.bounds(name, place, allowance) is not None

        return await self._database.read(work)

    async def list_projects(self) -> list[str]:
        return await self._database.read_aside(usage.list_projects)

    async def set_limits(self, name: RepositoryName, limits: Limits) -> Position:
        def work(connection: Connection) -> Position:
            writes.lock_project(connection, name.project)
            change = Change("limits", name, self._now(connection), limits=limits.spelt())
            writes.set_limits(connection, change)
            return writes.write_line(connection, change)

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


def _find(connection: Connection, name: RepositoryName) -> Place | None:
    """The place of a repository that may not be there, or of a project."""
    if name.path:
        found = find_place(connection, name)
        if found is not None:
            return found
    query = select(project.c.limits).where(project.c.id == name.project)
    return Place(-1, None, connection.execute(query).scalar())
