"""Who may see an image after words that were heeded, and words that may have been lost."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from registry.storage.sharing import Sharing

SHARED = frozenset({"shared"})
FOR_ALL = frozenset({"community", "public"})


@dataclass(frozen=True)
class Seers:
    """Who sees an image beside its own project, as far as that is known."""

    visibilities: frozenset[str]
    surely: frozenset[str]
    """Projects that are members, whenever it is shared."""
    perhaps: frozenset[str]
    """Those that may be: all others are none."""

    @classmethod
    def exactly(cls, visibility: str, members: Iterable[str]) -> Self:
        """Just these."""
        projects = frozenset(members)
        return cls(frozenset({visibility}), projects, projects)

    def __or__(self, other: "Seers") -> "Seers":
        """One or the other, or a mixture of both."""
        return Seers(
            self.visibilities | other.visibilities,
            self.surely & other.surely,
            self.perhaps | other.perhaps,
        )

    def made(self, visibility: str) -> "Seers":
        """Made private, shared, or open to all; members are kept."""
        return Seers(frozenset({visibility}), self.surely, self.perhaps)

    def shared_with(self, project: str) -> "Seers":
        return Seers(SHARED, self.surely | {project}, self.perhaps | {project})

    def taken_from(self, project: str) -> "Seers":
        return Seers(SHARED, self.surely - {project}, self.perhaps - {project})

    def allows(self, sharing: Sharing) -> bool:
        """Whether it may be so."""
        if sharing.visibility not in self.visibilities:
            return False
        members = {project for project, _ in sharing.members}
        return sharing.visibility != "shared" or self.surely <= members <= self.perhaps

    def may_be_open_to(self, project: str) -> bool:
        """Whether *project* may see the image."""
        shared = self.visibilities >= SHARED and project in self.perhaps
        return shared or bool(FOR_ALL & self.visibilities)


PRIVATE = Seers.exactly("private", ())


@dataclass
class Spoken:
    """What people said of one image, here and in Glance.

    Of two words at the same time either may win, also in part: one that was said here while one
    of Glance's had not arrived here, or the other way round. Words on one side are in order.
    """

    now: Seers = PRIVATE
    here: bool = False
    """Whether something was said here since both sides agreed last, heard or not."""
    there: bool = False
    """Whether something was said in Glance since then."""
    _sure: bool = True

    def attempt(self, after: Seers, *, here: bool) -> None:
        """Somebody is about to make it so."""
        self._sure = not (self.there if here else self.here)
        self.now |= after
        self.here |= here
        self.there |= not here

    def heed(self, after: Seers) -> None:
        """What was attempted last is done, and came to this."""
        self.now = after if self._sure else self.now | after

    def agree(self, sharing: Sharing) -> None:
        """Both sides say so, and nothing is on its way. Whom it keeps, unseen, they do not say."""
        if sharing.visibility == "shared":
            self.now = Seers.exactly("shared", [project for project, _ in sharing.members])
        else:
            self.now = self.now.made(sharing.visibility)
        self.here = self.there = False
