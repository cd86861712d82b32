"""Records as they come from an Image API."""

import pytest

from climg.records import EMPTY_SIZE, EMPTY_TARS, Record, as_json, is_id, readings
from support.builders import layer_tar
from support.shelf import document, identifier


def test_a_document_without_an_id_is_no_record() -> None:
    with pytest.raises(ValueError, match="id"):
        Record.parse({"name": "x"})


def test_what_is_not_as_it_should_be_is_left_out() -> None:
    record = Record.parse(
        {"id": "1", "name": 5, "size": "12", "min_disk": None, "min_ram": True, "tags": [], "x": 1}
    )
    assert (record.name, record.size, record.min_disk, record.min_ram) == (None, 12, 0, 0)
    assert record.properties == {}
    assert record.label == "1"


def test_a_layers_size_is_that_of_what_was_pushed() -> None:
    layer = document(1, oci_kind="layer", oci_size="77", size=0)
    assert Record.parse(layer).shown_size == 77
    assert Record.parse(layer | {"oci_size": "many"}).shown_size is None
    assert Record.parse(document(1, size=5)).shown_size == 5


def test_a_layer_that_changes_nothing_has_an_empty_tars_size() -> None:
    empty = layer_tar("", b"")
    assert len(empty) == EMPTY_SIZE
    for diff_id in EMPTY_TARS:
        layer = document(1, oci_kind="layer", oci_size="32", oci_diff_id=diff_id)
        assert Record.parse(layer).shown_size == EMPTY_SIZE


def test_programs_get_the_columns_and_the_rest() -> None:
    told = as_json(Record.parse(document(1, "app:1", visibility="public", preference="3", a="b")))
    assert (told["id"], told["name"], told["is_public"]) == (identifier(1), "app:1", True)
    assert (told["preference"], told["project"]) == (3, "library")
    assert told["properties"] == {"a": "b", "preference": "3"}


def test_a_name_may_begin_with_a_project() -> None:
    assert readings("app:1") == (("app:1", None),)
    assert readings("p/app:1") == (("p/app:1", None), ("app:1", "p"))
    assert readings("p/a/b:1") == (("p/a/b:1", None), ("a/b:1", "p"))
    assert readings("/app") == (("/app", None),)


def test_an_id_is_a_uuid_with_its_hyphens() -> None:
    assert is_id(identifier(5))
    assert is_id(identifier(0xABC).upper())
    for text in ("", "app", identifier(5).replace("-", ""), "{" + identifier(5) + "}"):
        assert not is_id(text)
