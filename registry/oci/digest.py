"""A content's own name (image-spec, descriptor.md#digests)."""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from registry.oci.errors import DigestInvalid

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


class Hasher(Protocol):
    """What hashlib's objects can do, as far as it is used."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A verified spelling of ``algorithm:encoded``."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read *text*; raise DigestInvalid if it is no sha256 or sha512 digest."""
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise DigestInvalid(
                "a digest is written algorithm:encoded, as in sha256:<64 hex digits>"
            )
        length = _LENGTHS.get(algorithm)
        if length is None:
            raise DigestInvalid(f"unsupported digest algorithm; use one of {', '.join(_LENGTHS)}")
        if len(encoded) != length or not _HEX.fullmatch(encoded):
            raise DigestInvalid(f"a {algorithm} digest has {length} lower-case hex digits")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """The digest of *content*."""
        hasher = new_hasher(algorithm)
        hasher.update(content)
        return cls(algorithm, hasher.hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


def new_hasher(algorithm: str) -> Hasher:
    """An empty hasher; raise DigestInvalid if *algorithm* is not supported."""
    if algorithm not in _LENGTHS:
        raise DigestInvalid(f"unsupported digest algorithm; use one of {', '.join(_LENGTHS)}")
    return hashlib.new(algorithm, usedforsecurity=True)
