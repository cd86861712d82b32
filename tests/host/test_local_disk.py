import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from hostagent import volume_routes
from hostagent.allowed import holders
from hostagent.describe import describe
from hostagent.errors import Conflict, NotHere, Refused
from hostagent.intake import take_set
from hostagent.records import OperationState, Trouble
from runspec.bundle import program
from setspec.desired import DesiredSet, Level, Restart
from setspec.normal import Exec
from support.agents import Agent, at, changed, operated, placed, running_agent, shop, stays
from support.environment import wait_until
from support.hostplaces import HostPlace
from support.localdisk import MIB
from volumes.mounts import devices_of, unmount

SLEEP = {"command": {"cmd": "/bin/sleep", "args": ["1000"]}, "stop": {"grace_s": 0}}
SMALL = {**SLEEP, "limits": {"writable": "24Mi"}}


@pytest.fixture
def agent(place: HostPlace) -> Iterator[Agent]:
    """An agent that holds limits: a pool for writable layers, loop images for volumes."""
    with running_agent(place, held=True) as started:
        yield started


def run(agent: Agent, desired: DesiredSet, words: str) -> tuple[int | None, str]:
    """Run a line in the set's first container; how it ended, and what it said."""
    attempt = agent.current(desired, "c0")
    told = program(agent.host.process(attempt), Exec(cmd="/bin/sh", args=("-c", words)))
    ended = agent.host.runtime.run(attempt.id, told, 120)
    return ended.code, ended.output.decode("utf-8", "replace")


def with_volume(*, volume: dict[str, Any], path: str = "/vol") -> DesiredSet:
    mounted = {**SLEEP, "mounts": [{"path": path, "volume": "v"}]}
    return placed(shop(mounted, volumes=[{"name": "v", **volume}]))


def test_a_container_that_fills_its_disk_meets_its_limit_and_nobody_else_does(
    agent: Agent,
) -> None:
    greedy, other = placed(shop(SMALL)), placed(shop(SMALL))
    for each in (greedy, other):
        agent.take(each)
        agent.wait_running(each)
    code, said = run(agent, greedy, "dd if=/dev/zero of=/big bs=1M count=100")
    assert code == 1
    assert "No space left" in said or "quota exceeded" in said.lower()
    size = (agent.root(greedy, "c0") / "big").stat().st_size
    assert 15 * MIB < size <= 24 * MIB
    assert run(agent, greedy, "echo more > /small")[0] != 0
    assert run(agent, other, "dd if=/dev/zero of=/big bs=1M count=15")[0] == 0
    assert run(agent, greedy, "rm /big && dd if=/dev/zero of=/again bs=1M count=10")[0] == 0
    agent.delete(greedy)
    agent.delete(other)
    assert not agent.images.disks()


def test_a_container_that_makes_files_without_end_meets_the_same_limit(agent: Agent) -> None:
    desired = placed(shop(SMALL))
    agent.take(desired)
    agent.wait_running(desired)
    begin = "dd if=/dev/zero of=/big bs=1M count=18 && mkdir /many"
    assert run(agent, desired, begin)[0] == 0
    _, said = run(agent, desired, "i=0; while : > /many/$i; do i=$((i+1)); done")
    assert "exceeded" in said or "No space left" in said
    assert stays(lambda: agent.is_running(desired), 0.5)
    agent.delete(desired)


