"""How a record looks in an image service, and the way from one look to another."""

import pytest

from registry.storage.images import NAME, VALUE, differences, fitting, image_of
from registry.storage.ports.images import Image
from registry.storage.records import ImageRecord


def record(kind: str = "tag", **fields: object) -> ImageRecord:
    values: dict[str, object] = {
        "id": "7", "project": "east", "key": "k", "kind": kind, "name": "app:1",
        "parent_id": None, "size": 3, "properties": {"oci_kind": kind},
        "visibility": "private", "created_at": 0.0, "updated_at": 0.0, "version": 1,
    }  # fmt: skip
    return ImageRecord(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["tag", "layer", "manifest", "repository"])
def test_all_but_tags_are_hidden_and_protected(kind: str) -> None:
    shown = image_of(record(kind, parent_id="6", visibility="shared"))
    assert (shown.hidden, shown.protected) == (kind != "tag", kind != "tag")
    assert (shown.id, shown.owner, shown.visibility) == ("7", "east", "shared")
    assert shown.properties == {"oci_kind": kind, "parent_id": "6"}
    assert shown.is_of("east", kind)
    assert not shown.is_of("west", kind)


def test_a_layer_has_an_empty_name() -> None:
    assert image_of(record("layer", name=None)).name == ""


def test_names_values_and_their_number_are_bounded() -> None:
    many = {f"oci_{number:03}": "é" * VALUE for number in range(200)} | {"a" * 256: ""}
    shown = image_of(record(name="n" * 300, properties=many, parent_id="6"))
    assert len(shown.name) == NAME
    assert shown.name.endswith("…")
    assert len(shown.properties) <= 128
    assert shown.properties["parent_id"] == "6"
    assert max(len(value.encode()) for value in shown.properties.values()) <= VALUE


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("", ""),
        ("abcd", "abcd"),
        ("abcde", "abc…"),
        ("ééé", "ééé"),
        ("éééé", "é…"),  # eight bytes are too many
        ("a\0b", "a\ufffdb"[:2] + "…"),
        ("\U0001f600", "\ufffd"),
        ("\ud800", "\ufffd"),
    ],
)
def test_text_fits_by_characters_and_bytes(text: str, fit: str) -> None:
    found = fitting(text, characters=4, size=6)
    assert found == fit or (len(found) <= 4 and len(found.encode()) <= 6)
    assert len(found) <= 4
    assert len(found.encode()) <= 6


def test_steps_name_only_what_differs_and_is_ours() -> None:
    before = Image(id="7", owner="e", properties={"oci_a": "1", "oci_b": "1", "note": "x"})
    after = Image(id="7", owner="e", name="n", properties={"oci_a": "1", "oci_c/~": "2"})
    assert differences(before, before) == []
    assert differences(before, after) == [
        {"op": "replace", "path": "/name", "value": "n"},
        {"op": "add", "path": "/oci_c~1~0", "value": "2"},
        {"op": "remove", "path": "/oci_b"},
    ]
