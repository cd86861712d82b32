import shutil

import pytest

from hostagent import attempt_steps
from support.hostdeaths import all_points, deaths, kinds, live, story, undisturbed
from support.hostplaces import HostPlace


def test_an_agent_that_dies_at_every_point_of_every_step_comes_to_the_same_end() -> None:
    known = undisturbed()
    passed = {point for result, _ in known.values() for point in result.passed}
    assert passed == all_points()
    assert all(len(kind.points()) >= 4 for kind in kinds())
    assert set(deaths(known, every=False)) == all_points()


def test_a_step_that_forgets_what_it_has_begun_is_found(
    place: HostPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: what was intended is not removed, so its container would stay for ever."""

    def forget(self: attempt_steps.Remove, host: object, intent: object) -> None:
        _ = (self, host, intent)

    act = story()[0]
    assert live(place, act, "create:answered").died
    monkeypatch.setattr(attempt_steps.Remove, "act", forget)
    live(place, act)
    assert len([words for words in place.processes().values() if "conmon" in words]) == 3
    monkeypatch.undo()
    place.clear()
    for name in ("state", "run", "disks"):
        shutil.rmtree(place.directory / name)
