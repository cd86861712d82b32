"""An agent that is killed at its points, started again, and must come to the same end."""

import contextlib
import logging
import os
import signal
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from hostagent import attempt_steps, gray_steps, login_steps, points, set_steps
from hostagent.intake import take_set, take_tombstone
from hostagent.records import SetRow, Trouble
from hostagent.step import Step
from setspec.desired import (
    Deploy,
    DesiredSet,
    Level,
    RebuildDisk,
    Restart,
    SetPassword,
    Tombstone,
)
from setspec.normal import File, SecretRef
from sshd.password import hashed
from support.agents import Agent, changed, operated, placed, shop
from support.hostplaces import HostPlace, host_place

SECONDS = 120.0
_DONE, _FAILED = 0, 3
_ = (attempt_steps, gray_steps, login_steps, set_steps)  # the steps that there are


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that is asked of an agent: sets as they should be, or their end."""

    name: str
    sets: tuple[DesiredSet, ...]
    delete: bool = False


def kinds() -> list[type[Step]]:
    """Every kind of step, as the code has them."""
    found: list[type[Step]] = []
    waiting: list[type[Step]] = Step.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        is_named = getattr(sys.modules[kind.__module__], kind.__name__) is kind  # not made twice
        if is_named and not kind.__subclasses__() and kind.__module__.startswith("hostagent."):
            found.append(kind)
    return sorted(set(found), key=lambda kind: kind.name())


def all_points() -> set[str]:
    """Every point at which an agent can die."""
    return {point for kind in kinds() for point in kind.points()}


def story(sets: int = 1) -> list[Act]:
    """All that can be asked of a set, one after the other; of so many at once."""
    stories = [_story(octet) for octet in range(2, 2 + sets)]
    return [
        Act(name, tuple(each[place][1] for each in stories), delete=name == "delete")
        for place, (name, _) in enumerate(stories[0])
    ]


def _story(octet: int) -> list[tuple[str, DesiredSet]]:
    quick = {"exec": {"cmd": "/bin/true"}, "min_ready_s": 0}
    document = shop(
        {"mounts": [{"path": "/vol", "volume": "v"}]},
        {"readiness": quick},
        networks=[{"name": "default"}],
        volumes=[{"name": "v", "quota": "16Mi"}],
    )
    web, other = document["containers"]
    first = placed(document, octet=octet)
    files = (File(path="/etc/motd", content="hello\n"),)
    web |= {"image": "shop:2"}
    second = changed(first, document)
    other |= {"image": "bad:1", "readiness": {"min_ready_s": 1}}
    third = changed(second, document)
    other |= {"image": "shop:1", "mem": "48Mi", "readiness": quick}
    extra = {**web, "name": "c2", "index": 2, "mounts": []}
    document["ssh"] = {"container": "c1", "password": "correct horse"}
    fourth = changed(third, {**document, "containers": [web, other, extra]})
    fifth = changed(fourth, document)
    fresh = SetPassword(password=SecretRef(secret_ref="fresh"))  # noqa: S106
    secrets = (*fifth.secrets, ("fresh", hashed("another horse")))
    elsewhere = {name: what for name, what in document.items() if name != "ssh"}
    sixth = changed(fifth, {**elsewhere, "networks": [], "host_network": True})
    sixth = replace(sixth, allocation=replace(sixth.allocation, ports=()))
    seventh = changed(sixth, document)
    back = replace(seventh.allocation, ports=first.allocation.ports)
    seventh = replace(seventh, allocation=back)
    suspended = replace(seventh, level=Level.SUSPENDED)
    return [
        ("create", first),
        ("restart", operated(first, Restart(containers=("c1",)))[0]),
        ("deploy", operated(first, Deploy(container="c1", files=files))[0]),
        ("rebuild", operated(first, RebuildDisk(containers=("c1",)))[0]),
        ("gray update", second),
        ("rolled back", third),
        ("grow, and let in", fourth),
        ("shrink", fifth),
        ("another password", replace(operated(fifth, fresh)[0], secrets=secrets)),
        ("to the host's network", sixth),
        ("back to its own", seventh),
        ("suspend", suspended),
        ("resume", seventh),
        ("stop", replace(seventh, level=Level.STOPPED)),
        ("start", seventh),
        ("suspend again", suspended),
        ("delete", suspended),
    ]


@dataclass(frozen=True, slots=True)
class Result:
    """What an agent's life came to."""

    died: bool
    passed: tuple[str, ...]
    """Its points, in their order."""


