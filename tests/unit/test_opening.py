"""What is asked to find out what is open, and how much of it there is room for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from registry import opening
from registry.auth.ports import CLOSED, WHOLE, Action, Opening, Principal
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName
from registry.opening import TAGS, TAGS_LOOKED_AT, Neighbours
from registry.storage.records import ImageRecord

APP = RepositoryName("east", "app")
BOB = Principal("bob", "bob")


def record(identity: str, tag: str = "") -> ImageRecord:
    said = {"oci_tag": tag} if tag else {}
    return ImageRecord(identity, "east", "", "", None, None, 0, said, "private", 0, 0, 1)


@dataclass
class Street:
    """A repository with so many tags, and a viewer who sees some of its records."""

    tags: int = 0
    there: bool = True
    seen: Collection[str] = ()
    asked: list[list[str]] = field(default_factory=list)

    async def find_keyed(self, project: str, key: str) -> ImageRecord:
        if not self.there or (project, key) != ("east", "repository:app"):
            raise ManifestUnknown
        return record("whole")

    async def list_tagged(self, repository: RepositoryName, *, limit: int) -> list[ImageRecord]:
        count = self.tags if repository == APP and self.there else 0
        return [record(f"id-{n}", f"t{n}") for n in range(min(count, limit))]

    async def list_closure(self, repository: RepositoryName, tag: str) -> frozenset[Digest]:
        assert repository == APP
        return frozenset({Digest.of(tag.encode())})

    async def is_named(self, *_: object) -> bool:
        raise AssertionError

    def can_ask(self, principal: Principal) -> bool:
        return principal.grants is None

    async def find_seen(
        self, principal: Principal, records: Sequence[ImageRecord]
    ) -> frozenset[str]:
        assert principal.subject == "bob"
        self.asked.append([each.id for each in records])
        return frozenset(each.id for each in records if each.id in self.seen)

    async def close(self) -> None:
        raise AssertionError

    async def find(self, principal: Principal = BOB, name: RepositoryName = APP) -> Opening:
        return await opening.find(Neighbours(self, self), principal, name)


async def test_whoever_sees_the_repository_is_asked_about_no_tag() -> None:
    street = Street(tags=3, seen=["whole"])
    assert await street.find() == WHOLE
    assert street.asked == [["whole"]]


async def test_a_repository_that_is_not_there_is_asked_about_like_one_that_is() -> None:
    closed, absent, bare = Street(tags=3), Street(there=False), Street()
    for street in (closed, absent, bare):
        assert await street.find() == CLOSED
    assert [len(each.asked) for each in (closed, absent, bare)] == [2, 2, 2]
    again = Street(there=False)
    await again.find()
    assert again.asked == absent.asked
    other = Street(there=False)
    await other.find(name=RepositoryName("east", "other"))
    assert not {each for asked in other.asked for each in asked} & {
        each for asked in absent.asked for each in asked
    }


async def test_so_many_tags_are_looked_at_and_so_many_are_open() -> None:
    street = Street(tags=2 * TAGS_LOOKED_AT, seen=["id-5", f"id-{TAGS_LOOKED_AT}"])
    assert (await street.find()).tags == {"t5"}
    _, *parts = street.asked
    assert sum(map(len, parts)) == TAGS_LOOKED_AT
    assert max(map(len, parts)) == TAGS
    every = Street(tags=500, seen=[f"id-{n}" for n in range(500)])
    assert (await every.find()).tags == {f"t{n}" for n in range(TAGS)}
    assert len(every.asked) == 2


async def test_a_token_is_good_for_what_it_says_and_nothing_is_asked() -> None:
    street = Street(tags=3, seen=["whole"])
    pull = {APP: frozenset({Action.PULL})}
    some = Opening(tags=frozenset({"t1"}), manifests=frozenset({Digest.of(b"t1")}))
    for said, expected in ((some, some), (WHOLE, WHOLE), (CLOSED, CLOSED)):
        assert await street.find(Principal("bob", "bob", grants=pull, openings={APP: said})) == (
            expected
        )
    no_pull = Principal("bob", "bob", grants={APP: frozenset()}, openings={APP: WHOLE})
    assert await street.find(no_pull) == CLOSED
    assert street.asked == []


async def test_without_anybody_to_ask_nothing_is_open() -> None:
    assert await opening.find(None, BOB, APP) == CLOSED
    assert await opening.find_source(None, BOB, APP) == CLOSED


def test_what_two_open_is_open_in_both() -> None:
    digests = [Digest.of(word) for word in (b"1", b"2", b"3")]
    one = Opening(tags=frozenset("12"), manifests=frozenset(digests[:2]))
    two = Opening(tags=frozenset("23"), manifests=frozenset(digests[1:]))
    inner = Opening(tags=frozenset("2"), manifests=frozenset(digests[1:2]))
    assert (one & WHOLE) == (WHOLE & one) == one
    assert (WHOLE & WHOLE) == WHOLE
    assert (one & CLOSED) == (CLOSED & one) == CLOSED
    assert (one & two) == (two & one) == inner
