"""Which segments stay as they are, and which are written as one."""

from hypothesis import given
from hypothesis import strategies as st

from registry.storage.records import Segment
from registry.storage.swift.plan import MERGED, PLAIN, SMALL, SMALL_ALLOWED, parts

MIB = 1024 * 1024


def segments(*sizes: int) -> list[Segment]:
    return [Segment(str(number), size, "etag") for number, size in enumerate(sizes)]


def sizes(*of: int) -> list[list[int]]:
    return [[segment.size for segment in part.segments] for part in parts(segments(*of))]


def test_a_short_upload_is_one_plain_object() -> None:
    assert sizes() == [[]]
    assert sizes(5) == [[5]]
    assert sizes(MIB, 3, 7 * MIB - 3) == [[MIB, 3, 7 * MIB - 3]]
    assert all(part.is_plain for part in parts(segments(MIB, 3)))


def test_large_segments_stay_as_they_are() -> None:
    assert sizes(9 * MIB) == [[9 * MIB]]
    assert sizes(16 * MIB, 32 * MIB, 5) == [[16 * MIB], [32 * MIB], [5]]
    assert not any(part.is_plain for part in parts(segments(16 * MIB, 32 * MIB)))


def test_a_few_small_ones_stay_too() -> None:
    few = [5] * SMALL_ALLOWED
    assert sizes(16 * MIB, *few) == [[16 * MIB], *([5] for _ in few)]


def test_many_small_ones_are_put_together() -> None:
    assert sizes(16 * MIB, *[5] * 20) == [[16 * MIB, *[5] * 20]]
    assert sizes(*[5] * 20, 16 * MIB) == [[*[5] * 20, 16 * MIB]]
    assert sizes(*[MIB // 2] * 200) == [[MIB // 2] * 128, [MIB // 2] * 72]


def test_small_ones_join_their_neighbours() -> None:
    pairs = [100 * MIB, 5] * 9
    assert sizes(*pairs) == [[100 * MIB], *[[5, 100 * MIB]] * 8, [5]]


@given(st.lists(st.sampled_from([1, 1000, SMALL - 1, SMALL, 3 * MIB, MERGED]), max_size=60))
def test_whatever_comes_swift_reads_it_without_a_pause(of: list[int]) -> None:
    planned = parts(segments(*of))
    assert [segment for part in planned for segment in part.segments] == segments(*of)
    if sum(of) > PLAIN:
        assert sum(part.size < SMALL for part in planned) <= SMALL_ALLOWED
        assert all(part.size < 2 * MERGED for part in planned)
