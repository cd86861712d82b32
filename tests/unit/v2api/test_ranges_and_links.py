"""Range, Content-Range, Location and Link, without HTTP around them."""

import pytest

from registry.oci.errors import BlobUploadInvalid, RangeNotSatisfiable
from registry.v2api import links
from registry.v2api.ranges import parse_content_range, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 10)),
        ("bytes = 0 - 9", (0, 10)),
        ("bytes=5-", (5, 100)),
        ("bytes=-5", (95, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("items=0-1", None),
        ("bytes=" + "9" * 30 + "-", None),
        ("bytes=٣-٤", None),
    ],
)
def test_a_range_header_is_read(header: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=9-5", "bytes=-0"])
def test_a_range_without_bytes_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        parse_range(header, 100)
    assert caught.value.headers["Content-Range"] == "bytes */100"


def test_an_empty_blob_has_no_range() -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range("bytes=0-0", 0)


@pytest.mark.parametrize(
    ("header", "length", "expected"),
    [(None, 5, None), ("0-4", 5, 0), ("10-19", 10, 10), ("10-19", None, 10), ("bytes 3-4/9", 2, 3)],
)
def test_a_chunk_says_where_it_starts(
    header: str | None, length: int | None, expected: int | None
) -> None:
    assert parse_content_range(header, length) == expected


@pytest.mark.parametrize(
    ("header", "length"), [("x", 1), ("5-4", None), ("0-4", 4), ("-1-4", 6), ("0-", 1)]
)
def test_a_chunk_that_contradicts_itself_is_invalid(header: str, length: int | None) -> None:
    with pytest.raises(BlobUploadInvalid):
        parse_content_range(header, length)


def test_locations_are_relative_and_carry_the_capability_quoted() -> None:
    assert links.upload("a/b", "id", None) == "/v2/a/b/blobs/uploads/id"
    assert links.upload("a/b", "id", "x=/+") == "/v2/a/b/blobs/uploads/id?_state=x%3D%2F%2B"
    assert links.received(0) == "0-0"
    assert links.received(10) == "0-9"


def test_a_link_escapes_what_it_carries() -> None:
    link = links.following("/v2/_catalog", [("n", "1"), ("last", "a/b&c")])
    assert link == '</v2/_catalog?n=1&last=a%2Fb%26c>; rel="next"'
