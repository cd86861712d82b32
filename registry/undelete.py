"""Rules of taking back what was deleted: tags, manifests, whole repositories."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from registry.describe import Describer
from registry.limits import Leave
from registry.oci import manifest as manifests
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown, TagTaken
from registry.oci.names import Reference, RepositoryName, Tag
from registry.push import PushRules
from registry.storage.ports.trash import Emptied, Trash, TrashEntry
from registry.storage.records import ManifestPut, ManifestRecord
from registry.storage.storage import Storage

PAGE = 1000
"""Entries that are read at a time."""
STEP = 50
"""Manifests deleted in one transaction: short enough that no push waits long."""
MOST = 500
"""Manifests deleted or taken back by one call; whoever asks goes on while there are more."""


@dataclass(slots=True)
class Restored:
    """What came back."""

    manifests: list[tuple[Digest, tuple[str, ...]]] = field(default_factory=list)
    """Each with the tags that it has again."""
    taken: dict[str, Digest] = field(default_factory=dict)
    """Tags that stayed where they are by now, and what they are on."""
    more: bool = False
    """Whether there is more to take back."""


async def restore(
    storage: Storage,
    trash: Trash,
    rules: PushRules,
    repository: RepositoryName,
    wanted: Reference | None,
    leave: Leave | None = None,
) -> Restored:
    """Take back a tag; a manifest with the tags it lost; or what went with the whole repository.

    An index brings back those of its manifests that are in the trash too. Raises ManifestUnknown
    where the trash has none such, and TagTaken where a tag that was asked for is on another
    manifest by now; ManifestBlobUnknown where something that it names is gone for good, and
    QuotaExceeded.
    """
    entries = await _all(trash, repository)
    restorer = _Restorer(storage, trash, rules, repository, entries, leave or Leave())
    if wanted is None:
        await restorer.restore_whole(entries)
    elif isinstance(wanted, Tag):
        entry = next((each for each in entries if wanted.name in each.tags), None)
        found = _found(entry, f"tag {wanted}", repository)
        await restorer.restore(found.digest, [wanted.name], insists=True)
    else:
        entry = next((each for each in entries if each.digest == wanted), None)
        await restorer.restore(wanted, _found(entry, str(wanted), repository).tags)
    return restorer.restored


async def empty(storage: Storage, trash: Trash, repository: RepositoryName) -> Emptied:
    """Delete a repository's manifests and tags, MOST at a time; raises NameUnknown.

    A repeat goes on, and one that finds nothing left says so by zeros.
    """
    await storage.ledger.list_tags(repository, limit=1)
    manifests = tags = 0
    while True:
        step = await trash.empty(repository, limit=STEP)
        if step.position is not None:
            await storage.flusher.flush(step.position)
        manifests += step.manifests
        tags += step.tags
        if not step.more or manifests >= MOST:
            return Emptied(manifests, tags, step.position, step.more)


class _Restorer:
    def __init__(
        self,
        storage: Storage,
        trash: Trash,
        rules: PushRules,
        repository: RepositoryName,
        entries: Iterable[TrashEntry],
        leave: Leave,
    ) -> None:
        """*entries* are all that the repository has in the trash, the newest first."""
        self._storage = storage
        self._trash = trash
        self._rules = rules
        self._leave = leave
        self._repository = repository
        self._newest: dict[Digest, TrashEntry] = {}
        for each in entries:
            self._newest.setdefault(each.digest, each)
        self.restored = Restored()

    async def restore_whole(self, entries: Iterable[TrashEntry]) -> None:
        """All that went with the repository, each tag as it was last."""
        whole = [each for each in entries if each.whole]
        if not whole:
            raise ManifestUnknown(
                f"{self._repository} was not deleted as a whole, or its term is over; "
                "name a tag or a digest of its trash"
            )
        newest: dict[str, Digest] = {}
        tags: dict[Digest, list[str]] = {each.digest: [] for each in whole}
        for each in whole:
            for name in each.tags:
                if newest.setdefault(name, each.digest) == each.digest:
                    tags[each.digest].append(name)
        for digest, names in tags.items():
            if len(self.restored.manifests) >= MOST:
                self.restored.more = True
                return
            if await self._is_absent(digest) or await self._untaken(digest, names):
                await self.restore(digest, names)

    async def restore(self, digest: Digest, names: Iterable[str], *, insists: bool = False) -> None:
        """Put *digest* back under *names*, what it names and lacks before it.

        Without *insists* tags that are on something else by now are left there.
        """
        wanted = {digest: tuple(dict.fromkeys(names))}
        waiting = [digest]
        told: set[Digest] = set()
        while waiting:
            top = waiting[-1]
            entry = self._newest.get(top)
            if entry is None or top in told:
                waiting.pop()
                continue
            content = await self._trash.content(entry.id)
            children = manifests.parse(content, entry.media_type).children
            lacking = [each for each in dict.fromkeys(children)
                       if each not in told and each not in waiting
                       and each in self._newest and await self._is_absent(each)]  # fmt: skip
            if lacking:
                waiting += lacking
                continue
            told.add(waiting.pop())
            await self._put(entry, content, wanted.get(top, ()), insists=insists)

    async def _put(
        self, entry: TrashEntry, content: bytes, names: tuple[str, ...], *, insists: bool
    ) -> None:
        kept = names if insists else await self._untaken(entry.digest, names)
        while True:
            try:
                await self._put_back(entry, content, kept)
            except TagTaken:
                if insists:
                    raise
                kept = await self._untaken(entry.digest, kept)  # somebody was faster
            else:
                self.restored.manifests.append((entry.digest, kept))
                return

    async def _put_back(self, entry: TrashEntry, content: bytes, names: tuple[str, ...]) -> None:
        manifest = manifests.parse(content, entry.media_type)
        record = ManifestRecord(
            digest=entry.digest,
            media_type=manifest.media_type,
            content=content,
            subject=manifest.subject,
            artifact_type=manifest.artifact_type,
            annotations=manifest.annotations,
        )
        tags = [Tag.parse(name) for name in names]
        trusting = self._rules.require_references
        describer = Describer(self._storage, entry.repository, trusting=trusting)
        put = ManifestPut(
            repository=entry.repository,
            manifest=record,
            tags=tuple(tags),
            blobs=manifest.blobs,
            manifests=manifest.children,
            drafts=await describer.draft(tags, record, manifest) if tags else (),
            sparse=not trusting,
        )
        await self._storage.flusher.flush(await self._trash.put_back(put, self._leave))

    async def _is_absent(self, digest: Digest) -> bool:
        try:
            await self._storage.ledger.find_manifest(self._repository, digest)
        except ManifestUnknown:
            return True
        return False

    async def _untaken(self, digest: Digest, names: Iterable[str]) -> tuple[str, ...]:
        """Those of *names* that are on nothing else; the others are remembered as taken."""
        free = []
        for name in names:
            try:
                held = await self._storage.ledger.find_manifest(self._repository, Tag.parse(name))
            except ManifestUnknown:
                free.append(name)
                continue
            if held.digest == digest:
                free.append(name)
            else:
                self.restored.taken[name] = held.digest
        return tuple(free)


def _found(entry: TrashEntry | None, what: str, repository: RepositoryName) -> TrashEntry:
    if entry is None:
        raise ManifestUnknown(
            f"the trash of {repository} has no {what}: it was not deleted there, or its term "
            "is over; the trash list shows what can be taken back"
        )
    return entry


async def _all(trash: Trash, repository: RepositoryName) -> list[TrashEntry]:
    found: list[TrashEntry] = []
    page = await trash.list(repository=repository, limit=PAGE)
    while page:
        found += page
        page = await trash.list(repository=repository, after=page[-1].key, limit=PAGE)
    return found
