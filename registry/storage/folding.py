"""Folding a journal (pure): fewer lines that make the same names, in place of all that led there.

A fold reads its lines twice. First it ``look``s at each, to know what is left of it in the end;
then it is ``folded`` line by line. What comes out are ordinary lines, the last of each project at
the project's head: a fold of n lines up to sequence s has the sequences s-n+1 to s. A ledger that
holds nothing of a project, set to s-n, takes them like any others.

Left out are links that no manifest uses, which a rebuild does not promise. Deletions stay, with
what they took, for as long as it can be taken back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from registry.oci.names import RepositoryName
from registry.storage.changes import Change, RecordState, from_line, to_line
from registry.storage.records import BlobRecord, JournalLine, Position
from registry.storage.sharing import Sharing, untold

NEVER: Final = float("inf")
"""No deletion came after it."""
UNTOLD: Final = 3
"""Of what was said of a record, the last that are kept until the image service has it."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What is folded of one project: the sequences after *start*, up to *end*."""

    start: int
    end: int


@dataclass(slots=True)
class _Thrown:
    """What one line put into the trash: a manifest, or a tag of it, with what that needs."""

    sequence: int
    digest: str
    tags: set[str]
    brought: int
    """The line that brought the manifest."""
    tagged: dict[str, int]
    """Tag -> the line that put it there, where the deletion says no more than the tag."""

    def needs(self) -> set[int]:
        return {self.sequence, self.brought, *self.tagged.values()}


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is left of lines for the trash alone."""

    thrown: Mapping[int, set[str]]
    """A deletion's line -> the tags that can still be taken back."""
    needed: set[int]
    tagged: Mapping[int, set[str]]
    """A line -> tags that it put there and that were deleted."""

    @classmethod
    def of(cls, trash: Iterable[_Thrown]) -> Self:
        """Of all that can be taken back."""
        thrown: dict[int, set[str]] = {}
        tagged: dict[int, set[str]] = {}
        needed: set[int] = set()
        for each in trash:
            thrown.setdefault(each.sequence, set()).update(each.tags)
            needed |= each.needs()
            for tag, put in each.tagged.items():
                tagged.setdefault(put, set()).add(tag)
        return cls(thrown, needed, tagged)


@dataclass(slots=True)
class _Repository:
    """What is left of one repository; numbers are sequences of lines."""

    last: int = 0
    manifests: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Digest -> the line that brought it, and its media type."""
    tags: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Tag -> the line that put it there, and the manifest that it is on."""
    links: dict[str, BlobRecord] = field(default_factory=dict)
    trash: list[_Thrown] = field(default_factory=list)
    throwing: bool = False
    """Whether a deletion was kept: then every later one is, whatever the clock said."""
    kept: _Kept | None = None
    """Known once all lines were looked at."""

    def look(self, sequence: int, change: Change, since: float) -> None:
        self.last = sequence
        self.links.update((str(each.digest), each) for each in change.blobs)
        digest = str(change.digest)
        if change.op in {"delete-manifest", "delete-tag"}:
            self.throwing = self.throwing or change.at >= since
            if self.throwing:
                self._throw(sequence, change)
        if change.manifest is not None:
            pushed = str(change.manifest.digest)
            held = self.manifests.get(pushed)
            if held is None or held[1] != change.manifest.media_type:
                self.manifests[pushed] = sequence, change.manifest.media_type
            self.tags.update(dict.fromkeys(change.tags, (sequence, pushed)))
            if change.op == "undelete":
                self._take_out(pushed, change.tags)
        else:
            for tag in change.tags:
                self.tags.pop(tag, None)
        if change.op == "delete-manifest":
            self.manifests.pop(digest, None)
        elif change.op == "unlink":
            self.links.pop(digest, None)
        for each in change.digests:
            self.links.pop(str(each), None)

    def _throw(self, sequence: int, change: Change) -> None:
        if change.digest is not None:
            digest = str(change.digest)
            if digest in self.manifests:
                brought, _ = self.manifests[digest]
                self.trash.append(_Thrown(sequence, digest, set(change.tags), brought, {}))
            return
        for tag in change.tags:
            if tag in self.tags:
                put, digest = self.tags[tag]
                brought, _ = self.manifests[digest]
                self.trash.append(_Thrown(sequence, digest, {tag}, brought, {tag: put}))

    def _take_out(self, digest: str, tags: Iterable[str]) -> None:
        """A manifest was put back under *tags*: its entries lose these, and end without any."""
        for entry in self.trash:
            if entry.digest == digest:
                entry.tags.difference_update(tags)
        self.trash = [each for each in self.trash if each.digest != digest or each.tags]

    def alive(self) -> set[int]:
        """The lines of which something is left; of a repository that is empty, its last one."""
        found = {sequence for sequence, _ in self.manifests.values()}
        found |= {sequence for sequence, _ in self.tags.values()}
        found.update(*(each.needs() for each in self.trash))
        return found or {self.last}

    def rest(self, sequence: int, change: Change, objects: Mapping[str, BlobRecord]) -> Change:
        """What is left of a line that is alive; *objects* are those that blobs have in the end."""
        if self.kept is None:
            self.kept = _Kept.of(self.trash)
        thrown = self.kept.thrown.get(sequence)
        if thrown is not None:
            return replace(change, tags=tuple(sorted(thrown)), records=(), gone=())
        pushed = change.manifest
        if pushed is None or not (
            sequence in self.kept.needed or str(pushed.digest) in self.manifests
        ):
            return Change("share", change.repository, change.at)
        named = (str(digest) for digest, kind in change.references if kind == "blob")
        again = self.kept.tagged.get(sequence, ())
        return Change(
            op="put",
            repository=change.repository,
            at=change.at,
            manifest=change.manifest,
            references=change.references,
            blobs=tuple(objects[digest] for digest in named if digest in self.links),
            tags=tuple(
                tag for tag in change.tags
                if tag in again or self.tags.get(tag, (0, ""))[0] == sequence
            ),
        )  # fmt: skip