def live(place: HostPlace, act: Act, deadly: str | None = None) -> Result:
    """Ask something of an agent in a process of its own; it dies at *deadly* if it comes there."""
    log = place.directory / "points"
    log.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        status = _FAILED
        try:
            handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

            def reach(point: str) -> None:
                os.write(handle, f"{point}\n".encode())
                if point == deadly:
                    os.kill(os.getpid(), signal.SIGKILL)

            points.listen(reach)
            _live(place, act)
            status = _DONE
        except BaseException:  # noqa: BLE001 - told, and the process ends in any case
            traceback.print_exc(file=sys.stderr)
        finally:
            os._exit(status)
    _, how = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(how)
    passed = tuple(log.read_text().split())
    assert code in {_DONE, -signal.SIGKILL}, f"{act.name}, to die at {deadly}: it failed"
    return Result(code == -signal.SIGKILL, passed)


def _live(place: HostPlace, act: Act) -> None:
    """One life of an agent, until nothing is left to do for any of its sets."""
    logging.disable(logging.CRITICAL)
    agent = Agent(place, start=False, held=True)
    for desired in act.sets:
        if act.delete:
            tombstone = Tombstone(set=desired.set, generation=desired.generation, purge=True)
            with contextlib.suppress(Exception):
                take_tombstone(agent.host, tombstone)
        else:
            take_set(agent.host, desired)
    if len(act.sets) == 1:
        _settle(agent, act.sets[0])
    else:
        with ThreadPoolExecutor(len(act.sets)) as workers:
            list(workers.map(partial(_settle, agent), act.sets))
    troubles = agent.host.store.rows(Trouble)
    assert not troubles, troubles
    assert bool(agent.host.store.rows(SetRow)) != act.delete


def _settle(agent: Agent, desired: DesiredSet) -> None:
    """Do all that there is to do for one set, as one worker."""
    end = time.monotonic() + SECONDS
    while True:
        left = agent.keeper.settle(desired.set)
        if left.wake_at is None:
            return
        assert time.monotonic() < end, f"it does not settle: {agent.host.store.rows(Trouble)}"
        time.sleep(min(max(left.wake_at - agent.host.now(), 0.01), 0.2))


def effects(place: HostPlace, desired: DesiredSet) -> Counter[str]:
    """What containers have done, as they say it themselves: beginnings and ends."""
    found: Counter[str] = Counter()
    for path in (place.state / "sets" / desired.set / "logs").glob("c*"):
        text = path.read_text()
        found[f"{path.name} began"] = text.count("run by")
        found[f"{path.name} ended"] = text.count("bye")
    return found


Undisturbed = dict[str, tuple[Result, Counter[str]]]
"""By act: what an agent passes that is left alone, and what containers have done then."""


def undisturbed() -> Undisturbed:
    """The story as it goes without a death."""
    found = {}
    with host_place() as place:
        for act in story():
            result = live(place, act)
            found[act.name] = (result, effects(place, act.sets[0]))
        assert not place.leftovers()
    return found


def deaths(known: Undisturbed, *, every: bool, sets: int = 1) -> Counter[str]:
    """Live the story, dying at points: at each once, or (*every*) at each in every act.

    With several *sets* all of them are worked on at once: where one of them comes to the point, the
    others are wherever they are.

    After a death the next life goes on from there, and dies at the next point. A point that it
    does not come to any more is tried first, in another place. Every act must end with the same
    effects as without a death, and the story with nothing left. Answers how often the agent has
    died at each point.
    """
    died: Counter[str] = Counter()
    todo: dict[str, list[str]] = {}
    planned: set[str] = set()
    for name, (result, _) in known.items():
        passed = list(dict.fromkeys(result.passed))
        todo[name] = [point for point in passed if every or point not in planned]
        planned |= set(passed)
    while any(todo.values()):
        with host_place() as place:
            for act in story(sets):
                left = todo[act.name]
                while left and live(place, act, left[0]).died:
                    died[left.pop(0)] += 1
                live(place, act)
                for desired in act.sets:
                    assert effects(place, desired) == known[act.name][1], (act.name, left)
            assert not place.leftovers(), place.leftovers()
    return died


def main() -> None:
    """The long form: at every point of every act, in the midst of three sets."""
    known = undisturbed()
    died = deaths(known, every=True, sets=3)
    print(f"died {died.total()} times, at {len(died)} points of {len(all_points())}")  # noqa: T201
    assert set(died) == all_points()


if __name__ == "__main__":
    main()
