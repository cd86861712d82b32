"""How long an answer of the image service's is believed, and what holds while it gives none."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from registry.auth.ports import ANONYMOUS, Action, Principal
from registry.oci.errors import StorageUnavailable
from registry.oci.names import RepositoryName
from registry.storage.records import ImageRecord
from registry.viewing import cloud
from registry.viewing.cloud import FRESH, HELD, SILENCE, CloudViewer
from support.ledgers import Clock

BOB = Principal("bob", "bob", {"west": frozenset({"member"})}, cloud_tokens={"west": "bob's"})


def record(name: str) -> ImageRecord:
    return ImageRecord(name, "east", "", "tag", name, None, 0, {}, "private", 0, 0, 1)


ONE, TWO = record("one"), record("two")


@dataclass
class Images:
    """An image service that says what it is told to, and remembers what it was asked."""

    seen: set[tuple[str | None, str]] = field(default_factory=set)
    asked: list[tuple[str | None, str, tuple[str, ...]]] = field(default_factory=list)
    away: bool = False

    async def find_seen(
        self, token: str | None, project: str, images: Sequence[str]
    ) -> frozenset[str]:
        self.asked.append((token, project, tuple(images)))
        if self.away:
            raise StorageUnavailable("away")
        return frozenset(each for each in images if (token, each) in self.seen)

    async def close(self) -> None:
        pass


@pytest.fixture
def images() -> Images:
    return Images()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def viewer(images: Images, clock: Clock) -> CloudViewer:
    return CloudViewer(images, clock=clock)


async def test_the_caller_is_asked_for_with_his_own_token(
    viewer: CloudViewer, images: Images
) -> None:
    images.seen = {("bob's", "one")}
    assert await viewer.find_seen(BOB, [ONE, TWO]) == {"one"}
    assert images.asked == [("bob's", "east", ("one", "two"))]
    assert await viewer.find_seen(ANONYMOUS, [ONE]) == frozenset()
    assert images.asked[1:] == [(None, "east", ("one",))]


async def test_each_of_his_projects_is_asked_for_until_all_is_seen(
    viewer: CloudViewer, images: Images
) -> None:
    tokens = {"a": "in a", "b": "in b", "c": "in c"}
    both = Principal("bob", "bob", cloud_tokens=tokens)
    images.seen = {("in a", "one"), ("in b", "two"), ("in c", "one")}
    assert await viewer.find_seen(both, [ONE, TWO]) == {"one", "two"}
    assert [token for token, *_ in images.asked] == ["in a", "in b"]


async def test_who_has_no_project_sees_what_is_public(viewer: CloudViewer, images: Images) -> None:
    images.seen = {(None, "one")}
    lone = Principal("bob", "bob")
    assert await viewer.find_seen(lone, [ONE, TWO]) == {"one"}


async def test_an_answer_is_believed_for_a_minute(
    viewer: CloudViewer, images: Images, clock: Clock
) -> None:
    images.seen = {("bob's", "one")}
    for _ in range(2):
        assert await viewer.find_seen(BOB, [ONE]) == {"one"}
    images.seen = set()
    clock.now += FRESH - 1
    assert await viewer.find_seen(BOB, [ONE]) == {"one"}
    assert len(images.asked) == 1
    clock.now += 1
    assert await viewer.find_seen(BOB, [ONE]) == frozenset()
    images.seen = {("bob's", "one")}
    assert await viewer.find_seen(BOB, [ONE]) == frozenset()
    clock.now += FRESH
    assert await viewer.find_seen(BOB, [ONE]) == {"one"}


async def test_no_answer_is_for_anybody_else(viewer: CloudViewer, images: Images) -> None:
    images.seen = {("bob's", "one")}
    assert await viewer.find_seen(BOB, [ONE])
    for other in (
        Principal("eve", "bob", BOB.roles, cloud_tokens={"west": "eve's"}),
        Principal("bob", "bob", BOB.roles, cloud_tokens={"north": "bob's in north"}),
        Principal("bob", "bob", {"west": frozenset({"reader"})}, cloud_tokens={"west": "less"}),
        ANONYMOUS,
    ):
        assert not await viewer.find_seen(other, [ONE])


async def test_the_last_answer_holds_for_ten_minutes_while_there_is_none(
    viewer: CloudViewer, images: Images, clock: Clock
) -> None:
    images.seen = {("bob's", "one")}
    assert await viewer.find_seen(BOB, [ONE, TWO]) == {"one"}
    images.away = True
    clock.now += HELD - 1
    assert await viewer.find_seen(BOB, [ONE, TWO]) == {"one"}
    assert await viewer.find_seen(BOB, [TWO]) == frozenset()
    with pytest.raises(StorageUnavailable):
        await viewer.find_seen(BOB, [record("three")])
    with pytest.raises(StorageUnavailable):
        await viewer.find_seen(ANONYMOUS, [ONE])
    clock.now += 1
    with pytest.raises(StorageUnavailable):
        await viewer.find_seen(BOB, [ONE, TWO])
    images.away = False
    clock.now += SILENCE
    assert await viewer.find_seen(BOB, [ONE, TWO]) == {"one"}


async def test_what_was_taken_back_is_refused_once_there_is_an_answer(
    viewer: CloudViewer, images: Images, clock: Clock
) -> None:
    images.seen = {("bob's", "one")}
    assert await viewer.find_seen(BOB, [ONE])
    images.away = True
    clock.now += FRESH
    assert await viewer.find_seen(BOB, [ONE])
    images.away, images.seen = False, set()
    clock.now += SILENCE
    assert not await viewer.find_seen(BOB, [ONE])
    images.away = True
    clock.now += FRESH
    assert not await viewer.find_seen(BOB, [ONE])


async def test_a_silent_service_is_left_alone_for_a_second(
    viewer: CloudViewer, images: Images, clock: Clock
) -> None:
    images.away = True
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            await viewer.find_seen(BOB, [ONE])
    assert len(images.asked) == 1
    clock.now += SILENCE
    with pytest.raises(StorageUnavailable):
        await viewer.find_seen(BOB, [ONE])
    assert len(images.asked) == 2


async def test_what_one_project_sees_holds_though_another_cannot_be_asked_for(
    viewer: CloudViewer, images: Images, clock: Clock
) -> None:
    images.seen = {("in a", "one")}
    assert await viewer.find_seen(Principal("bob", "bob", cloud_tokens={"a": "in a"}), [ONE])
    images.away = True
    clock.now += FRESH
    both = Principal("bob", "bob", cloud_tokens={"a": "in a", "b": "in b"})
    assert await viewer.find_seen(both, [ONE, TWO]) == {"one"}


async def test_memory_is_bounded(
    viewer: CloudViewer, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "REMEMBERED", 3)
    for name in "abcdef":
        await viewer.find_seen(BOB, [record(name)])
    assert len(viewer._known) == 3
    await viewer.find_seen(BOB, [record("a")])
    assert len(images.asked) == 7


def test_who_shows_a_token_of_the_registrys_cannot_be_asked_for(viewer: CloudViewer) -> None:
    grants = {RepositoryName("east", "app"): frozenset({Action.PULL})}
    assert viewer.can_ask(BOB)
    assert viewer.can_ask(ANONYMOUS)
    assert viewer.can_ask(Principal("", "anonymous", grants=grants))
    assert not viewer.can_ask(Principal("bob", "bob", grants=grants))
