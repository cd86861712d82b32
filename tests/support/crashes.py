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
from support.crashscenario import Day, Step, Story, client, steps, whole_story
from support.environment import ROOT, free_port, listens, wait_until
from support.faultpoints import hits
from support.server import Settings, berth_toml

BOUNDED = "[quota]\nbytes = 1_000_000_000\n"
"""So that room is kept for uploads."""
MORNING, EVENING = "morning", "evening"
"""What data a day begins with, and what one without a death leaves."""


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
        self.data = directory / "data"
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
        copied.bring(self.data)
        return copied

    def bring(self, data: Path) -> None:
        """Begin with a copy of *data*."""
        shutil.copytree(data, self.data)

    def lose_ledger(self) -> None:
        for path in self.data.glob("ledger*"):
            path.unlink()

    def rebuild(self) -> None:
        """Make the ledger anew; where no store was founded yet there is nothing to make it of."""
        founded = is_founded(self.data)
        assert (self.run(rebuild=True).wait() == 0) is founded, self.output()


def seed(data: Path) -> None:
    """Data of long ago: a key, which the server drops."""
    data.mkdir(parents=True)

    async def work() -> None:
        ledger = SqlLedger(f"sqlite:///{data}/ledger.db", clock=lambda: 0.0)
        await ledger.migrate()
        await ledger.store_key("ancient", ancient_key())
        await ledger.close()

    asyncio.run(work())


@dataclass(frozen=True, slots=True)
class Run:
    """What one run found."""

    died: bool
    complaint: str | None


def rehearse(directory: Path, forks: ForkServer, planted: str | None) -> Run:
    """Live one day without a death; from what it begins with and leaves, the others begin."""
    seed(directory / MORNING)
    place = Place(directory / "first", forks, planted)
    place.bring(directory / MORNING)
    return _judged(place, lambda: _play_day(place, None, keep=directory / EVENING))


def play(
    rehearsed: Path, directory: Path, forks: ForkServer, death: Death, planted: str | None
) -> Run:
    """Live one day and die in it, or in the rebuild after it; hold the registry to its word.

    *rehearsed* is the directory of a day without a death. What a rebuild begins with is the same
    after each such day: it is taken from there.
    """
    place = Place(directory / "first", forks, planted)
    place.bring(rehearsed / (EVENING if death.rebuild else MORNING))
    if death.rebuild:
        return _judged(place, lambda: _play_rebuild(place, whole_story(), death, tend=True))
    return _judged(place, lambda: _play_day(place, death))


def _judged(place: Place, work: Callable[[], bool]) -> Run:
    """Do *work*, which answers whether somebody died; what it holds against the registry."""
    try:
        return Run(work(), None)
    except (AssertionError, httpx.TransportError) as error:
        return Run(died=True, complaint=f"{type(error).__name__}: {error}\n{place.output()}")


def _play_day(place: Place, death: Death | None, keep: Path | None = None) -> bool:
    """Live one day and die in it; hold the registry to its word, then live the day to its end.

    The same is done without the ledger, as if it had been lost in that moment. What the day leaves
    is copied to *keep*.
    """
    story = Story()
    todo = steps()
    serving = place.serve(death)
    memory: dict[str, str] = {}
    try:
        if not serving.ended:
            _live(place, serving, story, todo, memory)
        ended = serving.stop()
        shutil.copyfile(place.points(rebuild=False), place.directory / "lived")
        died = ended == -signal.SIGKILL
        if died:
            _hold_without_ledger(place.copy(place.directory.with_name("lost")), story)
        else:
            assert ended in {0, -signal.SIGTERM}, place.output()
        serving = place.must_serve()
        with client(place.url) as http:
            story.check(http, ledger_lost=False)
            if todo:
                _live(place, serving, story, todo, memory)
                assert not serving.ended, place.output()
                story.check(http, ledger_lost=False)
    finally:
        serving.stop(signal.SIGKILL)
    if keep is not None:
        shutil.copytree(place.data, keep)
    # A rebuild that nobody dies in has been tended at the rehearsal.
    _play_rebuild(place, story, None, tend=keep is not None)
    return died


def _play_rebuild(place: Place, story: Story, death: Death | None, *, tend: bool) -> bool:
    """Lose the ledger after a day, die in the rebuild, and hold the registry to its word."""
    place.lose_ledger()
    status = place.run(death, rebuild=True, tend=tend).wait()
    died = status == -signal.SIGKILL
    if died:
        place.rebuild()
    else:
        assert status == 0, place.output()
    _hold_rebuilt(place, story)
    return died


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
                serving.wait()
                return
            story.acknowledge(todo.pop(0))


def _hold_without_ledger(place: Place, story: Story) -> None:
    """Lose the ledger, rebuild it, and look whether what is promised then is there."""
    if not (place.data / "journal").exists():
        return
    place.lose_ledger()
    place.rebuild()
    _hold_rebuilt(place, story)


def _hold_rebuilt(place: Place, story: Story) -> None:
    serving = place.must_serve()
    try:
        with client(place.url) as http:
            story.check(http, ledger_lost=True)
    finally:
        serving.stop(signal.SIGKILL)


def hits_of(directory: Path, *, rebuild: bool) -> Counter[str]:
    """How often each point was reached where a death may be: in the first server's life."""
    return hits(directory / "first" / ("rebuild" if rebuild else "lived"))
