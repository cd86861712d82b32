"""Named images, chains and platforms, over records on a shelf."""

import pytest

from climg.chains import BATCH, Catalogue, liking
from climg.errors import Ambiguous, NotFound
from support.shelf import TALK, Shelf, document, identifier, layer, manifest, tag

INDEX = Shelf(
    tag(1, "multi:m", 2, 5000, oci_children="sha256:a sha256:b sha256:gone"),
    manifest(2, "multi", "sha256:a", 4, oci_platform="linux/amd64"),
    manifest(3, "multi", "sha256:b", 5, oci_platform="linux/arm64"),
    layer(4, 6, 100),
    layer(5, 6, 200),
    layer(6, None, 300),
    tag(7, "other:1", 4, 400),
)


def ids(records: object) -> list[int]:
    assert isinstance(records, list)
    return [int(each.id[:8], 16) for each in records]


def test_named_images_are_tags_and_vm_images_and_no_layers() -> None:
    shelf = Shelf(*TALK.documents, layer(1, None, 5, os_hidden=False))
    named = Catalogue(shelf).named()
    assert [each.name for each in named] == ["docker-centos", "cirros-0.3.2-x86_64-disk.img"]


def test_named_images_may_be_limited_filtered_and_chosen() -> None:
    catalogue = Catalogue(INDEX)
    assert ids(catalogue.named(limit=1)) == [1]
    assert ids(catalogue.named({"owner": "nobody"})) == []
    for pattern in ("other:*", "library/other:?", "o*"):
        assert ids(catalogue.named(keeps=liking(pattern))) == [7]


def test_a_history_goes_down_to_the_base_and_has_each_record_once() -> None:
    catalogue = Catalogue(INDEX)
    named = catalogue.named()
    catalogue.complete(named)
    assert ids(catalogue.history(named)) == [1, 2, 4, 6, 3, 5, 7]


def test_all_hidden_records_at_once_make_the_same_history() -> None:
    catalogue = Catalogue(INDEX)
    named = catalogue.named()
    catalogue.read_hidden()
    before = INDEX.lists
    catalogue.complete(named)
    assert INDEX.lists == before, "nothing was missing"
    assert ids(catalogue.history(named)) == [1, 2, 4, 6, 3, 5, 7]


def test_many_chains_are_completed_level_by_level_in_batches() -> None:
    count = 2 * BATCH + 1
    tags = [tag(1000 + n, f"app:{n}", 2000 + n, 1) for n in range(count)]
    tops = [layer(2000 + n, 3000, 1) for n in range(count)]
    shelf = Shelf(*tags, *tops, layer(3000, None, 1, os_hidden=False))
    catalogue = Catalogue(shelf)
    named = catalogue.named()
    shelf.lists = 0
    catalogue.complete(named)
    assert shelf.lists == 3, "three batches; the base was in the first list"
    assert len(catalogue.history(named)) == 2 * count + 1


def test_a_parent_out_of_sight_ends_the_chain() -> None:
    shelf = Shelf(tag(1, "app:1", 2, 1))
    catalogue = Catalogue(shelf)
    named = catalogue.named()
    catalogue.complete(named)
    assert ids(catalogue.history(named)) == [1]
    before = shelf.lists
    catalogue.complete(named)
    assert shelf.lists == before, "it is not asked for again"


def test_a_parent_that_is_no_id_is_never_asked_for() -> None:
    shelf = Shelf(tag(1, "app:1", 2, 1) | {"parent_id": 'x",y'})
    catalogue = Catalogue(shelf)
    named = catalogue.named()
    before = shelf.lists
    catalogue.complete(named)
    assert shelf.lists == before
    assert ids(catalogue.history(named)) == [1]


def test_a_circle_of_parents_ends() -> None:
    shelf = Shelf(tag(1, "app:1", 2, 1), layer(2, 3, 1), layer(3, 2, 1), tag(4, "self:1", 4, 1))
    catalogue = Catalogue(shelf)
    named = catalogue.named()
    catalogue.complete(named)
    assert ids(catalogue.history(named)) == [1, 2, 3, 4]


def test_an_image_is_found_by_id_by_name_and_with_its_project() -> None:
    catalogue = Catalogue(INDEX)
    for text in (identifier(7), identifier(7).upper(), "other:1", "library/other:1"):
        assert ids([catalogue.find(text)]) == [7]


def test_hidden_records_have_names_too_but_images_come_first() -> None:
    shelf = Shelf(
        document(1, "app", os_hidden=True, oci_kind="repository", oci_repository="app"),
        manifest(2, "app", "sha256:a", 3),
        document(3, "both", os_hidden=True),
        document(4, "both"),
    )
    catalogue = Catalogue(shelf)
    assert ids([catalogue.find("library/app")]) == [1]
    assert ids([catalogue.find("app@sha256:a")]) == [2]
    assert ids([catalogue.find("both")]) == [4]


def test_the_tags_of_a_repository_are_found() -> None:
    repository = document(9, "multi", os_hidden=True, oci_kind="repository", oci_repository="multi")
    catalogue = Catalogue(Shelf(*INDEX.documents, repository))
    assert ids(catalogue.tags(catalogue.find("multi"))) == [1]


@pytest.mark.parametrize("text", ["nope:1", "other/other:1", identifier(99)])
def test_what_is_not_there_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        Catalogue(INDEX).find(text)


def test_a_name_of_several_images_is_refused_with_all_of_them() -> None:
    shelf = Shelf(
        tag(1, "app:1", 9, 1), tag(2, "app:1", 9, 1, owner="payments"), document(3, "x/y")
        , tag(4, "y", 9, 1, owner="x"),
    )  # fmt: skip
    catalogue = Catalogue(shelf)
    with pytest.raises(Ambiguous) as refused:
        catalogue.find("app:1")
    for words in ("library/app:1", identifier(1), "payments/app:1", identifier(2)):
        assert words in str(refused.value)
    assert ids([catalogue.find("payments/app:1")]) == [2]
    with pytest.raises(Ambiguous):
        catalogue.find("x/y")


def test_of_very_many_candidates_some_are_named() -> None:
    shelf = Shelf(*(tag(n, "app:1", 99, 1, owner=f"p{n}") for n in range(1, 9)))
    with pytest.raises(Ambiguous, match=r"names 8 images.* and 3 more"):
        Catalogue(shelf).find("app:1")