def test_a_volume_holds_its_quota_outlives_its_set_and_is_taken_by_another(agent: Agent) -> None:
    first = with_volume(volume={"quota": "16Mi"})
    name = first.allocation.volumes[0].id
    agent.take(first)
    agent.wait_running(first)
    assert run(agent, first, "dd if=/dev/zero of=/vol/all bs=1M count=16")[0] == 0
    code, said = run(agent, first, "dd if=/dev/zero of=/vol/more bs=1M count=16")
    assert (code, "No space left" in said) == (1, True)
    assert run(agent, first, "rm /vol/all /vol/more && echo words > /vol/kept")[0] == 0
    [told] = describe(agent.host, agent.row(first)).volumes
    assert (told.name, told.driver, told.quota_bytes) == ("v", "loop", 16 * MIB)
    assert holders(agent.host) == {name: first.set}
    agent.delete(first)
    assert holders(agent.host) == {}
    assert [each["id"] for each in agent.host.volumes.all()] == [name]
    second = with_volume(volume={"from": name}, path="/mine")
    allocation = replace(second.allocation, volumes=(replace(first.allocation.volumes[0]),))
    second = replace(second, allocation=allocation)
    for wrong, why in (
        (replace(second, project="other"), f"/volumes/0: volume {name} is not on this host"),
        (_with_volume_id(second, str(uuid.uuid4())), "is not on this host"),
    ):
        with pytest.raises(Refused, match=why):
            take_set(agent.host, wrong)
    agent.take(second)
    agent.wait_running(second)
    assert run(agent, second, "cat /mine/kept") == (0, "words\n")
    third = replace(second, set=str(uuid.uuid4()))
    with pytest.raises(Refused, match=f"is set {second.set}'s"):
        take_set(agent.host, third)
    agent.delete(second, purge=True)
    assert agent.host.volumes.all() == []
    with pytest.raises(NotHere):
        agent.host.volumes.retire(name)


def _with_volume_id(desired: DesiredSet, name: str) -> DesiredSet:
    volume = replace(desired.allocation.volumes[0], id=name)
    return replace(desired, allocation=replace(desired.allocation, volumes=(volume,)))


def test_what_a_host_cannot_give_is_refused_at_the_field_before_anything_is_made(
    agent: Agent,
) -> None:
    desired = with_volume(volume={"quota": "60Ti"})
    with pytest.raises(Refused, match=r"/volumes/0: .* bytes left to be promised"):
        take_set(agent.host, desired)
    wrong = replace(desired.allocation.volumes[0], storage="ssd")
    allocation = replace(desired.allocation, volumes=(wrong,))
    with pytest.raises(Refused, match="no pool 'ssd'"):
        take_set(agent.host, replace(desired, allocation=allocation))
    assert list(agent.host.layout.sets.glob("*")) == []
    assert agent.host.volumes.all() == []


def test_a_volume_grows_while_its_set_is_stopped_and_says_so_while_it_runs(agent: Agent) -> None:
    desired = with_volume(volume={"quota": "16Mi"})
    agent.take(desired)
    agent.wait_running(desired)
    assert run(agent, desired, "echo words > /vol/kept")[0] == 0
    mounted = {**SLEEP, "mounts": [{"path": "/vol", "volume": "v"}]}
    bigger = changed(desired, shop(mounted, volumes=[{"name": "v", "quota": "64Mi"}]))
    with pytest.raises(Refused, match="stop the set, then update it"):
        take_set(agent.host, bigger)
    agent.take(at(desired, Level.STOPPED))
    wait_until(lambda: not agent.attempts(desired), "the stop")
    agent.take(bigger)
    agent.wait_running(bigger)
    assert run(agent, bigger, "cat /vol/kept && dd if=/dev/zero of=/vol/a bs=1M count=60")[0] == 0
    with pytest.raises(Refused, match="does not shrink"):
        take_set(agent.host, replace(changed(bigger, shop(
            mounted, volumes=[{"name": "v", "quota": "32Mi"}]))))  # fmt: skip
    agent.delete(bigger, purge=True)


def test_a_volume_that_a_set_has_no_more_is_unmounted_with_it_and_kept(
    agent: Agent, place: HostPlace
) -> None:
    desired = with_volume(volume={"quota": "16Mi"})
    agent.take(desired)
    agent.wait_running(desired)
    without = changed(desired, shop(SLEEP))
    without = replace(without, allocation=replace(without.allocation, volumes=()))
    agent.take(without)
    agent.wait_running(without)
    [kept] = agent.host.volumes.all()
    assert holders(agent.host) == {kept["id"]: desired.set}
    agent.delete(without)
    assert not [path for path in place.mounts() if "kept" in path]
    assert [each["id"] for each in agent.host.volumes.all()] == [kept["id"]]


