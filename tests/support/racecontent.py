"""What the processes of a race push: told in few words, so that each can write down what it has."""

import functools
import json
from dataclasses import dataclass
from typing import Any, Self

from registry.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from support import builders
from support.builders import LAYER, descriptor

REPOSITORIES = (
    RepositoryName("shoes", "red"),
    RepositoryName("shoes", "blue"),
    RepositoryName("hats", "straw"),
)
WORDS = "abcdefghijkl"
"""Layers that all images are made of, so that everybody meets at the same blobs."""
SIGNATURE = "application/vnd.example.signature"
NOTHING = b"{}"
"""A referrer's config."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A manifest: an image of layers, an index of images, or a referrer to *about*."""

    words: tuple[str, ...] = ()
    """Its layers; one that is longer than a letter is of whoever pushed it, alone."""
    parts: tuple[Self, ...] = ()
    about: Self | None = None

    @property
    def media_type(self) -> str:
        return OCI_INDEX if self.parts else OCI_MANIFEST

    @property
    def content(self) -> bytes:
        return _content(self)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    @property
    def blobs(self) -> list[bytes]:
        """Those that it names itself."""
        if self.parts:
            return []
        image = builders.image(*self.words)
        return [NOTHING, *image.layers] if self.about is not None else image.blobs

    @property
    def is_own(self) -> bool:
        """Whether nobody else pushes it."""
        return any(len(word) > 1 for word in self.words)

    def spell(self) -> Any:
        """As JSON."""
        about = None if self.about is None else self.about.spell()
        return [list(self.words), [each.spell() for each in self.parts], about]

    @classmethod
    def read(cls, spelt: Any) -> Self:
        """Out of JSON."""
        words, parts, about = spelt
        subject = None if about is None else cls.read(about)
        return cls(tuple(words), tuple(map(cls.read, parts)), subject)


@functools.cache
def _content(thing: Thing) -> bytes:
    if thing.parts:
        return builders.index(*(builders.image(*each.words) for each in thing.parts))
    image = builders.image(*thing.words)
    if thing.about is None:
        return image.manifest
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": SIGNATURE,
        "config": descriptor(OCI_CONFIG, NOTHING),
        "layers": [descriptor(LAYER, each) for each in image.layers],
        "subject": descriptor(thing.about.media_type, thing.about.content),
    }
    return json.dumps(document).encode()
