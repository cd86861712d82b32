import dataclasses
import shutil

import pytest

from hostagent.describe import describe
from hostagent.errors import Conflict
from hostagent.intake import take_set
from hostagent.records import Attempt, AttemptState, SetRow
from setspec.desired import Deploy, Level, SetPassword, SyncStatus
from setspec.normal import File, SecretRef
from sshd.password import hashed
from support.agents import Agent, at, changed, operated, placed, running_agent, shop, stays
from support.environment import wait_until
from support.hostplaces import HostPlace


def processes(agent: Agent) -> set[tuple[int | None, int | None]]:
    return {(each.init_pid, each.monitor_pid) for each in agent.host.store.rows(Attempt)}


def test_an_agent_that_starts_again_takes_over_what_runs(place: HostPlace) -> None:
    desired = placed(shop({}, {}, networks=[{"name": "default"}]))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        former = agent.attempts(desired)
    with running_agent(place) as agent:
        assert agent.adopted.attempts == 2
        assert stays(lambda: agent.attempts(desired) == former, 0.5)
        assert former[0].init is not None
        former[0].init.signal(9)  # its end is seen by the new agent
        wait_until(lambda: agent.current(desired, "c0").id != former[0].id, "a new attempt")
        agent.wait_running(desired)
        agent.delete(desired)


