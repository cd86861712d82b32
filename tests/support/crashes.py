"""One run of the day with a death in it, and what is held against the registry afterwards."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from registry.storage.ledger import SqlLedger
from registry.storage.store_file import is_founded
from support.crashscenario import Day, Step, Story, client, steps
from support.environment import ROOT, free_port, listens, wait_until
from support.faultpoints import hits
from support.server import Settings, berth_toml

BOUNDED = "[quota]\nbytes = 1_000_000_000\n"
"""So that room is kept for uploads."""


def ancient_key() -> bytes:
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@dataclass(frozen=True, slots=True)
class Death:
    """Where and when to die: at the n-th time, from 1, that *point* is reached."""

    point: str
    time: int
    rebuild: bool = False
    """Whether in `berth rebuild` rather than in the server."""

    def __str__(self) -> str:
        return f"{self.point} #{self.time}{' of a rebuild' if self.rebuild else ''}"


class ForkServer:
    """A process with everything imported, which forks a server for each order."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.crashserver"],
            cwd=ROOT / "tests",
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def start(self, order: dict[str, Any]) -> "Child":
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Child(self._answer()["pid"], self._answer)

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))


class Child:
    """A forked server or rebuild; its status comes once."""

    def __init__(self, pid: int, answer: Callable[[], dict[str, int]]) -> None:
        self.pid = pid
        self._status: int | None = None
        self._waiting = threading.Thread(target=self._wait, args=[answer])
        self._waiting.start()

    def _wait(self, answer: Callable[[], dict[str, int]]) -> None:
        self._status = answer()["status"]

    @property
    def ended(self) -> bool:
        return not self._waiting.is_alive()

    def wait(self) -> int:
        self._waiting.join(60)
        assert self._status is not None, "it did not end"
        return self._status

    def tell(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it as an operator would, unless told to be rude."""
        self.tell(how)
        return self.wait()


class Place:
    """A data directory with its configuration, and the runs in it."""

    def __init__(
        self, directory: Path, forks: ForkServer, planted: str | None, lease: float | None = None
    ) -> None:
        """*lease* is that of writers, in seconds, if not the server's own."""
        directory.mkdir(parents=True)
        self.directory = directory
        self._forks = forks
        self._planted = planted
        self._lease = lease
        self.address = "127.0.0.1", free_port()
        address = "{}:{}".format(*self.address)
        self.url = f"http://{address}"
        toml = berth_toml(directory, address, Settings(auth=True, extra=BOUNDED))
        toml = toml.replace('alice = "member"', 'alice = "manager"')
        toml = toml.replace("[http]", "[http]\naccess_log = false")
        (directory / "berth.toml").write_text(toml)

    def run(
        self, death: Death | None = None, *, rebuild: bool = False, tend: bool = False
    ) -> Child:
        """Serve, or *rebuild*; then *tend* the store as its commands do."""
        if death is not None and death.rebuild != rebuild:
            death = None
        return self._forks.start(
            {
                "config": str(self.directory / "berth.toml"),
                "output": str(self.directory / "output"),
                "log": str(self.points(rebuild=rebuild)),
                "point": death.point if death else None,
                "time": death.time if death else 0,
                "planted": self._planted,
                "lease": self._lease,
                "rebuild": rebuild,
                "tend": tend,
            }
        )

    def points(self, *, rebuild: bool) -> Path:
        """The file that counts the points of all servers, or of all rebuilds, here."""
        return self.directory / ("rebuild" if rebuild else "serve")

    def serve(self, death: Death | None = None) -> Child:
        """Start; answers once it serves, or has died."""
        child = self.run(death)
        wait_until(lambda: child.ended or listens(self.address), "the server", poll=0.01)
        return child

    def must_serve(self) -> Child:
        child = self.serve()
        assert not child.ended, self.output()
        return child

    def output(self) -> str:
        return (self.directory / "output").read_text()[-3000:]

    def copy(self, directory: Path) -> "Place":
        """The same data at another place, under another address."""
        copied = Place(directory, self._forks, self._planted)
        shutil.copytree(self.directory / "data", directory / "data")
        return copied

    def lose_ledger(self) -> None:
        for path in (self.directory / "data").glob("ledger*"):
            path.unlink()

    def rebuild(self) -> None:
        """Make the ledger anew; where no store was founded yet there is nothing to make it of."""
        founded = is_founded(self.directory / "data")
        assert (self.run(rebuild=True).wait() == 0) is founded, self.output()

    def seed(self) -> None:
        """A key of long ago, which the server drops."""
        (self.directory / "data").mkdir()

        async def work() -> None:
            url = f"sqlite:///{self.directory}/data/ledger.db"
            ledger = SqlLedger(url, clock=lambda: 0.0)
            await ledger.migrate()
            await ledger.store_key("ancient", ancient_key())
            await ledger.close()

        asyncio.run(work())


@dataclass(frozen=True, slots=True)
class Run:
    """What one run found."""

    died: bool
    complaint: str | None


def play(directory: Path, forks: ForkServer, death: Death | None, planted: str | None) -> Run:
    """Live one day and die in it; hold the registry to its word, then live the day to its end.

    The same is done without the ledger, as if it had been lost in that moment.
    """
    place = Place(directory / "first", forks, planted)
    place.seed()
    story = Story()
    todo = steps()
    serving = place.serve(death)
    memory: dict[str, str] = {}
    try:
        if not serving.ended:
            _live(place, serving, story, todo, memory)
        ended = serving.stop()
        shutil.copyfile(place.points(rebuild=False), directory / "first" / "lived")
        died = ended == -signal.SIGKILL
        if died:
            _hold_without_ledger(place.copy(directory / "lost"), story)
        else:
            assert ended in {0, -signal.SIGTERM}, place.output()
        serving = place.must_serve()
        with client(place.url) as http:
            story.check(http, ledger_lost=False)
        if todo:
            _live(place, serving, story, todo, memory)
            assert not serving.ended, place.output()
            with client(place.url) as http:
                story.check(http, ledger_lost=False)
        serving.stop(signal.SIGKILL)
        place.lose_ledger()
        tends = death is None or death.rebuild  # else it has been lived through already
        status = place.run(death, rebuild=True, tend=tends).wait()
        if status == -signal.SIGKILL:
            died = True
            place.rebuild()
        else:
            assert status == 0, place.output()
        serving = place.must_serve()
        with client(place.url) as http:
            story.check(http, ledger_lost=True)
    except (AssertionError, httpx.TransportError) as error:
        complaint = f"{type(error).__name__}: {error}\n{place.output()}"
        return Run(died=True, complaint=complaint)
    finally:
        serving.stop(signal.SIGKILL)
    return Run(died, None)


def _live(
    place: Place, serving: Child, story: Story, todo: list[Step], memory: dict[str, str]
) -> None:
    """Take steps until none is left or the server has died."""
    with client(place.url) as http:
        day = Day(http, memory)
        while todo:
            story.open = todo[0]
            try:
                todo[0].work(day)
            except httpx.TransportError:
                wait_until(lambda: serving.ended, "the server's end")
                return
            story.acknowledge(todo.pop(0))


def _hold_without_ledger(place: Place, story: Story) -> None:
    """Lose the ledger, rebuild it, and look whether what is promised then is there."""
    if not (place.directory / "data" / "journal").exists():
        return
    place.lose_ledger()
    place.rebuild()
    serving = place.must_serve()
    try:
        with client(place.url) as http:
            story.check(http, ledger_lost=True)
    finally:
        serving.stop(signal.SIGKILL)


def hits_of(directory: Path, *, rebuild: bool) -> Counter[str]:
    """How often each point was reached where a death may be: in the first server's life."""
    return hits(directory / "first" / ("rebuild" if rebuild else "lived"))
