"""Programs of the host's that do not come to an end, and sets that have nothing to do with them."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hostagent import bridge, conmon, watch
from hostagent.describe import describe
from hostagent.oci_runtime import OciRuntime
from hostagent.records import SetRow
from programs.bounded import OutOfTime, call
from support.agents import Agent, placed, running_agent, shop
from support.environment import tool, wait_until
from support.hostplaces import CGROUPS, HostPlace
from volumes import files

SLOW = """#!/bin/sh
# Stands still as long as the file is there, where {sign}; else it is the real one.
{read}
if [ -e {stuck} ] && {sign}; then exec sleep 600; fi
exec {real} "$@" {given}
"""


def put_before(
    monkeypatch: pytest.MonkeyPatch, place: HostPlace, name: str, sign: str, *, reads: bool = False
) -> Path:
    """Have a program stand still where *sign* holds; the file that makes it so."""
    programs, stuck = place.directory / "programs", place.directory / f"{name}-is-stuck"
    programs.mkdir()
    real = files.program(name) or tool(name)
    read, given = ("said=$(cat)", "<<END\n$said\nEND") if reads else ("", "")
    text = SLOW.format(sign=sign, stuck=stuck, real=real, read=read, given=given)
    (programs / name).write_text(text)
    (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    stuck.touch()
    return stuck


def reason(agent: Agent, set_id: str) -> str:
    """Why a set is not as it should be."""
    return describe(agent.host, agent.host.store.find(SetRow, set=set_id)).reason or ""


def with_volume(quota: str) -> dict[str, object]:
    mounted = {"mounts": [{"path": "/vol", "volume": "v"}]}
    return shop(mounted, volumes=[{"name": "v", "quota": quota}])


def test_a_mkfs_that_does_not_end_is_told_and_others_get_their_volumes(
    place: HostPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PATIENCE", 2.0)
    big = '[ $(stat -c %s "$(eval echo \\${$#})") -gt 50000000 ]'
    stuck = put_before(monkeypatch, place, "mkfs.ext4", big)
    with running_agent(place, held=True) as agent:
        slow, quick = placed(with_volume("64Mi")), placed(with_volume("16Mi"), octet=3)
        agent.take(slow)
        agent.take(quick)
        agent.wait_running(quick)
        assert not agent.is_running(slow)
        wait_until(lambda: "mkfs.ext4 has not ended" in reason(agent, slow.set), "a reason", 30)
        assert "within 3.1 s, and was killed: see whether the host's disk answers" in reason(
            agent, slow.set
        )
        stuck.unlink()
        agent.wait_running(slow)
        assert reason(agent, slow.set) == ""
        agent.delete(slow, purge=True)
        agent.delete(quick, purge=True)
    assert place.leftovers() == {}


def test_an_ip_that_does_not_end_is_told_and_others_get_their_ports(
    place: HostPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "_PATIENCE", 2.0)
    sign = 'echo "$said" | grep -q fa:16:3e:00:00:02'
    stuck = put_before(monkeypatch, place, "ip", sign, reads=True)
    networks = [{"name": "default"}]
    with running_agent(place) as agent:
        slow, quick = placed(shop(networks=networks)), placed(shop(networks=networks), octet=3)
        agent.take(slow)
        agent.take(quick)
        agent.wait_running(quick)
        assert not agent.is_running(slow)
        wait_until(lambda: "ip has not ended" in reason(agent, slow.set), "a reason", 30)
        assert "link add" in reason(agent, slow.set)
        stuck.unlink()
        agent.wait_running(slow)
        agent.delete(slow)
        agent.delete(quick)
    assert place.leftovers() == {}


def test_a_monitor_that_never_answers_is_told_and_leaves_nothing(
    place: HostPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conmon, "_PATIENCE", 2.0)
    stuck = put_before(monkeypatch, place, "conmon", "true")
    with running_agent(place) as agent:
        runtime = agent.host.runtime
        assert isinstance(runtime, OciRuntime)
        runtime._conmon = replace(runtime._conmon, program=str(place.directory / "programs/conmon"))
        desired = placed(shop())
        agent.take(desired)
        wait_until(lambda: "no answer within 2 s" in reason(agent, desired.set), "a reason", 30)
        stuck.unlink()
        agent.wait_running(desired)
        agent.delete(desired)
    assert place.leftovers() == {}


def test_a_monitor_that_stands_still_is_given_up_when_its_container_has_ended(
    place: HostPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PATIENCE", 1.0)
    with running_agent(place) as agent:
        desired = placed(shop())
        agent.take(desired)
        agent.wait_running(desired)
        first = agent.current(desired, "c0")
        assert first.init is not None
        assert first.monitor is not None
        first.monitor.signal(signal.SIGSTOP)
        first.init.signal(signal.SIGKILL)
        wait_until(lambda: agent.container(desired, "c0").crashes == 1, "the note of its end", 30)
        agent.wait_running(desired)
        assert agent.current(desired, "c0").id != first.id
        assert not first.monitor.alive
        agent.delete(desired)
    assert place.leftovers() == {}


def test_what_cannot_even_be_killed_is_not_waited_for_and_collected_when_it_ends(
    place: HostPlace,
) -> None:
    """What waits for a dead disk does not die, as little as what is frozen."""
    group = CGROUPS / f"freezer{place.cgroup}" / "stuck"
    group.mkdir(parents=True)
    state = group / "freezer.state"
    script = f"echo $$ > {group}/cgroup.procs; exec sleep 600"
    freezing = threading.Timer(0.5, lambda: state.write_text("FROZEN"))
    freezing.start()
    began = time.monotonic()
    with pytest.raises(OutOfTime):
        call(["/bin/sh", "-c", script], seconds=1)
    assert time.monotonic() - began < 5
    freezing.join()
    pid = int((group / "cgroup.procs").read_text())
    assert Path(f"/proc/{pid}").exists()
    state.write_text("THAWED")
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "its end, and that of its remains")

    def collectors() -> list[str]:
        return [each.name for each in threading.enumerate() if each.name == f"end-of-{pid}"]

    wait_until(lambda: not collectors(), "the end of who collected it")
