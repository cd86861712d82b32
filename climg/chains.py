"""Records put in order: named images, their chains, an index's platforms."""

import fnmatch
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from climg.errors import Ambiguous, NotFound
from climg.records import Record, is_id, readings

BATCH = 100
"""Ids that one request asks for; as many as an address holds."""
CANDIDATES_SHOWN = 5


class Images(Protocol):
    """Where records come from. Raises Refused and Unavailable."""

    def list(self, filters: Mapping[str, str]) -> Iterator[Record]:
        """Records that fit *filters*, the newest first; hidden ones if ``os_hidden`` says so."""
        ...

    def find(self, record: str) -> Record:
        """By id; raises NotFound."""
        ...


class Catalogue:
    """Records, read once and remembered."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._known: dict[str, Record] = {}
        self._absent: set[str] = set()
        self._asked: set[tuple[str, str]] = set()
        self._manifests: dict[tuple[str, str, str], Record] = {}

    def named(
        self,
        filters: Mapping[str, str] | None = None,
        keeps: Callable[[Record], bool] = lambda _: True,
        limit: int | None = None,
    ) -> list[Record]:
        """Tags and VM images, the newest first; at most *limit* of those that *keeps* likes."""
        seen = map(self._remember, self._images.list({"os_hidden": "false", **(filters or {})}))
        images = (record for record in seen if record.is_image and keeps(record))
        return list(itertools.islice(images, limit))

    def read_hidden(self) -> None:
        """Remember all hidden records at once: quicker than one chain after another."""
        for record in self._images.list({"os_hidden": "true"}):
            self._remember(record)
            self._asked.add((record.owner, record.repository))

    def find(self, text: str) -> Record:
        """By id, by name or by ``project/name``; raises NotFound and Ambiguous."""
        if is_id(text):
            return self._remember(self._images.find(text.lower()))
        for hidden in ("false", "true"):
            found: dict[str, Record] = {}
            for name, project in readings(text):
                filters = {"name": f"eq:{name}", "os_hidden": hidden}
                if project is not None:
                    filters["owner"] = project
                found.update((each.id, each) for each in self._images.list(filters))
            if len(found) > 1:
                shown = [f"{each.label} ({each.id})" for each in found.values()]
                rest = len(shown) - CANDIDATES_SHOWN
                more = f" and {rest} more" if rest > 0 else ""
                raise Ambiguous(
                    f"{text} names {len(found)} images, "
                    f"{', '.join(shown[:CANDIDATES_SHOWN])}{more}; say one's ID"
                )
            for record in found.values():
                return self._remember(record)
        raise NotFound(
            f"there is no image {text}, or you may not see it; climg image-list shows what there is"
        )

    def complete(self, records: Iterable[Record]) -> None:
        """Read what the chains of *records* still lack, a level of all chains at a time."""
        waiting = list(records)
        waiting += [each for record in waiting for each in self.platforms(record)]
        while gaps := [gap for gap in map(self._gap, waiting) if gap is not None]:
            missing = list(dict.fromkeys(gaps))
            for start in range(0, len(missing), BATCH):
                self._fetch(missing[start : start + BATCH])

    def chain(self, record: Record) -> list[Record]:
        """The parents of *record* down to the base, as far as they are remembered."""
        found: dict[str, Record] = {}
        parent = record.parent_id
        while parent in self._known and parent not in found and parent != record.id:
            found[parent] = self._known[parent]
            parent = found[parent].parent_id
        return list(found.values())

    def platforms(self, record: Record) -> list[Record]:
        """The manifest records of an index's tag, in the index's order; none for an image."""
        if not record.children:
            return []
        place = (record.owner, record.repository)
        keys = [(*place, digest) for digest in record.children]
        if place not in self._asked and any(key not in self._manifests for key in keys):
            self._asked.add(place)
            filters = {"oci_kind": "manifest", "oci_repository": record.repository}
            filters |= {"owner": record.owner, "os_hidden": "true"}
            for each in self._images.list(filters):
                self._remember(each)
        return [self._manifests[key] for key in keys if key in self._manifests]

    def tags(self, repository: Record) -> list[Record]:
        """The tags of a repository's record."""
        filters = {"oci_kind": "tag", "oci_repository": repository.repository}
        return self.named(filters | {"owner": repository.owner})

    def history(self, records: Iterable[Record]) -> list[Record]:
        """Each of *records* followed by its parents; an index by its platforms with theirs.

        Every record stands once, where it is first needed.
        """
        rows: dict[str, Record] = {}
        for record in records:
            rows.setdefault(record.id, record)
            for platform in self.platforms(record):
                rows.setdefault(platform.id, platform)
                rows |= {each.id: each for each in self.chain(platform) if each.id not in rows}
            rows |= {each.id: each for each in self.chain(record) if each.id not in rows}
        return list(rows.values())

    def _gap(self, record: Record) -> str | None:
        """The first parent down its chain that was never asked for."""
        last = [record, *self.chain(record)][-1]
        parent = last.parent_id
        if parent is None or parent in self._known or parent in self._absent:
            return None
        if not is_id(parent):  # a property, which is anybody's word
            self._absent.add(parent)
            return None
        return parent

    def _fetch(self, ids: list[str]) -> None:
        """Layers are hidden in Glance, and are not in Berth's own image service."""
        for hidden in ("true", "false"):
            missing = [each for each in ids if each not in self._known]
            if missing:
                filters = {"id": f"in:{','.join(missing)}", "os_hidden": hidden}
                for record in self._images.list(filters):
                    self._remember(record)
        self._absent.update(each for each in ids if each not in self._known)

    def _remember(self, record: Record) -> Record:
        self._known[record.id] = record
        if record.kind == "manifest":
            self._manifests.setdefault((record.owner, record.repository, record.digest), record)
        return record


def liking(pattern: str | None) -> Callable[[Record], bool]:
    """Whether a record's name, or ``project/name``, fits a shell's *pattern*; all fit None."""
    if pattern is None:
        return lambda _: True
    return lambda record: any(
        fnmatch.fnmatchcase(each, pattern) for each in (record.name or "", record.label)
    )
