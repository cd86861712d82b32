import random
from typing import Any

import pytest

from runspec.ioctls import PROJECT_CHANGES, refuse_ioctls

PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [
        {"names": ["read", "ioctl"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0}]},
    ],
}


def lets_through(profile: dict[str, Any], number: int) -> bool:
    return any(
        number & argument["value"] == argument["valueTwo"]
        for rule in profile["syscalls"]
        if rule["names"] == ["ioctl"]
        for argument in rule["args"]
    )


@pytest.mark.parametrize("refused", [PROJECT_CHANGES, (0,), ((1 << 32) - 1,), (7, 8, 9)])
def test_all_ioctls_but_the_refused_are_let_through_whatever_the_upper_half_says(
    refused: tuple[int, ...],
) -> None:
    made = refuse_ioctls(PROFILE, refused)
    chance = random.Random(1)
    for number in refused:
        for upper in (0, 1 << 32, 0xFFFFFFFF << 32):
            assert not lets_through(made, number | upper)
        for bit in range(32):
            near = number ^ 1 << bit
            assert lets_through(made, near) == (near not in refused)
    for _ in range(2000):
        number = chance.getrandbits(32)
        assert lets_through(made, number) == (number not in refused)
    assert len(made["syscalls"]) <= 2 + 32 * len(refused)


def test_the_rest_of_a_profile_stays_as_it_is() -> None:
    made = refuse_ioctls(PROFILE, PROJECT_CHANGES)
    assert made["defaultAction"] == "SCMP_ACT_ERRNO"
    assert made["syscalls"][0] == {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    assert made["syscalls"][-1] == {
        "names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0}],
    }  # fmt: skip
    assert "ioctl" in PROFILE["syscalls"][0]["names"]
