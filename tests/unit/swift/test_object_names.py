"""Places in Swift, and names that nobody gave."""

import uuid

import pytest

from registry.oci.digest import Digest
from registry.oci.errors import StorageUnavailable
from registry.storage.layout import new_object_name
from registry.storage.records import Position
from registry.storage.swift.names import Names, Place, own_name

NAMES = Names("b")
UPLOAD = str(uuid.uuid4())


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_sixteen_containers_hold_the_objects(algorithm: str) -> None:
    for number in range(40):
        digest = Digest.of(bytes([number]), algorithm)
        name = new_object_name(digest)
        assert NAMES.object(name) == Place(f"b-blobs-{digest.encoded[0]}", name)
        part = NAMES.own_part(UPLOAD, name, 7)
        assert part.path == f"/b-uploads/{UPLOAD}/{own_name(name)}/7"
        assert NAMES.segment(part.name) == part


def test_lines_sort_as_they_are_numbered() -> None:
    lines = [NAMES.line(Position("p", number)) for number in (1, 9, 10, 99, 100, 10**15)]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        f"sha256/{'0' * 63}/{UPLOAD}",
        f"sha256/{'0' * 64}/{UPLOAD}/x",
        f"sha256/{'0' * 64}/..",
        f"md5/{'0' * 64}/{UPLOAD}",
        f"sha256/{'0' * 64}/{UPLOAD}\n",
    ],
)
def test_what_is_no_name_of_ours_is_refused(name: str) -> None:
    for read in (NAMES.object, NAMES.segment, NAMES.upload, NAMES.used):
        with pytest.raises(StorageUnavailable):
            read(name)
    assert NAMES.segment(f"{UPLOAD}/12/0").container == "b-uploads"
    for segment in (f"{UPLOAD}/used", f"{UPLOAD}/1/..", f"{UPLOAD}/1/2/3"):
        with pytest.raises(StorageUnavailable):
            NAMES.segment(segment)
