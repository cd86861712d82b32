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

    @property
    def possible(self) -> list[Pushed | None]:
        return [self.settled, *self.maybe]

    def acknowledge(self, value: Pushed | None) -> None:
        self.settled = value
        self.maybe.clear()


@dataclass
class Repository:
    """Names that one actor alone changes."""

    name: str
    tags: dict[str, Belief] = field(default_factory=dict)
    blobs: set[Digest] = field(default_factory=set)
    """What was acknowledged: with a grace it stays for that long."""

    def belief(self, tag: str) -> Belief:
        return self.tags.setdefault(tag, Belief())

    def needs(self, digest: Digest) -> bool:
        """Whether a manifest may be in use under some tag."""
        beliefs = self.tags.values()
        return any(value.needs(digest) for each in beliefs for value in each.possible if value)

    def see(self, tag: str, content: bytes | None) -> Pushed | None:
        """A tag was read when nobody was changing it; raises Wrong where that cannot be."""
        belief = self.belief(tag)
        for value in belief.possible:
            if content == (None if value is None else value.content):
                belief.acknowledge(value)
                return value
        shown = "absent" if content is None else f"{Digest.of(content)}"
        told = [None if value is None else str(value.digest) for value in belief.possible]
        raise Wrong(f"{self.name}:{tag} is {shown}, and may be only one of {told}")
