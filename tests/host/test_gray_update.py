from pathlib import Path

import pytest

from hostagent.describe import describe
from hostagent.records import AttemptState, SetRow, Trouble
from setspec.desired import Deploy, Level, RebuildDisk, Restart
from setspec.normal import File
from support.agents import Agent, at, changed, operated, placed, running_agent, shop, stays
from support.environment import wait_until
from support.hostplaces import HostPlace

PROBED = {"exec": {"cmd": "/bin/test", "args": ["-e", "/ready"]}, "min_ready_s": 0}


def link(agent: Agent, set_id: str) -> tuple[int, str]:
    """The set's network namespace, and what its interface is."""
    path = agent.host.namespaces.path(set_id, "network")
    port = agent.host.store.find(SetRow, set=set_id).network
    return path.stat().st_ino, port or ""


def test_a_gray_update_replaces_one_container_and_touches_nothing_else(place: HostPlace) -> None:
    document = shop(
        {"mounts": [{"path": "/vol", "volume": "v"}]},
        {},
        networks=[{"name": "default"}],
        volumes=[{"name": "v", "quota": "1Gi"}],
    )
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first, other = agent.current(desired, "c0"), agent.current(desired, "c1")
        before = link(agent, desired.set)
        volume = place.directory / "kept" / desired.allocation.volumes[0].id / "data"
        (volume / "kept").write_text("kept")
        document["containers"][0]["image"] = "shop:2"
        newer = changed(desired, document)
        agent.take(newer)
        wait_until(lambda: agent.current(newer, "c0").digest == "sha256:" + "2" * 64, "the new one")
        agent.wait_running(newer)
        second = agent.current(newer, "c0")
        assert (agent.root(newer, "c0") / "edition").read_text() == "2"
        assert agent.current(newer, "c1") == other
        assert link(agent, desired.set) == before
        assert (volume / "kept").read_text() == "kept"
        assert first.ended_at is None  # of then; now it is gone with its disk:
        wait_until(
            lambda: all(each.id != first.id for each in agent.attempts(newer)), "the old one's end"
        )
        assert first.disk not in agent.images.disks()
        assert agent.log(newer, "c0").count("bye") == 1
        assert second.disk != first.disk
        wait_until(lambda: agent.images.pins == {(newer.set, 2)}, "the old image's release")
        agent.delete(newer, purge=True)
        assert not agent.images.pins


@pytest.mark.parametrize(
    ("image", "why"),
    [("bad:1", "ended with 1 before it was ready"), ("missing:1", "cannot be made")],
)
def test_a_gray_update_that_fails_goes_back_to_what_ran_on_its_disk(
    place: HostPlace, image: str, why: str
) -> None:
    document = shop({"readiness": {"min_ready_s": 1}}, {})
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first, other = agent.current(desired, "c0"), agent.current(desired, "c1")
        (agent.root(desired, "c0") / "written").write_text("by the application")
        document["containers"][0]["image"] = image
        newer = changed(desired, document)
        agent.take(newer)
        wait_until(lambda: agent.container(newer, "c0").failed_generation == 2, "the failure", 60)
        agent.wait_running(newer)
        again = agent.current(newer, "c0")
        assert (again.disk, again.digest) == (first.disk, first.digest)
        assert (agent.root(newer, "c0") / "written").read_text() == "by the application"
        assert agent.current(newer, "c1") == other
        assert agent.images.pins == {(newer.set, 1), (newer.set, 2)}  # it goes back to the first
        shown = describe(agent.host, agent.row(newer))
        assert shown.state == "degraded"
        assert [(each.container, each.generation) for each in shown.rolled_back] == [("c0", 2)]
        assert why in shown.rolled_back[0].reason
        attempts = agent.container(newer, "c0").attempts
        assert stays(lambda: agent.container(newer, "c0").attempts == attempts, 2)
        document["containers"][0]["image"] = "shop:1"
        third = changed(newer, document)  # as the shim writes it after a failure
        agent.take(third)
        wait_until(lambda: describe(agent.host, agent.row(third)).state == "running", "running")
        assert agent.current(third, "c0").id == again.id
        agent.delete(third)


def test_one_that_does_not_become_ready_in_time_is_rolled_back(place: HostPlace) -> None:
    ready = {**PROBED, "ready_timeout_s": 2}
    document = shop({"readiness": ready, "files": [{"path": "/ready", "content": ""}]})
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first = agent.current(desired, "c0")
        document["containers"][0] |= {"image": "shop:2", "files": []}
        newer = changed(desired, document)
        agent.take(newer)
        wait_until(lambda: agent.container(newer, "c0").failed_generation == 2, "the failure", 60)
        agent.wait_running(newer)
        assert agent.container(newer, "c0").failed_reason == "not ready within 2 s"
        assert agent.current(newer, "c0").disk == first.disk
        agent.delete(newer)


