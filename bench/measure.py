"""Two servers side by side, and the compiled load generator that measures them."""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from bench.rows import GIB, MIB, Row
from support.environment import ROOT, NotReady, tool
from support.openstack import OpenStack
from support.server import Server, Settings
from support.swift import wipe

PREFIX = "bench"
"""Of the names of containers."""
SECONDS = 900
"""No measurement takes a tenth of this."""
ARRIVAL = 180
"""Seconds in which all image records are in Glance, behind what pushed them."""

QUIET = {
    "berth": {"BERTH_HTTP_ACCESS_LOG": "false"},
    "docker-registry": {
        "REGISTRY_LOG_LEVEL": "error",
        "REGISTRY_LOG_ACCESSLOG_DISABLED": "true",
        "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory",
    },
}
QUIET["docker-registry-swift"] = QUIET["docker-registry"]
"""Neither server writes a log for each request; the peer has the cache that Debian configures."""


class LoadFailed(Exception):
    """The load generator could not finish: what it said."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one measurement found; seconds and bytes throughout."""

    seconds: float
    operations: int
    bytes: int
    p50: float
    p99: float
    server_cpu: float
    client_cpu: float
    machine_cpu: float
    idle_pss: int
    peak_pss: int
    peak_rss: int
    reconnects: int
    note: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what the load generator printed."""
        table = json.loads(text)
        return cls(**{each.name: table[each.name] for each in fields(cls)})

    @classmethod
    def plain(cls, seconds: float, operations: int, size: int) -> Self:
        """Answer what can be said of a client without a server of its own."""
        nothing = dict.fromkeys((each.name for each in fields(cls)), 0)
        told = {"seconds": seconds, "operations": operations, "bytes": size, "note": ""}
        return cls(**{**nothing, **told})  # type: ignore[arg-type]

    def rate(self, row: Row) -> float:
        """Answer the throughput in the row's unit."""
        return (self.bytes / MIB if row.counts_bytes else self.operations) / self.seconds

    def cpu(self, row: Row) -> float:
        """Answer the server's processor seconds for each GiB or for each operation."""
        return self.server_cpu / (self.bytes / GIB if row.counts_bytes else self.operations)

    @property
    def growth(self) -> int:
        """Bytes that the server's processes took over what they had before."""
        return self.peak_pss - self.idle_pss

    @property
    def others(self) -> float:
        """The share of the machine's processors that neither server nor client used, busy."""
        rest = self.machine_cpu - self.server_cpu - self.client_cpu
        return max(0.0, rest / (self.seconds * (os.cpu_count() or 1)))


class Generator:
    """The load generator of bench/load."""

    def __init__(self) -> None:
        self.path = ROOT / ".cache" / "bin" / "load"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        built = subprocess.run(  # noqa: S603
            [tool("go"), "build", "-buildvcs=false", "-o", str(self.path), "."],
            cwd=ROOT / "bench" / "load",
            env={**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOWORK": "off"},
            capture_output=True,
            check=False,
            text=True,
        )
        if built.returncode:
            raise NotReady(f"cannot build bench/load:\n{built.stderr}")

    def run(self, server: Server, *arguments: str, token: str = "") -> str:
        """Load *server* as *token*'s bearer; answer what was printed, or raise LoadFailed."""
        command = [
            str(self.path),
            f"-address={server.address}",
            f"-pid={server.process.pid}",
            *arguments,
        ]
        try:
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, check=False, text=True, timeout=SECONDS,
                env={**os.environ, "BENCH_TOKEN": token},
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"not done within {SECONDS} s") from error
        if done.returncode:
            raise LoadFailed(done.stderr.strip()[-500:])
        return done.stdout


class Side:
    """One of the two servers while it runs."""

    def __init__(self, server: Server, generator: Generator, token: str = "") -> None:
        """*token* says who pushes, where the server asks; then it sends records to Glance, too."""
        self.server = server
        self._generator = generator
        self._token = token
        self._digests: Mapping[str, str] = {}

    def seed(self, big_blob: int) -> None:
        """Push what reading rows read: an image and a blob of *big_blob* bytes (0: none)."""
        words = ["-do=seed", f"-size={big_blob}", *(["-repository=east/seed"] * bool(self._token))]
        text = self._generator.run(self.server, *words, token=self._token)
        self._digests = json.loads(text)

    def measure(self, row: Row, seed: int) -> Figures:
        """Run *row* once; the same *seed* sends the same bytes."""
        arguments = [each.format_map(self._digests) for each in row.arguments]
        writes = row.group in {"push", "cold", "image", "memory"}
        seeded = [f"-seed={seed}"] if writes else []
        arguments += seeded
        if row.before:
            self._generator.run(self.server, *row.before, *seeded, token=self._token)
            self.server.stop()
            self.server.restart()
        figures = Figures.parse(self._generator.run(self.server, *arguments, token=self._token))
        if self._token:
            self._await_records()
        return figures

    def _await_records(self) -> None:
        """Answer once Glance has all records, so that nobody else pays for their way there."""
        ledger = self.server.data / "ledger.db"
        end = time.monotonic() + ARRIVAL
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            while waiting := database.execute("SELECT count(*) FROM outbox").fetchone()[0]:
                if time.monotonic() > end:
                    raise LoadFailed(f"{waiting} records did not come to Glance")
                time.sleep(0.2)


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Yield a directory below .cache, as /tmp may be memory; removed afterwards."""
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=cache))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def clear(cloud: OpenStack, prefix: str) -> None:
    """Remove what a server left in Swift."""
    asyncio.run(wipe(cloud, prefix, containers=True))


@contextlib.contextmanager
def running(
    kinds: Mapping[str, str],
    workers: int,
    generator: Generator,
    cloud: OpenStack | None = None,
    *,
    projecting: bool = False,
) -> Iterator[dict[str, Side]]:
    """Yield started servers by their role, each on an empty directory; end and remove them.

    With a *cloud* their bytes lie in containers of its Swift, and ours sends records to its Glance
    if *projecting*: then it asks who pushes, as it must.
    """
    with workplace() as place, contextlib.ExitStack() as stack:
        sides = {}
        for role, kind in kinds.items():
            directory = place / role
            directory.mkdir()
            prefix = f"{PREFIX}-{role}-{uuid.uuid4().hex[:8]}"
            token = cloud.token("alice") if cloud and projecting and kind == "berth" else ""
            settings = Settings(
                workers=workers, environment=QUIET[kind], cloud=cloud, prefix=prefix,
                open=not token, extra="[glance]\nenabled = true" if token else "",
            )  # fmt: skip
            if cloud is not None:
                stack.callback(clear, cloud, prefix)
            server = Server(directory, settings, kind)
            server.start()
            stack.callback(server.stop)
            sides[role] = Side(server, generator, token)
        yield sides
