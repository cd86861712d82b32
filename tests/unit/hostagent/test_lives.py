"""Whole lives of a set on a host in memory, drawn by seeds: they come to rest as they should."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hostagent import adopt, attempt_steps, operations, recipes, seen
from hostagent.attempt_steps import Kill, Remove
from hostagent.errors import HostError
from hostagent.host import Host
from hostagent.records import Attempt, AttemptState, GoneRow, SetRow
from hostagent.seen import Seen
from setspec.desired import DesiredSet
from support.hoststories import go_back, live, lose_store

LIVES = 16
PLANTED = 60
"""Lives within which a planted fault is found."""


@pytest.mark.parametrize("seed", range(LIVES))
def test_whatever_may_come_a_set_comes_to_be_as_it_should_and_leaves_nothing(
    tmp_path: Path, seed: int
) -> None:
    live(tmp_path, seed)


@pytest.mark.parametrize("seed", range(LIVES))
def test_a_gray_update_that_cannot_be_goes_back_also_where_restarts_are_asked_for_meanwhile(
    tmp_path: Path, seed: int
) -> None:
    go_back(tmp_path, seed)


@pytest.mark.parametrize("seed", range(LIVES))
def test_a_store_that_is_lost_in_a_gray_update_takes_no_way_back_with_it(
    tmp_path: Path, seed: int
) -> None:
    lose_store(tmp_path, seed)


def found(home: Path, life: Callable[[Path, int], None] = live) -> str:
    """What is wrong with one of many lives."""
    for seed in range(1000, 1000 + PLANTED):
        try:
            life(home / str(seed), seed)
        except (AssertionError, HostError) as error:
            return f"wrong: {error}"
    return ""


def test_remains_that_nobody_removes_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Remove, "_takes_disk", lambda *_: False)
    assert found(tmp_path)


def test_a_step_that_is_done_for_ever_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not die was killed again and again, as fast as a processor can."""
    monkeypatch.setattr(Kill, "act", lambda _, __, intent: intent.init.signal(9))
    assert "does not come to an end" in found(tmp_path)


def test_a_reboot_that_keeps_another_clock_s_moments_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that had failed would be tried again when the host is as old as it was then."""
    monkeypatch.setattr(adopt, "Trouble", GoneRow)
    assert "retry_at=1" in found(tmp_path)


def test_a_restart_that_waits_for_a_container_that_is_gone_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = operations._is_done

    def waits(found: Seen, targets: dict[str, str | None]) -> bool:
        return all(found.current(name) for name in targets) and done(found, targets)

    monkeypatch.setattr(operations, "_is_done", waits)
    assert "kind='restart'" in found(tmp_path)


def test_a_restart_that_takes_an_update_s_way_back_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It made the container anew of what was not yet known to run, and dropped what had run."""
    monkeypatch.setattr(operations, "is_changing", lambda *_: False)
    monkeypatch.setattr(seen, "anew", recipes.wanted)
    monkeypatch.setattr(attempt_steps, "anew", recipes.wanted)
    assert found(tmp_path, go_back)


def test_a_crash_after_which_a_container_has_no_way_back_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "anew", recipes.wanted)
    monkeypatch.setattr(attempt_steps, "anew", recipes.wanted)
    assert "no way back" in found(tmp_path, go_back)


def test_a_generation_that_is_tried_after_it_has_failed_for_another_container_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(
        desired: DesiredSet, row: SetRow, containers: recipes.Containers, name: str,
        known: recipes.Attempts,
    ) -> recipes.Recipe | None:  # fmt: skip
        own = {each: containers[each] for each in containers if each == name}
        return recipes.wanted(desired, row, own, name, known)

    monkeypatch.setattr(seen, "wanted", alone)
    monkeypatch.setattr(attempt_steps, "wanted", alone)
    assert "tried again" in found(tmp_path, go_back)


def test_labels_whose_roles_are_not_heeded_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was on trial became the container, and what it should go back to was removed."""
    put = adopt._put_container

    def heedless(host: Host, set_id: str, name: str, found: list[tuple[Attempt, str]]) -> None:
        started = [each for each in found if each[0].state is AttemptState.STARTED]
        found = [(attempt, "current") for attempt, _ in (started or found)]
        put(host, set_id, name, found)

    monkeypatch.setattr(adopt, "_put_container", heedless)
    assert found(tmp_path, lose_store)
