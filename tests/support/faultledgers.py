"""Ledgers that are killed, put back to an earlier state, or lost: SQLite's and PostgreSQL's."""

import asyncio
import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from registry.storage.ledger import SqlLedger
from support.ledgers import Template
from support.postgres import Postgres, started_postgres


class FileLedger:
    """In a file: whoever has it open must have let go before it is another."""

    def __init__(self, template: Template, path: Path) -> None:
        self._template = template
        self._path = path
        self.url = f"sqlite:///{path}"

    async def empty(self) -> None:
        """Be an empty one."""
        for name in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + name).unlink(missing_ok=True)
        await self._template.copy(self._path)


class ServerLedger:
    """A database of a server that may be killed; its sessions see what happens."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._name = f"ledger_{uuid.uuid4().hex[:12]}"
        self._saved: str | None = None
        self._aside: list[str] = []
        self.url = cluster.postgres.url(self._name)

    async def make(self) -> None:
        """Make it, empty."""
        await asyncio.to_thread(
            self._cluster.postgres.make, self._name, template=self._cluster.template
        )

    async def empty(self) -> None:
        """Be an empty one."""
        await asyncio.to_thread(self._set_aside)
        await self.make()

    async def kill(self, seconds: float) -> None:
        """End the server with SIGKILL; start it after so many *seconds*."""
        await asyncio.to_thread(self._cluster.postgres.kill)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(self._cluster.postgres.start)

    async def save(self) -> None:
        """Keep a copy of what it is now; its sessions are ended."""
        server, between = self._cluster.postgres, f"{self._name}_now"
        self._saved = f"{self._name}_saved"
        await asyncio.to_thread(server.rename, self._name, between)
        await asyncio.to_thread(server.make, self._saved, template=between)
        await asyncio.to_thread(server.rename, between, self._name)

    async def put_back(self) -> None:
        """Be what was saved."""
        assert self._saved is not None
        await asyncio.to_thread(self._set_aside)
        await asyncio.to_thread(self._cluster.postgres.rename, self._saved, self._name)
        self._saved = None

    async def drop(self) -> None:
        """Leave nothing."""
        for name in filter(None, [self._name, self._saved, *self._aside]):
            await asyncio.to_thread(self._cluster.postgres.drop, name)

    def _set_aside(self) -> None:
        lost = f"{self._name}_lost{len(self._aside)}"
        self._cluster.postgres.rename(self._name, lost)
        self._aside.append(lost)


class Cluster:
    """One PostgreSQL, for one schedule after the other."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.template = "template_berth"
        self._is_made = False

    async def ledger(self) -> ServerLedger:
        """A fresh one."""
        if not self._is_made:
            url = self.postgres.make(self.template)
            await (await SqlLedger.open(url)).close()
            self._is_made = True
        made = ServerLedger(self)
        await made.make()
        return made


@contextlib.contextmanager
def started_cluster() -> Iterator[Cluster]:
    """Yield a server that keeps, when it is killed, what was committed."""
    with started_postgres() as postgres:
        yield Cluster(postgres)