@dataclass(slots=True)
class _Project:
    head: int = 0
    repositories: dict[RepositoryName, _Repository] = field(default_factory=dict)
    records: dict[str, RecordState] = field(default_factory=dict)
    """With what of them the image service may not have been told."""
    limits: dict[RepositoryName, int] = field(default_factory=dict)
    """The lines that set those that hold."""

    def look(self, sequence: int, change: Change, since: float) -> None:
        self.head = sequence
        if change.op == "limits":
            self.limits.pop(change.repository, None)
            if change.limits:
                self.limits[change.repository] = sequence
        else:
            repository = self.repositories.setdefault(change.repository, _Repository())
            repository.look(sequence, change, since)
        for state in change.records:
            self._look_at_record(state, agreed=change.agreed)
        for gone in change.gone:
            self.records.pop(gone, None)

    def _look_at_record(self, state: RecordState, *, agreed: bool) -> None:
        before = self.records.get(state.record.id)
        known = () if before is None else tuple(Sharing(*each) for each in before.untold)
        rest = untold(known, before, state, agreed=agreed)
        rest = (*rest[:1], *rest[1:][-UNTOLD:])
        told = tuple((each.visibility, each.members) for each in rest)
        self.records[state.record.id] = replace(state, untold=told)

    def alive(self) -> set[int]:
        found = {each for found in self.repositories.values() for each in found.alive()}
        return (found | set(self.limits.values())) or {self.head}


class Fold:
    """A fold of the lines of all projects."""

    def __init__(self, since: float = NEVER) -> None:
        """*since*: what was deleted after it (seconds, UTC) can still be taken back."""
        self._since = since
        self._projects: dict[str, _Project] = {}
        self._objects: dict[str, BlobRecord] = {}
        """What each blob's bytes lie in: of all lines, whosever they are, the latest one's word."""
        self._told: dict[str, float] = {}

    def look(self, line: JournalLine) -> None:
        """Know *line*, which follows those of its project seen before; raises ValueError."""
        project = self._projects.setdefault(line.position.project, _Project())
        change = from_line(line.content)
        project.look(line.position.sequence, change, self._since)
        for each in change.blobs:
            digest = str(each.digest)
            if self._told.get(digest, 0.0) <= change.at:
                self._objects[digest], self._told[digest] = each, change.at

    def bounds(self) -> Mapping[str, Folded]:
        """Once all lines were looked at: the sequences that each project's folded lines have."""
        return {
            name: Folded(project.head - len(project.alive()), project.head)
            for name, project in self._projects.items()
        }

    def folded(self, lines: Iterable[JournalLine]) -> Iterator[JournalLine]:
        """The folded lines, out of the same *lines* once more."""
        bounds = self.bounds()
        alive = {name: project.alive() for name, project in self._projects.items()}
        records = {
            name: _portions(list(_parents_first(project.records)), len(alive[name]))
            for name, project in self._projects.items()
        }
        reached = {name: bound.start for name, bound in bounds.items()}
        for line in lines:
            name, sequence = line.position.project, line.position.sequence
            if sequence not in alive[name]:
                continue
            change = from_line(line.content)
            rest = change
            if change.op != "limits":
                repository = self._projects[name].repositories[change.repository]
                rest = repository.rest(sequence, change, self._objects)
            rest = replace(rest, records=tuple(next(records[name])))
            reached[name] += 1
            yield JournalLine(Position(name, reached[name]), to_line(rest))


def _parents_first(records: Mapping[str, RecordState]) -> Iterator[RecordState]:
    """Each record after those that it names."""
    told: set[str] = set()
    for top in records:
        waiting = [top]
        while waiting:
            state = records.get(waiting[-1])
            if state is None or waiting[-1] in told:
                waiting.pop()
                continue
            names = [*state.uses, *([state.record.parent_id] if state.record.parent_id else [])]
            before = [name for name in names if name in records and name not in told]
            if before:
                waiting += before
            else:
                told.add(waiting.pop())
                yield state


def _portions(states: list[RecordState], count: int) -> Iterator[list[RecordState]]:
    """*states* in order, spread over *count* lines."""
    for number in range(count):
        yield states[number * len(states) // count : (number + 1) * len(states) // count]
