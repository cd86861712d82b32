"""Sharing and publishing, over a service in a dict."""

import pytest

from climg import actions
from climg.errors import NotFound, Refused
from climg.records import Record
from support.shelf import document


class Members:
    """One image: who sees it."""

    def __init__(self, visibility: str, *projects: str, closed: bool = False) -> None:
        self.visibility = visibility
        self.projects = dict.fromkeys(projects, "pending")
        self.closed = closed

    @property
    def record(self) -> Record:
        return Record.parse(document(1, "app:1", visibility=self.visibility))

    def set_visibility(self, record: str, visibility: str) -> None:
        assert record == self.record.id
        self.visibility = visibility

    def members(self, record: str) -> dict[str, str]:
        assert record == self.record.id
        if self.closed:
            raise Refused("no")
        return dict(self.projects)

    def find_project(self, text: str) -> str:
        return text

    def share(self, record: str, project: str) -> None:
        assert record == self.record.id
        assert project not in self.projects
        self.projects[project] = "pending"

    def unshare(self, record: str, project: str) -> None:
        assert record == self.record.id
        del self.projects[project]


def test_a_private_image_becomes_shared_and_once_more_changes_nothing() -> None:
    image = Members("private")
    for _ in range(2):
        assert "payments" in actions.share(image, image.record, "payments")
    assert (image.visibility, set(image.projects)) == ("shared", {"payments"})


@pytest.mark.parametrize("visibility", ["public", "community"])
def test_what_all_see_is_not_shared(visibility: str) -> None:
    image = Members(visibility)
    with pytest.raises(Refused, match=visibility):
        actions.share(image, image.record, "payments")
    assert (image.visibility, image.projects) == (visibility, {})


def test_a_membership_ends_and_must_have_been() -> None:
    image = Members("shared", "payments")
    actions.unshare(image, image.record, "payments")
    assert image.projects == {}
    with pytest.raises(NotFound):
        actions.unshare(image, image.record, "payments")


def test_an_image_is_published_and_made_private() -> None:
    image = Members("shared")
    assert actions.publish(image, image.record, "public").endswith("public")
    assert image.visibility == "public"
    assert actions.publish(image, image.record, "public").endswith("public")
    assert actions.publish(image, image.record, "community").endswith("community")
    actions.publish(image, image.record, "private")
    assert image.visibility == "private"


def test_members_that_one_may_not_see_are_none() -> None:
    for image in (Members("private", "x"), Members("shared", "x", closed=True)):
        assert actions.members(image, image.record) == {}
    shared = Members("shared", "x")
    assert actions.members(shared, shared.record) == {"x": "pending"}
