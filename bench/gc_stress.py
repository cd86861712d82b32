#!/usr/bin/env python3
"""Collections every second, killed now and then, under pushes, deletions and pulls: is all there?

    .venv/bin/python bench/gc_stress.py [--seconds 600] [--storage directory|swift]
                                        [--ledger sqlite|postgresql] [--grace 0.2] [--clients 4]
                                        [--kill-every 13]

Clients push images of shared layers, move and delete their tags, and hold every answer against
what was acknowledged to them; skopeo does so too, with a real image. A collector in a process of
its own collects every second with next to no grace, but for quiet windows in between, and is killed
with SIGKILL now and then. Manifest PUTs are timed in both; with ``--kill-every 0`` no start of a
collector takes a processor from them. The last line is
``gc_stress: pushed=N collected=N lost=N``; the exit status is 0 if nothing was lost.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where registry.py would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

import httpx  # noqa: E402 - needs the line above

from bench.gc_load import Client, Tally, Unexpected, time_puts  # noqa: E402
from bench.measure import workplace  # noqa: E402
from support.clients import ClientFailed, Skopeo  # noqa: E402
from support.images import Layout, small_images  # noqa: E402
from support.openstack import running_cloud  # noqa: E402
from support.postgres import running_postgres  # noqa: E402
from support.server import Server, Settings  # noqa: E402

WINDOW = 20.0
"""Seconds; a quarter of each is quiet."""
TOLD = 60.0
"""Seconds after which a line tells how far it is."""
TOKEN = 200.0
"""Seconds for which a token is used."""


class Collector:
    """bench/gc_collector.py, again and again."""

    def __init__(self, server: Server, grace: float) -> None:
        config = server.directory / "berth.toml"
        self._command = [sys.executable, str(ROOT / "bench" / "gc_collector.py"), str(config)]
        self._command.append(str(grace))
        self._environment = {**os.environ, **server.variables}
        self._process: asyncio.subprocess.Process | None = None
        self.kills = self.objects = self.bytes = 0
        self.seconds: list[float] = []
        """Of each whole run."""
        self.errors: list[str] = []

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        await self._answer()

    async def collect(self, kill_after: float | None = None) -> dict[str, Any]:
        """Once; or begin one and kill it so many seconds later."""
        if self._process is None:
            await self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(b"\n")
        await process.stdin.drain()
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            process.kill()
            await process.wait()
            self._process = None
            self.kills += 1
            return {}
        told = await self._answer()
        if "error" in told:
            self.errors.append(str(told["error"]))
            return {}
        self.seconds.append(float(told["seconds"]))
        self.objects += int(told["objects"])
        self.bytes += int(told["blobs_bytes"])
        return told

    async def stop(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()

    async def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 120)
        if not line:
            raise Unexpected("the collector ended by itself")
        return dict(json.loads(line))


async def collect_on(collector: Collector, tally: Tally, until: float, kill_every: float) -> None:
    """Every second, but for the quiet windows; killed now and then."""
    chance = random.Random(1)  # noqa: S311 - no secret
    began, killed = time.monotonic(), time.monotonic()
    while time.monotonic() < until:
        tally.collecting = (time.monotonic() - began) % WINDOW > WINDOW / 4
        if tally.collecting:
            dies = 0 < kill_every < time.monotonic() - killed
            killed = time.monotonic() if dies else killed
            await collector.collect(chance.uniform(0, 0.2) if dies else None)
        await asyncio.sleep(1 - time.monotonic() % 1)


async def tell_on(tally: Tally, collector: Collector, until: float) -> None:
    """How far it is, every minute, to whoever waits."""
    while (left := until - time.monotonic()) > TOLD:
        await asyncio.sleep(TOLD)
        counts = f"pushed {tally.pushed}, collected {collector.objects}, lost {len(tally.lost)}"
        sys.stderr.write(f"{counts}; {left - TOLD:.0f} s left\n")


async def copy_on(server: Server, repository: str, directory: Path, tally: Tally, until: float,
                  layout: Layout) -> None:  # fmt: skip
    """A real client with a real image: pushed, pulled, deleted."""
    skopeo = Skopeo(directory)
    if server.account is not None:
        await asyncio.to_thread(skopeo.login, server.address, server.account)
    number = 0
    while time.monotonic() < until:
        number += 1
        there = f"{server.address}/{repository}:skopeo"
        try:
            await asyncio.to_thread(skopeo.push, layout, there)
        except ClientFailed as error:
            if "unknown" not in str(error):
                raise
            tally.retried += 1
            continue
        tally.pushed += 1
        pulled = directory / f"pulled-{number}"
        try:
            await asyncio.to_thread(skopeo.pull, there, pulled)
        except ClientFailed as error:
            tally.lost.append(f"skopeo: {error}")
        shutil.rmtree(pulled, ignore_errors=True)
        with contextlib.suppress(ClientFailed):
            await asyncio.to_thread(skopeo.run, "delete", "--tls-verify=false", f"docker://{there}")


async def sign_in(http: httpx.AsyncClient, server: Server, repositories: list[str]) -> None:
    """A fresh token before the last one ends."""
    if server.account is None:
        return
    scopes = [f"repository:{each}:pull,push,delete" for each in repositories]
    answer = await http.get(
        "/auth/token", params={"service": "berth", "scope": scopes}, auth=server.account.pair
    )
    answer.raise_for_status()
    http.headers["Authorization"] = f"Bearer {answer.json()['token']}"


async def keep_signed_in(http: httpx.AsyncClient, server: Server, repositories: list[str]) -> None:
    """For as long as this is not cancelled."""
    while True:
        await asyncio.sleep(TOKEN)
        await sign_in(http, server, repositories)


async def stress(server: Server, project: str, asked: argparse.Namespace, place: Path) -> int:
    """All of it; answers the exit status."""
    tally, collector = Tally(), Collector(server, asked.grace)
    repositories = [f"{project}/stress-{number}" for number in range(2)]
    layout = small_images().image
    limits = httpx.Limits(max_connections=asked.clients + 4)
    async with httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http:
        await sign_in(http, server, repositories)
        signing = asyncio.create_task(keep_signed_in(http, server, repositories))
        clients = [Client(http, tally, n, repositories) for n in range(asked.clients)]
        measured = Client(http, tally, 1000, repositories)
        await collector.start()
        until = time.monotonic() + asked.seconds
        try:
            async with asyncio.TaskGroup() as group:
                for each in clients:
                    group.create_task(each.live(until))
                group.create_task(time_puts(measured, tally, repositories[0], until))
                group.create_task(collect_on(collector, tally, until, asked.kill_every))
                group.create_task(copy_on(server, repositories[1], place, tally, until, layout))
                group.create_task(tell_on(tally, collector, until))
            # Nobody pushes any more: whatever is garbage goes, and nothing else.
            for _ in range(4):
                await asyncio.sleep(asked.grace + 0.1)
                await collector.collect()
            for each in (*clients, measured):
                await each.verify_all()
        finally:
            signing.cancel()
            await collector.stop()
    tell(tally, collector)
    return 1 if tally.lost else 0


def tell(tally: Tally, collector: Collector) -> None:
    """What came of it."""
    quiet, busy = (percentiles(tally.seconds[mode]) for mode in (False, True))
    lines = [f"lost: {line}" for line in tally.lost[:20]]
    lines += [f"not collected: {line}" for line in sorted(set(collector.errors))[:5]]
    middle, high, count = percentiles(collector.seconds)
    lines += [
        f"collections {count}, killed {collector.kills}, of {collector.bytes} bytes",
        f"collection: p50 {middle:.2f} s, p99 {high:.2f} s",
        f"deleted {tally.deleted}, verified {tally.verified}, begun anew {tally.retried}",
    ]
    for name, (middle, high, count) in (("quiet", quiet), ("collecting", busy)):
        told = f"p50 {middle * 1000:.1f} ms, p99 {high * 1000:.1f} ms"
        lines.append(f"manifest PUT {name}: {told}, of {count}")
    if quiet[1]:
        lines.append(f"manifest PUT p99 ratio {busy[1] / quiet[1]:.2f}")
    counts = f"pushed={tally.pushed} collected={collector.objects} lost={len(tally.lost)}"
    sys.stdout.writelines(f"{line}\n" for line in [*lines, f"gc_stress: {counts}"])


def percentiles(seconds: list[float]) -> tuple[float, float, int]:
    """The middle one, the 99th of a hundred, and how many."""
    ordered = sorted(seconds)
    if not ordered:
        return 0.0, 0.0, 0
    return ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], len(ordered)


@contextlib.contextmanager
def started(asked: argparse.Namespace, directory: Path) -> Iterator[tuple[Server, str]]:
    """A server as asked for, and a project in it."""
    with contextlib.ExitStack() as stack:
        cloud = stack.enter_context(running_cloud()) if asked.storage == "swift" else None
        url = stack.enter_context(running_postgres()) if asked.ledger == "postgresql" else None
        settings = Settings(
            workers=2,
            cloud=cloud,
            ledger=url,
            prefix=f"stress-{uuid.uuid4().hex[:8]}",
            http={"access_log": False},
            extra="[gc]\nevery_minutes = 0\n",
        )
        server = Server(directory, settings)
        server.start()
        stack.callback(server.stop)
        yield server, "library" if cloud is None else cloud.users["alice"].project


def main(words: list[str] | None = None) -> int:
    """Read the command line, run, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--storage", choices=["directory", "swift"], default="directory")
    parser.add_argument("--ledger", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--grace", type=float, default=0.2, help="seconds of every term")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument(
        "--kill-every", type=float, default=13, metavar="SECONDS", help="the collector; 0: never"
    )
    asked = parser.parse_args(words)
    with workplace() as place, started(asked, place) as (server, project):
        return asyncio.run(stress(server, project, asked, place))


if __name__ == "__main__":
    sys.exit(main())
