"""What comes in between: another document in the midst of a step, a stop, a sleep, a failure."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hostagent import points
from hostagent.errors import Conflict, DiskFailed, RuntimeFailed
from hostagent.intake import take_set
from hostagent.ports import ReadyImage
from hostagent.records import Attempt, ContainerRow, OperationRow, SetRow, Trouble
from hostagent.store import Store
from setspec.desired import DesiredSet, Level, RebuildDisk
from support.agents import changed, operated, placed, shop
from support.hostlives import Life
from support.hostmodel import ModelImages, ModelRuntime

NETWORK = [{"name": "default"}]


def begin(life: Life, *containers: dict[str, Any], **more: Any) -> DesiredSet:
    """A set that runs, beside the one that the life has begun with."""
    desired = placed(shop(*(containers or ({},)), **more))
    life.take(desired)
    life.quiet()
    return desired


def current(life: Life, name: str = "c0") -> Attempt:
    store = life.agent.host.store
    row = store.find(ContainerRow, set=life.desired.set, name=name)
    return store.find(Attempt, id=row.current)


def row_of(life: Life, name: str = "c0") -> ContainerRow:
    return life.agent.host.store.find(ContainerRow, set=life.desired.set, name=name)


def at_point(life: Life, point: str, desired: DesiredSet) -> None:
    """Have another document come at a point of a step."""

    def reach(name: str) -> None:
        if name == point and life.desired.generation < desired.generation:
            life.take(desired)

    points.listen(reach)


def test_a_port_of_a_document_that_is_overtaken_while_it_is_attached_does_not_stay(
    life: Life,
) -> None:
    first = begin(life, networks=NETWORK)
    life.world.links.clear()
    none = changed(first, shop({}))
    none = replace(none, allocation=replace(none.allocation, ports=()))
    life.take(first)
    life.world.links.update(port.id for port in first.allocation.ports)
    rows = life.agent.host.store
    rows.put(replace(rows.find(SetRow, set=first.set), network=None))
    at_point(life, "attach-network:intended", none)
    life.quiet()
    assert not life.world.links


def test_a_gray_update_that_fails_does_not_speak_against_a_document_that_has_come_since(
    life: Life,
) -> None:
    first = begin(life, {"readiness": {"min_ready_s": 1}})
    second = changed(first, shop({"image": "shop:b", "readiness": {"min_ready_s": 1}}))
    third = changed(second, shop({"image": "shop:2"}))
    life.take(second)
    at_point(life, "roll-back:begin", third)
    life.quiet()
    assert row_of(life).failed_generation == 2
    assert current(life).digest[7] == "2"


def test_images_to_go_back_to_stay_where_another_document_comes_as_the_last_is_whole(
    life: Life,
) -> None:
    first = begin(life)
    second = changed(first, shop({"image": "shop:2"}))
    third = changed(second, shop({"image": "shop:b", "readiness": {"min_ready_s": 1}}))
    life.take(second)
    at_point(life, "release-images:begin", third)
    life.quiet()
    assert (first.set, 2) in life.world.pins
    assert current(life).digest[7] == "2"


def test_another_disk_after_a_roll_back_is_not_one_of_the_image_that_failed(life: Life) -> None:
    first = begin(life, {"readiness": {"min_ready_s": 1}})
    second = changed(first, shop({"image": "shop:b", "readiness": {"min_ready_s": 1}}))
    life.take(second)
    life.quiet()
    assert row_of(life).failed_generation == 2
    before = current(life)
    for level in (Level.RUNNING, Level.STOPPED, Level.RUNNING):
        life.take(replace(life.desired, level=level))
        life.quiet()
        told, operation = operated(life.desired, RebuildDisk())
        life.take(told)
        life.quiet()
        ended = life.agent.host.store.find(OperationRow, id=operation)
        assert ended.state == "done"
        after = current(life)
        assert after.digest == before.digest
        assert after.disk != before.disk
        assert before.disk not in life.world.disks
        before = after
    assert before.id in life.world.processes


def test_the_disk_of_what_was_replaced_goes_also_where_the_set_is_stopped_just_then(
    life: Life,
) -> None:
    first = begin(life)
    before = current(life)

    def stop(name: str) -> None:
        if name == "promote:end":
            life.take(replace(life.desired, level=Level.STOPPED))

    points.listen(stop)
    life.take(changed(first, shop({"image": "shop:2"})))
    life.quiet()
    assert before.disk not in life.world.disks


def test_time_in_which_a_set_stood_still_is_not_held_against_a_gray_update(life: Life) -> None:
    probed = {"readiness": {"tcp": {"port": 80}, "min_ready_s": 0, "ready_timeout_s": 20}}
    first = begin(life, probed)
    life.world.answers = 0.0
    second = changed(first, shop({**probed, "image": "shop:2"}))
    life.take(second)
    for _ in range(20):
        life.settle()
        life.world.lapse(0.3)
    life.take(replace(second, level=Level.SUSPENDED))
    life.settle()
    life.world.lapse(3600)
    life.take(second)
    life.settle()
    life.world.answers = 1.0
    life.quiet()
    assert row_of(life).failed_generation is None
    assert current(life).digest[7] == "2"


def test_a_program_before_a_stop_that_cannot_be_run_does_not_keep_a_set_from_ending(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(life, {"stop": {"grace_s": 3, "before": {"cmd": "/bin/x"}}})

    def fails(*_: Any) -> None:
        raise RuntimeFailed("exec: no answer within 60 s")

    monkeypatch.setattr(ModelRuntime, "run", fails)
    process = life.world.processes[current(life).id]
    life.leave(purge=True)
    assert process.code == 143


def test_an_image_with_a_signal_that_does_not_exist_is_killed_when_its_grace_is_over(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = ReadyImage(f"sha256:{'1' * 64}", {"config": {"StopSignal": "SIGNOTHING"}})
    monkeypatch.setattr(ModelImages, "ensure", lambda *_: odd)
    begin(life)
    process = life.world.processes[current(life).id]
    life.leave(purge=True)
    assert process.code == 137


def test_what_once_failed_and_is_not_wanted_any_more_is_not_told_for_ever(life: Life) -> None:
    desired = begin(life)
    store = life.agent.host.store
    store.put(Trouble(set=desired.set, step="probe gone", text="no", count=1, retry_at=0.0))
    life.settle()
    assert not store.rows(Trouble)


def test_a_generation_is_of_one_document(life: Life) -> None:
    """Its images are known by it: a plan raised KeyError for a container that it did not have."""
    first = begin(life)
    other = replace(changed(first, shop({}, {})), generation=1, secrets=(("late", "secret"),))
    with pytest.raises(Conflict, match="generation 1 is of another document"):
        take_set(life.agent.host, other)
    assert "late" not in life.agent.host.secrets(first.set)
    life.quiet()
    assert current(life).id in life.world.processes


def test_containers_start_in_order_after_a_reboot(life: Life) -> None:
    begin(life, {}, {})
    assert row_of(life, "c1").was_ready
    life.world.reboot()
    life.agent = type(life.agent)(life.world, autostart=True)
    assert not row_of(life, "c1").was_ready


@pytest.mark.parametrize("text", ["[]", "{}", '{"set": {"nonsense": 1}}', '{"set": []}'])
def test_a_damaged_label_keeps_no_agent_from_starting_and_no_other_set_from_being_found(
    life: Life, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    desired = begin(life)
    label = life.agent.host.layout.set("damaged") / "label.json"
    label.parent.mkdir()
    label.write_text(text)
    life.agent = type(life.agent)(life.world)
    assert "the labels of set damaged cannot be read" in caplog.text
    assert [row.set for row in life.agent.host.store.rows(SetRow)][-1] == desired.set
    label.unlink()


def test_a_store_whose_disk_is_gone_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "state" / "agent.db")
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(DiskFailed, match="free space"):
        store.rows(SetRow)
    store.close()


def test_rows_stay_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    store = Store(tmp_path / "agent.db")
    for name in ("first", "second"):
        store.put(OperationRow(id=name, set="s", kind="restart", args="{}"))
    store.put(replace(store.find(OperationRow, id="first"), targets="{}"))
    assert [each.id for each in store.rows(OperationRow)] == ["first", "second"]
    assert store.find(OperationRow, id="first").targets == "{}"
    store.close()
