"""Manifest and config to image records: a chain of layers, parents first."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordDraft:
    """An image record before it has an id; identified by (project, *key*) for as long as it lives.

    Drafts come parents first. A record that no tag reaches any more is removed by the ledger:
    layer and manifest records live as long as something names them as parent or in *uses*.
    """

    key: str
    """``repository:<path>``, ``tag:<path>:<tag>``, ``manifest:<path>@<digest>`` or ``layer:<hex>``.

    A layer's hex is a digest of (parent's key, diff ID, blob digest).
    """
    kind: str
    """``repository``, ``tag``, ``manifest`` or ``layer``."""
    name: str | None
    parent: str | None
    """The parent's key."""
    size: int
    """Bytes, as people see it: ``oci_size``."""
    properties: Mapping[str, str]
    uses: tuple[str, ...] = ()
    """Keys of the manifest records that a tag of an index keeps alive."""
