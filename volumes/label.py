"""What a volume is, in a file beside its bytes: what there is can be read from disk alone."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from volumes.faults import VolumeFailed
from volumes.files import flush

NAME: Final = "label.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One volume."""

    id: str
    name: str
    """What the set that has it, or had it last, calls it."""
    driver: str
    quota: int | None
    """Usable bytes."""
    inodes: int | None = None
    set: str
    project: str
    made: str
    """RFC 3339."""
    whole: bool = False
    """Its bytes are there, and are not made again should they be gone."""
    owner: Mapping[str, str] = field(default_factory=dict)
    """The agent's, and the shim's."""


def write(path: Path, label: Label) -> None:
    """Write a label, whole and durably. Raises OSError."""
    fresh = path.with_name(f".{path.name}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(asdict(label), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    flush(path.parent)


def read(path: Path) -> Label:
    """Read a label. Raises VolumeFailed where it cannot be understood, OSError where not read."""
    try:
        value: dict[str, Any] = json.loads(path.read_text("utf-8"))
        known = {each.name for each in fields(Label)}
        return Label(**{name: what for name, what in value.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise VolumeFailed(f"the label {path} cannot be read: {error}") from None
