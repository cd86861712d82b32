"""What a registry says of its trash is read, or refused where it is none."""

import pytest

from climg.registry import Deleted

ENTRY = {
    "repository": "library/app",
    "tags": ["1"],
    "digest": "sha256:0",
    "size": 1,
    "deleted_at": 0.5,
    "until": 253402300799,
    "whole": False,
}


def test_an_entry_is_read() -> None:
    assert Deleted.parse(ENTRY).until == 253402300799


@pytest.mark.parametrize("key", ["deleted_at", "until"])
@pytest.mark.parametrize("value", [-1, 253402300800, 1e300, float("nan"), float("inf"), "x", None])
def test_a_moment_that_cannot_be_written_is_none(key: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Deleted.parse({**ENTRY, key: value})
