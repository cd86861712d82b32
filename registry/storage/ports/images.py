"""Image records as the cloud shows them: the ports of an image service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Absent(Exception):
    """There is no such image, or no more."""


class Taken(Exception):
    """The id belongs to an image, or did once."""


class Refused(Exception):
    """The image service does not take it, and will not the next time: why, in its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What of an image anybody may see who sees it."""

    id: str
    owner: str
    """Id of a project."""
    name: str = ""
    visibility: str = "private"
    hidden: bool = False
    protected: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    active: bool = True
    """Whether it has its data, which are empty."""

    def is_of(self, project: str, kind: str) -> bool:
        """Whether it looks like ours; what looks so grants nobody anything."""
        return self.owner == project and self.properties.get("oci_kind") == kind


class ImageService(Protocol):
    """Images of all projects, as the registry's service user sees and changes them.

    Success is a fact about the cloud: what is so already is no error. Any method may raise
    StorageUnavailable, whereupon nobody knows whether it was done; one that writes may raise
    Refused.
    """

    async def create(self, image: Image) -> None:
        """Make *image*, active. Raises Taken. What breaks off on the way leaves it inactive."""
        ...

    async def find(self, image: str) -> Image:
        """By id, whatever its visibility; raises Absent."""
        ...

    async def find_listed(self, images: Sequence[str]) -> list[Image]:
        """Those of *images* (100 at most) that a list shows; to be absent from it means nothing."""
        ...

    async def change(self, before: Image, after: Image) -> None:
        """Turn *before*, as it was found, into *after*: what differs, and nothing else.

        Properties whose names do not begin with ``oci_`` stay, but for the parent. Raises Absent.
        """
        ...

    async def delete(self, image: str) -> None:
        """Remove it, even if it is protected."""
        ...

    async def members(self, image: str) -> Mapping[str, str]:
        """Status by project; empty where its visibility is not ``shared``. Raises Absent."""
        ...

    async def add_member(self, image: str, project: str, status: str) -> None:
        """Share a shared image with *project*; of one that is a member already all stays.

        Raises Absent.
        """
        ...

    async def set_member(self, image: str, project: str, status: str) -> None:
        """Have *project*, a member, say *status*. Raises Absent, also where it is none."""
        ...

    async def remove_member(self, image: str, project: str) -> None:
        """Share it with *project* no more. Raises Absent."""
        ...


class CallerImages(Protocol):
    """Images as a caller sees them: he is asked for with his own token, never as the registry."""

    async def find_seen(
        self, token: str | None, project: str, images: Sequence[str]
    ) -> frozenset[str]:
        """Those of *images*, by id, that are *project*'s and are seen with *token*.

        Without a token those that are public. Several *images* must not be hidden ones. A token
        that is not good sees nothing. Raises StorageUnavailable.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...
