"""A real PostgreSQL from Debian's package, in a directory of its own."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.environment import NotReady, Process, free_port, temporary_directory

USER = "postgres"
"""Debian's package makes this user; the server refuses to run as root."""
DATABASE = "berth"


def programs() -> Path:
    """Answer the directory of the newest installed PostgreSQL's programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    if not found:
        raise NotReady("PostgreSQL is not on this machine; scripts/setup --tests installs it")
    return found[-1]


class Postgres:
    """A server that can be stopped, killed, put back to an earlier state, and started again.

    Nothing is synced to disk: no test cuts the power.
    """

    def __init__(self, directory: Path, *, durable: bool) -> None:
        """*durable*: what was committed outlives the server's being killed."""
        self.data = directory / "data"
        self._directory = directory
        self._port = free_port()
        self._user = USER if os.geteuid() == 0 else None
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": str(directory),
            "fsync": "off",
            "synchronous_commit": "on" if durable else "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        self._server: Process | None = None
        if self._user is not None:
            shutil.chown(directory, self._user, self._user)
        self.run(
            "initdb",
            *("--pgdata", str(self.data)),
            *("--username", "berth"),
            *("--auth", "trust"),
            *("--encoding", "UTF8"),
            *("--locale", "C"),
            "--no-sync",
        )

    def url(self, database: str = DATABASE) -> str:
        """SQLAlchemy's."""
        return f"postgresql+psycopg://berth@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        flags = [word for key, value in self._settings.items() for word in ("-c", f"{key}={value}")]
        command: list[str | Path] = [programs() / "postgres", "-D", self.data, *flags]
        log = self._directory / "log"
        self._server = Process(command, log, directory=self._directory, user=self._user)

        def ready() -> bool:
            probe: list[str | Path]
            probe = [programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self._port)]
            return subprocess.run(probe, check=False).returncode == 0

        self._server.wait_ready(ready)

    def stop(self) -> None:
        """End it in order; open sessions are ended ("fast shutdown", postgres(1)). Idempotent."""
        assert self._server is not None
        if self._server.status is None:
            self._server.signal(signal.SIGINT)
            self._server.wait()

    def kill(self) -> None:
        """End it and all its sessions with SIGKILL."""
        assert self._server is not None
        self._server.kill()

    def save(self, place: Path) -> None:
        """Copy all that it keeps to *place*, which is new; it does not run meanwhile."""
        self.stop()
        shutil.copytree(self.data, place)
        self.start()

    def put_back(self, place: Path) -> None:
        """Kill it, and start it with what ``save`` copied to *place*."""
        self.kill()
        shutil.rmtree(self.data)
        shutil.copytree(place, self.data)
        if self._user is not None:
            subprocess.run(["chown", "-R", self._user, self.data], check=True)
        self.start()

    def make(self, database: str, template: str | None = None) -> str:
        """A new database, empty or as *template* is, in which nobody may be; its URL."""
        like = () if template is None else (f"--template={template}",)
        self.run("createdb", *self._where(), *like, database)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Remove a database; sessions in it are ended."""
        self.run("dropdb", *self._where(), "--force", database)

    def rename(self, database: str, new: str) -> None:
        """Give a database another name; sessions in it are ended, and none begins meanwhile."""
        statements = (
            f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false',
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'",  # noqa: S608
            f'ALTER DATABASE "{database}" RENAME TO "{new}"',
            f'ALTER DATABASE "{new}" ALLOW_CONNECTIONS true',
        )
        words = [word for each in statements for word in ("--command", each)]
        self.run("psql", *self._where(), "--quiet", "--dbname=postgres", *words)

    def run(self, program: str, *words: str) -> None:
        """Run one of its programs."""
        subprocess.run(
            [programs() / program, *words],
            user=self._user,
            cwd=self._directory,
            check=True,
            capture_output=True,
        )

    def _where(self) -> tuple[str, ...]:
        return ("--host=127.0.0.1", f"--port={self._port}", "--username=berth")


@contextlib.contextmanager
def started_postgres(*, durable: bool = True) -> Iterator[Postgres]:
    """Yield a server with an empty database."""
    with temporary_directory("postgres") as directory:
        server = Postgres(directory, durable=durable)
        server.start()
        try:
            server.make(DATABASE)
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the SQLAlchemy URL of an empty database on a free loopback port."""
    with started_postgres(durable=False) as server:
        yield server.url()