def test_a_container_beside_one_that_was_rolled_back_is_made_again_of_what_it_was(
    place: HostPlace,
) -> None:
    document = shop({"readiness": {"min_ready_s": 1}}, {"restart": {"base_s": 1}})
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        document["containers"][0]["image"] = "bad:1"
        document["containers"][1]["image"] = "shop:2"
        newer = changed(desired, document)
        agent.take(newer)
        wait_until(lambda: agent.container(newer, "c0").failed_generation == 2, "the failure", 60)
        agent.wait_running(newer)
        before = agent.current(newer, "c1")
        (agent.root(newer, "c1") / "written").write_text("by the application")
    assert before.init is not None
    before.init.signal(9)
    with running_agent(place) as agent:
        wait_until(lambda: agent.current(newer, "c1").id != before.id, "a new attempt", 60)
        agent.wait_running(newer)
        after = agent.current(newer, "c1")
        assert (after.disk, after.digest) == (before.disk, "sha256:" + "1" * 64)
        assert (agent.root(newer, "c1") / "edition").read_text() == "1"
        assert (agent.root(newer, "c1") / "written").read_text() == "by the application"
        document["containers"][0]["image"] = "shop:2"
        third = changed(newer, document)
        agent.take(third)
        wait_until(lambda: describe(agent.host, agent.row(third)).state == "running", "running", 60)
        assert {agent.current(third, name).digest[7] for name in ("c0", "c1")} == {"2"}
        agent.delete(third)


def test_limits_change_with_the_same_process_and_never_below_what_is_used(place: HostPlace) -> None:
    eat = {"cmd": "/bin/sh", "args": ["-c", "x=$(head -c 12000000 /dev/zero | od -v); sleep 99"]}
    document = shop({"command": eat, "mem": "64Mi"})
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first = agent.current(desired, "c0")
        limit = Path(f"/sys/fs/cgroup/memory{place.cgroup}/sets/{desired.set}/{first.id}")
        document["containers"][0] |= {"mem": "96Mi", "cpu": "0.7"}
        newer = changed(desired, document)
        agent.take(newer)
        file = limit / "memory.limit_in_bytes"
        wait_until(lambda: int(file.read_text()) == 96 << 20, "the new limit")
        used = agent.host.runtime.memory_used
        wait_until(lambda: (used(desired.set, first.id) or 0) > 20 << 20, "memory in use", 60)
        document["containers"][0] |= {"mem": "8Mi"}
        small = changed(newer, document)
        agent.take(small)
        wait_until(lambda: bool(agent.host.store.rows(Trouble)), "the refusal")
        assert int(file.read_text()) == 96 << 20
        assert "uses" in (describe(agent.host, agent.row(small)).reason or "")
        assert agent.current(small, "c0").init_pid == first.init_pid
        agent.delete(small)


def test_a_restart_and_a_rebuilt_disk_happen_once_each(place: HostPlace) -> None:
    desired = placed(shop({}, {}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first, other = agent.current(desired, "c0"), agent.current(desired, "c1")
        (agent.root(desired, "c0") / "written").write_text("by the application")
        told, restart = operated(desired, Restart(containers=("c0",)))
        agent.take(told)
        assert agent.wait_operation(restart).state == "done"
        second = agent.current(desired, "c0")
        assert (second.id != first.id, second.disk) == (True, first.disk)
        agent.take(told)
        assert stays(lambda: agent.current(desired, "c0").id == second.id, 0.5)
        files = (File(path="/etc/motd", content="hello\n"),)
        deployed, deploy = operated(desired, Deploy(container="c0", files=files))
        agent.take(deployed)
        assert agent.wait_operation(deploy).state == "done"
        assert (agent.root(desired, "c0") / "etc/motd").read_text() == "hello\n"
        rebuilt, rebuild = operated(desired, RebuildDisk(containers=("c0",)))
        agent.take(rebuilt)
        assert agent.wait_operation(rebuild).state == "done"
        root = agent.root(desired, "c0")
        assert not (root / "written").exists()
        assert (root / "etc/motd").read_text() == "hello\n"
        assert first.disk not in agent.images.disks()
        assert agent.current(desired, "c1") == other
        agent.delete(desired)


def test_containers_come_and_go_with_the_document(place: HostPlace) -> None:
    desired = placed(shop({}, {}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first = agent.current(desired, "c0")
        newer = changed(desired, shop({}))
        agent.take(newer)
        wait_until(lambda: agent.states(newer) == {"c0": "started"}, "the end of the other")
        wait_until(lambda: len(agent.images.disks()) == 1, "the end of its disk")
        third = changed(newer, shop({}, {}, {}))
        agent.take(third)
        agent.wait_running(third)
        assert agent.current(third, "c0") == first
        agent.delete(third)


def test_what_was_changed_while_it_stood_still_holds_at_the_next_start(place: HostPlace) -> None:
    desired = placed(shop({}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        stopped = at(desired, Level.STOPPED)
        agent.take(stopped)
        wait_until(lambda: not agent.attempts(desired), "the stop")
        newer = at(changed(desired, shop({"image": "shop:2"})), Level.RUNNING)
        agent.take(newer)
        agent.wait_running(newer)
        assert agent.wait_state(newer, "c0", AttemptState.STARTED).digest == "sha256:" + "2" * 64
        wait_until(lambda: len(agent.images.disks()) == 1, "the end of the old disk")
        agent.delete(newer)
