"""Image records as the Image API shows them, read once, at the door (pure)."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

EMPTY_TARS = frozenset(
    {
        # 10,240 zeros, as tar writes it; 1,024 zeros, as docker and buildkit do.
        "sha256:84ff92691f909a05b224e1c56abb4864f01b4f8e3c854e4bb4c7baf1d3f6d652",
        "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
    }
)
"""Diff IDs of layers that change nothing."""
EMPTY_SIZE = 10_240
"""Bytes of an empty tar: how such layers are shown, however they were compressed."""
_TOLD_APART = frozenset(
    {"id", "name", "owner", "disk_format", "container_format", "visibility", "status", "parent_id"}
    | {"size", "min_disk", "min_ram", "file", "schema", "self"}
)
"""Fields that may be text and yet are no properties."""


@dataclass(frozen=True, slots=True)
class Record:
    """An image, a layer, a manifest or a repository; or a VM image, which has no *kind*."""

    id: str
    name: str | None = None
    owner: str = ""
    """The project that has it."""
    disk_format: str = ""
    container_format: str = ""
    size: int | None = None
    visibility: str = "private"
    status: str = "active"
    min_disk: int = 0
    min_ram: int = 0
    parent_id: str | None = None
    protected: bool = False
    hidden: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    """All other fields that are text."""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read an image of the Image API; raise ValueError where it is none."""
        if not _text(document, "id"):
            raise ValueError("an image without an id")
        others = {
            str(name): value
            for name, value in document.items()
            if name not in _TOLD_APART and isinstance(value, str)
        }
        return cls(
            id=document["id"],
            name=_text(document, "name") or None,
            owner=_text(document, "owner"),
            disk_format=_text(document, "disk_format"),
            container_format=_text(document, "container_format"),
            size=_number(document.get("size")),
            visibility=_text(document, "visibility"),
            status=_text(document, "status"),
            min_disk=_number(document.get("min_disk")) or 0,
            min_ram=_number(document.get("min_ram")) or 0,
            parent_id=_text(document, "parent_id") or None,
            protected=document.get("protected") is True,
            hidden=document.get("os_hidden") is True,
            properties=others,
        )

    @property
    def kind(self) -> str:
        """``tag``, ``manifest``, ``layer``, ``repository``; empty for a VM image."""
        return self.properties.get("oci_kind", "")

    @property
    def is_image(self) -> bool:
        """Whether it is what people call an image: a tag or a VM image."""
        return self.kind in {"", "tag"}

    @property
    def repository(self) -> str:
        """Without its project; empty where it belongs to none."""
        return self.properties.get("oci_repository", "")

    @property
    def digest(self) -> str:
        return self.properties.get("oci_digest", "")

    @property
    def children(self) -> tuple[str, ...]:
        """Digests of an index's manifests, in its order."""
        return tuple(self.properties.get("oci_children", "").split())

    @property
    def shown_size(self) -> int | None:
        """Bytes, as people see it: of what was pushed, for Glance itself holds none of that."""
        if self.properties.get("oci_diff_id") in EMPTY_TARS:
            return EMPTY_SIZE
        return _number(self.properties.get("oci_size")) if self.kind else self.size

    @property
    def preference(self) -> int:
        """0 unless the record says otherwise."""
        return _number(self.properties.get("preference")) or 0

    @property
    def label(self) -> str:
        """How people name it: ``project/name``, else its id."""
        return "/".join(part for part in (self.owner, self.name) if part) if self.name else self.id


def readings(text: str) -> tuple[tuple[str, str | None], ...]:
    """What a NAME may mean: (name, project), the project None where any will do."""
    project, slash, rest = text.partition("/")
    return ((text, None), (rest, project)) if slash and project and rest else ((text, None),)


def is_id(text: str) -> bool:
    """Whether *text* is spelt as a record's id is."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def as_json(record: Record) -> dict[str, Any]:
    """The record for programs: a table's columns, then the rest."""
    return {
        "id": record.id,
        "name": record.name,
        "disk_format": record.disk_format,
        "size": record.shown_size,
        "is_public": record.visibility == "public",
        "min_disk": record.min_disk,
        "min_ram": record.min_ram,
        "status": record.status,
        "preference": record.preference,
        "parent_id": record.parent_id,
        "project": record.owner,
        "visibility": record.visibility,
        "container_format": record.container_format,
        "protected": record.protected,
        "hidden": record.hidden,
        "properties": dict(sorted(record.properties.items())),
    }


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
