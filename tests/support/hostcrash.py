"""An agent's images that die at a chosen point: forked, so that one start costs no imports.

Reads one JSON object a line, answers one: how the child ended. The points are not written by hand:
they are whatever changes tables or directories, each before and after.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostimages import content
from hostimages.cache import Cache
from hostimages.images import Images
from hostimages.settings import ImageSettings
from hostimages.shelf import Shelf

_READS = {"find", "origin", "config", "layers", "holders", "condemned", "pinned", "directory"}
_UNUSED = {"close", "partial", "spare", "add_origin"}
"""What changes nothing, or does not happen in the story."""


def places() -> dict[str, tuple[Any, str]]:
    """What is watched: its name, its owner, its name there."""
    found: dict[str, tuple[Any, str]] = {}
    for owner in (Cache, Shelf, content._Partial):
        for name in vars(owner):
            if name[0] != "_" and name not in _READS | _UNUSED and callable(getattr(owner, name)):
                found[f"{owner.__name__.strip('_')}.{name}"] = owner, name
    for name in ("make_opaque", "sync_file_system"):
        found[name] = content, name
    for unwatched in ("Partial.open", "Partial.read"):
        del found[unwatched]
    return found


def all_points() -> list[str]:
    """Every point there is."""
    return [f"{name}:{edge}" for name in places() for edge in ("before", "after")]


class Watcher:
    """Counts points in a file that outlives the process, and dies at the deadly one."""

    def __init__(self, log: Path, deadly: tuple[str, int] | None) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._deadly = deadly
        self._counts: Counter[str] = Counter()

    def say(self, word: str) -> None:
        os.write(self._log, f"{word}\n".encode())

    def reach(self, point: str) -> None:
        self._counts[point] += 1
        self.say(point)
        if self._deadly == (point, self._counts[point]):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        for name, (owner, attribute) in places().items():
            setattr(owner, attribute, self._between(name, getattr(owner, attribute)))

    def _between(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def around(*arguments: Any, **named: Any) -> Iterator[Any]:
            self.reach(f"{name}:before")
            with act(*arguments, **named) as given:
                yield given
            self.reach(f"{name}:after")

        def run(*arguments: Any, **named: Any) -> Any:
            self.reach(f"{name}:before")
            answer = act(*arguments, **named)
            self.reach(f"{name}:after")
            return answer

        return around if name == "Shelf.staging" else run


def plant(fault: str | None) -> None:
    """Spoil the code, to see that it is found."""
    if fault == "pins are not kept":
        look_up: Any = Cache.look_up

        def forgetful(self: Cache, set_id: str, *rest: Any) -> Any:
            answer = look_up(self, set_id, *rest)
            self.unpin(set_id)
            return answer

        setattr(Cache, "look_up", forgetful)  # noqa: B010


async def story(order: dict[str, Any], watcher: Watcher) -> None:
    """Two images that share a layer come; one goes again."""
    first, second = order["references"]
    async with Images.open(ImageSettings(directory=Path(order["cache"]))) as images:
        await images.ensure(first, set_id="kept", generation=1)
        watcher.say("told: first")
        await images.ensure(second, set_id="gone", generation=1)
        watcher.say("told: second")
        await images.unpin("gone")
        watcher.say("told: unpinned")
        await images.collect(everything=True)
        await images.empty_trash()


def carry_out(order: dict[str, Any]) -> None:
    """Tell the story under watch; never returns."""
    status = 1
    try:
        log = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for standard in (1, 2):
            os.dup2(log, standard)
        plant(order["planted"])
        watcher = Watcher(Path(order["log"]), (order["point"], 1) if order["point"] else None)
        watcher.watch()
        asyncio.run(story(order, watcher))
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            carry_out(order)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