def test_volumes_are_known_again_by_an_agent_that_has_lost_its_memory(place: HostPlace) -> None:
    with running_agent(place, held=True) as agent:
        desired = with_volume(volume={"quota": "16Mi"})
        agent.take(desired)
        agent.wait_running(desired)
        agent.delete(desired)
    for path in place.state.glob("agent.db*"):
        path.unlink()
    with running_agent(place, held=True) as again:
        [kept] = again.host.volumes.all()
        assert (kept["set"], kept["name"]) == (desired.set, "v")
        [writable, volumes] = again.host.volumes.pools()
        assert (writable["name"], writable["driver"]) == ("writable", "btrfs")
        assert (volumes["name"], volumes["driver"]) == ("volumes", "loop")
        for pool in (writable, volumes):
            assert 0 < pool["used_bytes"] <= pool["capacity_bytes"]
        again.host.volumes.retire(kept["id"])
        again.host.volumes.sweep()
        assert again.host.volumes.all() == []


def test_a_set_takes_no_other_sets_volume_by_another_allocation_alone(agent: Agent) -> None:
    first, second = (with_volume(volume={"quota": "16Mi"}) for _ in range(2))
    for each in (first, second):
        agent.take(each)
        agent.wait_running(each)
    stolen = _with_volume_id(second, first.allocation.volumes[0].id)
    with pytest.raises(Refused, match=f"is set {first.set}'s"):
        take_set(agent.host, replace(stolen, generation=2))
    for each in (first, second):
        agent.delete(each, purge=True)


def test_a_volumes_whole_id_names_it_though_anothers_begins_so(agent: Agent) -> None:
    app = Starlette()
    app.state.local = SimpleNamespace(host=agent.host)

    def ask(handler: Callable[[Request], Response], **where: str) -> Any:
        return json.loads(
            bytes(handler(Request({"type": "http", "app": app, "path_params": where})).body)
        )

    for name in ("logs", "logs-2"):
        desired = _with_volume_id(with_volume(volume={"quota": "16Mi"}), name)
        agent.take(desired)
        agent.wait_running(desired)
        agent.delete(desired)
    assert ask(volume_routes.show, volume="logs")["id"] == "logs"
    assert ask(volume_routes.show, volume="logs-")["id"] == "logs-2"
    assert ask(volume_routes.show, volume="logs-2")["in_use"] is False
    with pytest.raises(NotHere, match="2 volumes of this host begin with 'lo'"):
        ask(volume_routes.purge, volume="lo")
    assert ask(volume_routes.purge, volume="logs") == {"id": "logs"}
    assert [each["id"] for each in ask(volume_routes.list_volumes)] == ["logs-2"]


def test_two_sets_at_once_cannot_take_one_volume(agent: Agent) -> None:
    desired = with_volume(volume={"quota": "16Mi"})
    take_set(agent.host, desired)
    with pytest.raises(Refused, match="delete that set first"):
        take_set(agent.host, replace(desired, set=str(uuid.uuid4())))
    with pytest.raises(Conflict):
        take_set(agent.host, replace(desired, generation=0))
    agent.keeper.wake(desired.set)
    agent.wait_running(desired)
    agent.delete(desired, purge=True)
    assert Path(agent.place.directory / "kept").is_dir()


def test_a_volume_that_somebody_unmounts_is_mounted_again_before_anything_writes(
    agent: Agent,
) -> None:
    desired = with_volume(volume={"quota": "16Mi"})
    agent.take(desired)
    agent.wait_running(desired)
    assert run(agent, desired, "echo before > /vol/file")[0] == 0
    kept = Path(agent.place.directory / "kept" / desired.allocation.volumes[0].id)
    devices = devices_of(kept / "image")
    unmount(kept / "data")
    asked, operation = operated(desired, Restart())
    agent.take(asked)
    assert agent.wait_operation(operation).state is OperationState.DONE
    assert run(agent, desired, "cat /vol/file") == (0, "before\n")
    assert devices_of(kept / "image") == devices
    unmount(kept / "data")
    agent.take(at(desired, Level.STOPPED))
    wait_until(lambda: not agent.attempts(desired), "the stop")
    hidden = kept / "hidden"
    (kept / "image").rename(hidden)  # nor can it be mounted
    agent.take(at(desired, Level.RUNNING))
    wait_until(lambda: bool(agent.host.store.rows(Trouble, set=desired.set)), "the reason")
    assert not agent.attempts(desired)
    assert list((kept / "data").iterdir()) == []
    hidden.rename(kept / "image")
    agent.wait_running(desired)
    assert run(agent, desired, "cat /vol/file") == (0, "before\n")
    agent.delete(desired, purge=True)
