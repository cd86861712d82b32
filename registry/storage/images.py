"""Image records as the cloud shows them: the port, and what it speaks of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from registry.storage.records import ImageRecord

NAME: Final = 255
"""Characters of a name at most; so many have those of a property, too."""
VALUE: Final = 4096
"""Bytes of a property's value at most, in UTF-8 (a database may hold more)."""
PROPERTIES: Final = 128
"""At most, of one record."""
PARENT: Final = "parent_id"
_CUT: Final = "…"


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

    async def set_member(self, image: str, project: str, status: str) -> None:
        """Share a shared image with *project*. Raises Absent."""
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


def image_of(record: ImageRecord) -> Image:
    """What an image service shows of *record*.

    Names and values are shortened to what it takes, and so are their characters: Glance refuses
    those of four bytes, and PostgreSQL the one of none. Layers are hidden there, where people look
    for images; Berth's own Image API shows them.
    """
    shown = {
        name: fitting(value, characters=VALUE, size=VALUE)
        for name, value in sorted(record.properties.items())[: PROPERTIES - 1]
        if len(name) <= NAME
    }
    if record.parent_id is not None:
        shown[PARENT] = record.parent_id
    return Image(
        id=record.id,
        owner=record.project,
        name=fitting(record.name or "", characters=NAME, size=4 * NAME),
        visibility=record.visibility,
        hidden=record.kind != "tag",
        protected=record.protected,
        properties=shown,
    )


def fitting(text: str, *, characters: int, size: int) -> str:
    """*text* of at most so many characters, and *size* bytes; an ellipsis where it was longer."""
    plain = "".join("\ufffd" if _is_odd(each) else each for each in text[: characters + 1])
    whole = plain.encode()
    if len(text) <= characters and len(whole) <= size:
        return plain
    room = size - len(_CUT.encode())
    return plain[: characters - 1].encode()[:room].decode("utf-8", "ignore") + _CUT


def _is_odd(character: str) -> bool:
    return character == "\0" or character > "\uffff" or "\ud800" <= character <= "\udfff"


def differences(before: Image, after: Image) -> list[dict[str, object]]:
    """The steps from *before* to *after*, as a JSON patch in Glance's form (v2.1)."""
    steps: list[dict[str, object]] = []
    for field_name, old, new in (
        ("name", before.name, after.name),
        ("visibility", before.visibility, after.visibility),
        ("os_hidden", before.hidden, after.hidden),
        ("protected", before.protected, after.protected),
    ):
        if old != new:
            steps.append({"op": "replace", "path": f"/{field_name}", "value": new})
    for name, value in after.properties.items():
        if before.properties.get(name) != value:
            steps.append({"op": "add", "path": _pointer(name), "value": value})
    ended = sorted(before.properties.keys() - after.properties.keys())
    steps += [{"op": "remove", "path": _pointer(name)} for name in ended if _is_ours(name)]
    return steps


def _is_ours(name: str) -> bool:
    return name == PARENT or name.startswith("oci_")


def _pointer(name: str) -> str:
    """RFC 6901."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
