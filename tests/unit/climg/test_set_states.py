import pytest

from climg.set_views import doing


@pytest.mark.parametrize(
    ("action", "state", "level", "expected"),
    [
        ("suspend", "running", "suspended", "suspending"),
        ("suspend", "degraded", "suspended", "suspending"),
        ("suspend", "suspended", "suspended", "suspended"),
        ("suspend", "stopped", "suspended", "stopped"),
        ("resume", "suspended", "running", "resuming"),
        ("resume", "running", "running", "running"),
        ("stop", "suspended", "stopped", "stopping"),
        ("stop", "stopping", "stopped", "stopping"),
        ("stop", "stopped", "stopped", "stopped"),
        ("start", "stopped", "running", "starting"),
        ("start", "suspended", "running", "starting"),
        ("start", "creating", "running", "creating"),
        ("start", "degraded", "running", "degraded"),
    ],
)
def test_what_was_told_a_moment_ago_is_not_said_to_be_as_it_was_before(
    action: str, state: str, level: str, expected: str
) -> None:
    assert doing(action, {"state": state, "level": level}) == expected