def test_ends_while_no_agent_was_there_are_known_by_what_monitors_wrote_down(
    place: HostPlace,
) -> None:
    end = {"cmd": "/bin/sh", "args": ["-c", "sleep 1; exit 5"]}
    desired = placed(shop({"command": end, "restart": {"policy": "never"}}, {}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_state(desired, "c1", AttemptState.STARTED)
        first = agent.current(desired, "c0")
        second = agent.current(desired, "c1")
    assert second.init is not None
    assert second.monitor is not None
    second.monitor.signal(9)
    second.init.signal(9)
    wait_until(lambda: first.monitor is None or not first.monitor.alive, "the first one's end")
    with running_agent(place) as agent:
        wait_until(lambda: agent.current(desired, "c1").id != second.id, "a new attempt")
        assert agent.current(desired, "c0").exit_code == 5
        agent.wait_state(desired, "c1", AttemptState.STARTED)
        agent.delete(desired)


def test_an_end_that_nobody_saw_is_told_as_unknown_and_not_guessed(place: HostPlace) -> None:
    desired = placed(shop({"restart": {"policy": "never"}}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        only = agent.current(desired, "c0")
    assert only.init is not None
    assert only.monitor is not None
    only.monitor.signal(9)
    only.init.signal(9)
    wait_until(lambda: not only.init or not only.init.alive, "the end")
    with running_agent(place) as agent:
        ended = agent.wait_state(desired, "c0", AttemptState.ENDED)
        assert (ended.exit_code, ended.exit_known) == (None, False)
        shown = describe(agent.host, agent.row(desired))
        assert (shown.state, shown.reason) == ("degraded", "c0: ended, nobody saw how")
        agent.delete(desired)


def test_a_container_without_its_monitor_runs_on_and_is_told_as_such(place: HostPlace) -> None:
    desired = placed(shop({}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        only = agent.current(desired, "c0")
        assert only.monitor is not None
        only.monitor.signal(9)

        def state() -> str:
            return describe(agent.host, agent.row(desired)).containers[0].state

        wait_until(lambda: state() == "unmonitored", "the word")
        assert agent.current(desired, "c0") == only
        assert only.init is not None
        only.init.signal(9)  # the agent held it, so the kernel tells how it ended
        wait_until(lambda: agent.container(desired, "c0").attempts == 2, "a new attempt", 60)
        agent.wait_running(desired)
        agent.delete(desired)


def test_a_suspended_set_stays_suspended_while_the_agent_starts_again(place: HostPlace) -> None:
    desired = placed(shop({}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        agent.take(at(desired, Level.SUSPENDED))
        wait_until(lambda: agent.host.runtime.is_frozen(desired.set), "the freezing")
        former = agent.attempts(desired)
    with running_agent(place) as agent:
        assert stays(lambda: agent.host.runtime.is_frozen(desired.set), 0.5)
        assert agent.attempts(desired) == former
        agent.delete(desired)


def test_a_lost_store_is_made_again_out_of_labels_and_no_container_is_touched(
    place: HostPlace,
) -> None:
    desired = placed(shop({}, {}, networks=[{"name": "default"}]))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        former = processes(agent)
    for path in place.state.glob("agent.db*"):
        path.unlink()
    with running_agent(place) as agent:
        assert agent.adopted.rebuilt == 1
        agent.wait_running(desired)
        assert processes(agent) == former
        assert agent.row(desired).document == agent.row(desired).document
        agent.delete(desired)


def test_a_store_that_is_lost_while_a_new_one_is_on_trial_takes_no_way_back_with_it(
    place: HostPlace,
) -> None:
    slow = {"exec": {"cmd": "/bin/test", "args": ["-e", "/ready"]}, "ready_timeout_s": 8}
    document = shop({"readiness": slow, "files": [{"path": "/ready", "content": ""}]})
    desired = placed(document)
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first = agent.current(desired, "c0")
        (agent.root(desired, "c0") / "written").write_text("by the application")
        document["containers"][0] |= {"image": "shop:2", "files": []}
        newer = changed(desired, document)
        agent.take(newer)

        def on_trial() -> bool:
            found = agent.host.store.rows(Attempt, id=agent.container(newer, "c0").next)
            return [each.state for each in found] == [AttemptState.STARTED]

        wait_until(on_trial, "the trial")
        trial = agent.container(newer, "c0").next
    for path in place.state.glob("agent.db*"):
        path.unlink()
    with running_agent(place) as agent:
        row = agent.container(newer, "c0")
        assert (row.current, row.next, row.good) == (first.id, trial, first.id)
        wait_until(lambda: agent.container(newer, "c0").failed_generation == 2, "the failure", 60)
        agent.wait_running(newer)
        assert agent.current(newer, "c0").disk == first.disk
        assert (agent.root(newer, "c0") / "written").read_text() == "by the application"
        agent.delete(newer)


def test_a_store_that_is_lost_while_a_set_is_stopped_takes_no_disk_with_it(
    place: HostPlace,
) -> None:
    desired = placed(shop({}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        first = agent.current(desired, "c0")
        (agent.root(desired, "c0") / "written").write_text("by the application")
        agent.take(at(desired, Level.STOPPED))
        wait_until(lambda: not agent.attempts(desired), "the stop")
    bundle = place.state / "sets" / desired.set / "containers" / "c0" / first.id
    assert [path.name for path in bundle.iterdir()] == ["label.json"]
    for path in place.state.glob("agent.db*"):
        path.unlink()
    with running_agent(place) as agent:
        agent.take(at(desired, Level.STOPPED))
        agent.take(desired)
        agent.wait_running(desired)
        assert agent.current(desired, "c0").disk == first.disk
        assert (agent.root(desired, "c0") / "written").read_text() == "by the application"
        wait_until(lambda: not bundle.exists(), "the end of what was before")
        agent.delete(desired)


def test_after_a_reboot_nothing_starts_before_the_shim_was_heard(place: HostPlace) -> None:
    desired, frozen = placed(shop({})), placed(shop({}))
    with running_agent(place) as agent:
        for each in (desired, frozen):
            agent.take(each)
            agent.wait_running(each)
        agent.take(at(frozen, Level.SUSPENDED))
        wait_until(lambda: agent.host.runtime.is_frozen(frozen.set), "the freezing")
    reboot(place)
    with running_agent(place, boot="boot-2") as agent:
        wait_until(lambda: not agent.attempts(desired), "the remains' end")
        shown = describe(agent.host, agent.row(desired))
        assert shown.state == "stopped"
        assert "nothing starts before the shim" in (shown.reason or "")
        assert not shown.containers[0].exit_known
        assert "while the set was suspended" in (
            describe(agent.host, agent.row(frozen)).reason or ""
        )
        assert not agent.attempts(desired)
        agent.take(desired)  # the shim is heard
        agent.wait_running(desired)
        agent.delete(frozen)
    reboot(place)
    with running_agent(place, boot="boot-3", autostart=True) as agent:
        agent.wait_running(desired)
        agent.delete(desired)


def test_an_operation_whose_secret_ended_with_the_boot_fails_and_holds_up_no_other(
    place: HostPlace,
) -> None:
    desired = placed(shop({}, networks=[{"name": "default"}], ssh={"password": "correct horse"}))
    with running_agent(place) as agent:
        agent.take(desired)
        agent.wait_running(desired)
        agent.keeper.close()
        file = File(path="/etc/secret", content=SecretRef(secret_ref="fresh"))  # noqa: S106
        operations = []
        for args in (
            SetPassword(password=SecretRef(secret_ref="fresh")),  # noqa: S106
            Deploy(container="c0", files=(file,)),
            SyncStatus(),
        ):
            asked, operation = operated(desired, args)
            agent.take_secret(asked, "fresh", hashed("another horse"))
            operations.append(operation)
    reboot(place)
    with running_agent(place, boot="boot-2") as agent:
        ended = [agent.wait_operation(each) for each in operations]
        assert [each.state for each in ended] == ["failed", "failed", "done"]
        why = "a secret ended with the boot: send the set, or ask for this, once more"
        assert [each.reason for each in ended] == [why, why, None]
        agent.take(desired)  # the shim is heard
        agent.wait_running(desired)
        assert not agent.host.files(desired.set, "c0")
        agent.delete(desired)


def reboot(place: HostPlace) -> None:
    """What a reboot leaves: no process, group, mount or interface, and nothing in *run*."""
    place.clear()
    shutil.rmtree(place.run)


def test_a_stale_generation_is_refused_and_a_newer_set_outlives_an_old_tombstone(
    place: HostPlace,
) -> None:
    desired = placed(shop({}))
    newer = dataclasses.replace(desired, generation=3)
    with running_agent(place) as agent:
        agent.take(newer)
        with pytest.raises(Conflict, match="stale"):
            take_set(agent.host, desired)
        with pytest.raises(Conflict, match="left as it is"):
            agent.delete(desired)
        assert agent.row(newer).tombstone is None
        agent.delete(newer)
        assert not agent.host.store.rows(SetRow)
