"""Names and records in dicts: what the ledger's model knows, and how a change alters it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from registry.oci.chain import RecordDraft
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.changes import Change, RecordState
from registry.storage.records import BlobRecord, ImageRecord, ManifestRecord

Here = tuple[RepositoryName, Digest]


@dataclass(slots=True)
class Names:
    """All that a ledger says of repositories; a replay of the journal makes it again."""

    repositories: set[RepositoryName] = field(default_factory=set)
    blobs: dict[Digest, BlobRecord] = field(default_factory=dict)
    told: dict[Digest, float] = field(default_factory=dict, compare=False)
    """When a line said last what object a blob has."""
    links: dict[Here, float] = field(default_factory=dict)
    """When each was last promised."""
    manifests: dict[Here, ManifestRecord] = field(default_factory=dict)
    references: dict[Here, frozenset[str]] = field(default_factory=dict)
    """The blobs that each manifest names."""
    tags: dict[tuple[RepositoryName, str], Digest] = field(default_factory=dict)
    records: dict[str, RecordState] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        """Make this what it is after *change*."""
        name = change.repository
        if change.op != "limits":
            self.repositories.add(name)
        self._link(change)
        if change.manifest is not None:
            here = name, change.manifest.digest
            self.manifests[here] = change.manifest
            self.references[here] = frozenset(
                digest for digest, kind in change.references if kind == "blob"
            )
            self.tags.update(((name, tag), change.manifest.digest) for tag in change.tags)
        else:
            for tag in change.tags:
                self.tags.pop((name, tag), None)
        if change.op == "delete-manifest":
            assert change.digest is not None
            self.manifests.pop((name, change.digest), None)
            self.references.pop((name, change.digest), None)
        if change.op == "unlink":
            assert change.digest is not None
            self.links.pop((name, change.digest), None)
        for each in change.digests:
            self.links.pop((name, each), None)
        for state in change.records:
            self.records[state.record.id] = replace(state, untold=())
        for gone in change.gone:
            self.records.pop(gone, None)

    def _link(self, change: Change) -> None:
        for blob in change.blobs:
            # Projects' lines come one project after the other: the later one knows the object.
            if self.told.get(blob.digest, 0.0) <= change.at:
                self.blobs[blob.digest], self.told[blob.digest] = blob, change.at
            self.links.setdefault((change.repository, blob.digest), change.at)

    def forget(self, project: str) -> None:
        """Take out all manifests, tags and records of *project*."""
        for here in [here for here in self.manifests if here[0].project == project]:
            del self.manifests[here], self.references[here]
        for tag in [tag for tag in self.tags if tag[0].project == project]:
            del self.tags[tag]
        records = self.records.values()
        for gone in [each.record.id for each in records if each.record.project == project]:
            del self.records[gone]

    def forget_unlinked(self) -> None:
        """Take out the blobs that no repository is linked to."""
        linked = {digest for _, digest in self.links}
        self.blobs = {digest: each for digest, each in self.blobs.items() if digest in linked}

    def is_named(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether a manifest of the repository names the blob."""
        return any(
            str(digest) in named for (where, _), named in self.references.items() if where == name
        )

    def find_by_key(self, project: str, key: str) -> RecordState | None:
        """The record that a project has under a key."""
        for state in self.records.values():
            if (state.record.project, state.record.key) == (project, key):
                return state
        return None

    def resolve(
        self, project: str, drafts: Iterable[RecordDraft], now: float, new_id: Callable[[], str]
    ) -> list[RecordState]:
        """The records that *drafts* make or alter; new ones take their ids from *new_id*."""
        ids: dict[str | None, str] = {}
        altered = []
        for draft in drafts:
            parent_id = None if draft.parent is None else ids[draft.parent]
            uses = tuple(sorted(ids[key] for key in draft.uses))
            present = self.find_by_key(project, draft.key)
            if present is None:
                record = ImageRecord.begin(draft, project, parent_id, now, new_id())
                state = RecordState(record, uses)
                altered.append(state)
            else:
                record = replace(
                    present.record,
                    name=draft.name,
                    parent_id=parent_id,
                    size=draft.size,
                    properties=dict(draft.properties),
                )
                state = replace(present, record=record, uses=uses)
                if state != present:
                    newer = replace(record, updated_at=now, version=record.version + 1)
                    state = replace(state, record=newer)
                    altered.append(state)
            ids[draft.key] = state.record.id
        return altered

    def ended(self, change: Change) -> tuple[str, ...]:
        """Ids of the records that end with *change*, each before those that it names."""
        after = Names(
            manifests=dict(self.manifests), tags=dict(self.tags), records=dict(self.records)
        )
        after.apply(change)
        name = change.repository
        keys = {f"tag:{name.path}:{tag}" for tag in change.tags} if change.manifest is None else ()
        gone = [
            state.record.id
            for state in after.records.values()
            if state.record.project == name.project
            and (
                state.record.key in keys
                or (
                    change.op == "delete-manifest"
                    and state.record.key == f"repository:{name.path}"
                    and not any(where == name for where, _ in after.manifests)
                )
            )
        ]
        for ended in gone:
            del after.records[ended]
        while lost := _unnamed(after.records):
            gone += lost
            for ended in lost:
                del after.records[ended]
        return tuple(gone)


def _unnamed(records: Mapping[str, RecordState]) -> list[str]:
    named = {state.record.parent_id for state in records.values()}
    named |= {used for state in records.values() for used in state.uses}
    return [
        each
        for each, state in records.items()
        if state.record.kind in {"layer", "manifest"} and each not in named
    ]
