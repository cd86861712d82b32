"""What may be true of a registry's names after answers that came, and answers that did not."""

import base64
import random
from dataclasses import dataclass, field
from functools import cache

from registry.oci.descriptor import OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import Image, image, index

KIB = 1024
SIZES = {"a": 300, "b": 2 * KIB, "c": 6 * KIB, "d": 20 * KIB, "e": 45 * KIB, "f": 90 * KIB}
"""Of layers' contents in bytes, by their word: on both sides of all limits."""


class Wrong(AssertionError):
    """What the registry must never do."""


class Missing(Wrong):
    """It says that something is absent, and it must be there."""


@dataclass(frozen=True)
class Pushed:
    """A manifest, or an index with the manifests that it names."""

    content: bytes = field(repr=False)
    media_type: str
    blobs: tuple[bytes, ...] = field(repr=False)
    """Those that must be there for it, its children's too."""
    children: tuple["Pushed", ...] = field(default=(), repr=False)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    def needs(self, digest: Digest) -> bool:
        """Whether it names that manifest."""
        return self.digest == digest or any(each.digest == digest for each in self.children)


@cache
def text(word: str) -> str:
    """Content that no compression makes smaller than its size."""
    return base64.b64encode(random.Random(word).randbytes(SIZES[word])).decode()


@cache
def built(words: str) -> Image:
    return image(*map(text, words))


@cache
def pushed(words: str) -> Pushed:
    """An image of a layer for each letter of *words*."""
    made = built(words)
    return Pushed(made.manifest, OCI_MANIFEST, tuple(made.blobs))


@cache
def pushed_index(several: tuple[str, ...]) -> Pushed:
    children = tuple(pushed(words) for words in several)
    content = index(*(built(words) for words in several))
    blobs = tuple(dict.fromkeys(blob for each in children for blob in each.blobs))
    return Pushed(content, OCI_INDEX, blobs, children)


@dataclass
class Belief:
    """What a tag may be: what was acknowledged last, or what was tried since without an answer."""

    settled: Pushed | None = None
    maybe: list[Pushed | None] = field(default_factory=list)
    told: Pushed | None = None
    """What was acknowledged last; ``settled`` may only have been seen since."""
    tried: list[Pushed | None] = field(default_factory=list)
    """What was tried since then, seen or not."""
    past: list[Pushed | None] = field(default_factory=lambda: [None])
    """All that it ever may have been."""
    ends: bool = False
    """It was thrown away where that is noticed only after a while: it may go though it was seen."""

    @property
    def possible(self) -> list[Pushed | None]:
        return [self.settled, *self.maybe]

    def attempt(self, value: Pushed | None) -> None:
        """Somebody is told to make it so."""
        for each in (self.maybe, self.tried, self.past):
            each.append(value)

    def withdraw(self) -> None:
        """The last attempt was refused."""
        for each in (self.maybe, self.tried):
            each.pop()

    def acknowledge(self, value: Pushed | None) -> None:
        """It is so, and stays so whatever happens."""
        self.settled = self.told = value
        self.maybe.clear()
        self.tried.clear()
        self.ends = False

    def see(self, value: Pushed | None) -> None:
        """It is so now: what was not acknowledged may be lost with the ledger."""
        self.settled = value
        self.ends = self.ends and value is not None
        self.maybe = [None] if self.ends else []

    def take_away(self, what: Pushed, *, told: bool) -> None:
        """The manifest is gone, and with it the tag if it was on it; *told*: that is acknowledged.

        The last attempt was to make it so.
        """
        self.settled, *self.maybe = [_but(what, value) for value in self.possible[:-1]]
        if told:
            self.told, *self.tried = [_but(what, value) for value in [self.told, *self.tried[:-1]]]

    def forget(self) -> None:
        """The ledger was lost: what was seen and not acknowledged may not be so any more."""
        self.settled, self.maybe = self.told, list(self.tried)


def _but(what: Pushed, value: Pushed | None) -> Pushed | None:
    return None if value == what else value


@dataclass
class Repository:
    """Names that one actor alone changes."""

    name: str
    """With its project's."""
    tags: dict[str, Belief] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)
    """What was acknowledged: with a grace it stays for that long, unless the ledger is lost."""

    @property
    def path(self) -> str:
        return self.name.partition("/")[2]

    def belief(self, tag: str) -> Belief:
        return self.tags.setdefault(tag, Belief())

    def see(self, tag: str, content: bytes | None, *, old: bool) -> Pushed | None:
        """A tag was read when nobody was changing it; raises Wrong where that cannot be.

        *old*: by a ledger that may be an earlier one. It too may not deny what was acknowledged.
        """
        belief = self.belief(tag)
        may = belief.past if old else belief.possible
        if old and content is None and belief.told is not None and None not in belief.tried:
            may = belief.possible
        for value in may:
            if content == (None if value is None else value.content):
                if not old:
                    belief.see(value)
                return value
        shown = "absent" if content is None else f"{Digest.of(content)}"
        told = [None if value is None else str(value.digest) for value in may]
        raise Wrong(f"{self.name}:{tag} is {shown}, and may be only one of {told}")

    def forget(self) -> None:
        """The ledger was lost, and made anew out of the journal."""
        self.blobs.clear()
        for belief in self.tags.values():
            belief.forget()
