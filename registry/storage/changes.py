"""A change of names: what a transaction writes into the journal, and what a replay reads there."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.records import BlobRecord, ImageRecord, ManifestRecord

FORM = 1
"""The form of the lines; a ledger that meets a newer one refuses to replay it."""


@dataclass(frozen=True, slots=True)
class RecordState:
    """An image record as it is after the change, and the records that it keeps alive."""

    record: ImageRecord
    uses: tuple[str, ...] = ()
    """Ids."""
    members: tuple[tuple[str, str], ...] = ()
    """(project, status)."""
    untold: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """Of a folded or renamed record: (visibility, members) as the image service may have them."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change in one repository; what does not apply is empty."""

    op: str
    """``put``, ``undelete``, ``delete-manifest``, ``delete-tag``, ``link``, ``unlink``,
    ``collect``, ``share``, ``rename`` or ``limits``."""
    repository: RepositoryName
    at: float
    manifest: ManifestRecord | None = None
    references: tuple[tuple[str, str], ...] = ()
    """(digest, kind) that the manifest names."""
    blobs: tuple[BlobRecord, ...] = ()
    """The objects of the blobs that the manifest names, or of the one that is linked."""
    tags: tuple[str, ...] = ()
    """Set by a put, removed by a deletion."""
    digest: Digest | None = None
    """Of what is deleted or unlinked."""
    digests: tuple[Digest, ...] = ()
    """Of blobs that nothing needed here any more."""
    whole: bool = False
    """Whether a manifest is deleted with its whole repository."""
    records: tuple[RecordState, ...] = ()
    gone: tuple[str, ...] = ()
    """Ids of records that end, each before those that it names."""
    agreed: bool = False
    """Whether a ``share`` says here what the image service says already."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """Set by ``limits`` in place of those before; of the whole project, where the path is empty."""


def to_line(change: Change) -> bytes:
    """One JSON object in UTF-8."""
    document: dict[str, Any] = {
        "form": FORM,
        "op": change.op,
        "project": change.repository.project,
        "path": change.repository.path,
        "at": change.at,
    }
    if change.manifest is not None:
        manifest = change.manifest
        document["manifest"] = {
            "digest": str(manifest.digest),
            "media_type": manifest.media_type,
            "content": base64.b64encode(manifest.content).decode(),
            "subject": None if manifest.subject is None else str(manifest.subject),
            "artifact_type": manifest.artifact_type,
            "annotations": dict(manifest.annotations),
        }
    if change.digest is not None:
        document["digest"] = str(change.digest)
    rest = {
        "references": change.references,
        "blobs": [[str(each.digest), each.object, each.size] for each in change.blobs],
        "tags": change.tags,
        "digests": [str(each) for each in change.digests],
        "whole": change.whole,
        "records": [_spell(state) for state in change.records],
        "gone": change.gone,
        "agreed": change.agreed,
        "limits": dict(change.limits),
    }
    document |= {name: value for name, value in rest.items() if value}
    return json.dumps(document, separators=(",", ":")).encode()


def from_line(line: bytes) -> Change:
    """Read what ``to_line`` wrote; raise ValueError where it did not."""
    document = json.loads(line)
    if document.get("form") != FORM:
        raise ValueError(f"a line of form {document.get('form')}; this version reads {FORM}")
    repository = RepositoryName(document["project"], document["path"])
    digest = document.get("digest")
    return Change(
        op=document["op"],
        repository=repository,
        at=document["at"],
        manifest=_read_manifest(document.get("manifest")),
        references=tuple((each[0], each[1]) for each in document.get("references", [])),
        blobs=tuple(
            BlobRecord(Digest.parse(each[0]), each[1], each[2])
            for each in document.get("blobs", [])
        ),
        tags=tuple(document.get("tags", [])),
        digest=None if digest is None else Digest.parse(digest),
        digests=tuple(Digest.parse(each) for each in document.get("digests", [])),
        whole=document.get("whole", False),
        records=tuple(_read(each, repository.project) for each in document.get("records", [])),
        gone=tuple(document.get("gone", [])),
        agreed=document.get("agreed", False),
        limits=document.get("limits", {}),
    )


def _read_manifest(document: Mapping[str, Any] | None) -> ManifestRecord | None:
    if document is None:
        return None
    subject = document["subject"]
    return ManifestRecord(
        digest=Digest.parse(document["digest"]),
        media_type=document["media_type"],
        content=base64.b64decode(document["content"]),
        subject=None if subject is None else Digest.parse(subject),
        artifact_type=document["artifact_type"],
        annotations=document["annotations"],
    )


def _spell(state: RecordState) -> dict[str, Any]:
    record = state.record
    untold = {"untold": state.untold} if state.untold else {}
    return untold | {
        "id": record.id,
        "key": record.key,
        "kind": record.kind,
        "name": record.name,
        "parent_id": record.parent_id,
        "size": record.size,
        "properties": dict(record.properties),
        "visibility": record.visibility,
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "version": record.version,
        "uses": state.uses,
        "members": state.members,
    }


def _read(document: Mapping[str, Any], project: str) -> RecordState:
    record = ImageRecord(
        id=document["id"],
        project=project,
        key=document["key"],
        kind=document["kind"],
        name=document["name"],
        parent_id=document["parent_id"],
        size=document["size"],
        properties=document["properties"],
        visibility=document["visibility"],
        created_at=document["created_at"],
        updated_at=document["updated_at"],
        version=document["version"],
    )
    untold = tuple((each[0], _pairs(each[1])) for each in document.get("untold", []))
    return RecordState(record, tuple(document["uses"]), _pairs(document["members"]), untold)


def _pairs(listed: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((each[0], each[1]) for each in listed)
