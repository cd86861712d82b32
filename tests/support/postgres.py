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


def programs() -> Path:
    """Answer the directory of the newest installed PostgreSQL's programs."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name)
    )
    if not found:
        raise NotReady("PostgreSQL is not on this machine; scripts/setup --tests installs it")
    return found[-1]


@contextlib.contextmanager
def running_postgres() -> Iterator[str]:
    """Yield the SQLAlchemy URL of an empty database on a free loopback port.

    Nothing is synced to disk: the tests look at what is written, not at what outlives a power cut.
    """
    user = USER if os.geteuid() == 0 else None
    with temporary_directory("postgres") as directory:
        data = directory / "data"
        if user is not None:
            shutil.chown(directory, user, user)
        subprocess.run(
            [
                programs() / "initdb",
                *("--pgdata", data),
                *("--username", "berth"),
                *("--auth", "trust"),
                *("--encoding", "UTF8"),
                *("--locale", "C"),
                "--no-sync",
            ],
            user=user,
            cwd=directory,
            check=True,
            capture_output=True,
        )
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": str(directory),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        log = directory / "log"
        server = Process(
            [programs() / "postgres", "-D", data, *flags], log, directory=directory, user=user
        )

        def ready() -> bool:
            probe: list[str | Path]
            probe = [programs() / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            return subprocess.run(probe, check=False).returncode == 0

        try:
            server.wait_ready(ready)
            subprocess.run(
                [
                    programs() / "createdb",
                    *("--host", "127.0.0.1"),
                    *("--port", str(port)),
                    *("--username", "berth"),
                    "berth",
                ],
                check=True,
                capture_output=True,
            )
            yield f"postgresql+psycopg://berth@127.0.0.1:{port}/berth"
        finally:
            # "Fast shutdown": open sessions are ended (postgres(1)).
            if server.status is None:
                server.signal(signal.SIGINT)
                server.wait()
