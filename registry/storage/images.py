"""What an image service shows of a record, and how one image becomes another; pure."""

from typing import Final

from registry.storage.ports.images import Image
from registry.storage.records import ImageRecord

NAME: Final = 255
"""Characters of a name at most; so many have those of a property, too."""
VALUE: Final = 4096
"""Bytes of a property's value at most, in UTF-8 (a database may hold more)."""
PROPERTIES: Final = 128
"""At most, of one record."""
PARENT: Final = "parent_id"
_CUT: Final = "…"


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
