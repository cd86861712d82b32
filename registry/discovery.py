"""Rules of listing (distribution-spec, "Content Discovery")."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from registry.auth.ports import WHOLE, Opening
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.records import ManifestRecord
from registry.storage.storage import Storage

REFERRERS_PAGE = 1000
"""Descriptors in one answer at most, so that it stays well under a manifest's size limit."""


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list, and whether there is more behind it."""

    items: list[Item]
    more: bool


async def list_tags(
    storage: Storage,
    repository: RepositoryName,
    after: str,
    limit: int | None,
    opening: Opening = WHOLE,
) -> Page[str]:
    """At most *limit* open tags greater than *after*, in byte order; raises NameUnknown."""
    if not opening.whole:
        every = await storage.ledger.list_tags(repository, after=after)
        tags = [each for each in every if each in opening.tags]
        return _page(tags, limit)
    asked = None if limit is None else limit + 1
    tags = await storage.ledger.list_tags(repository, after=after, limit=asked)
    return _page(tags, limit)


async def list_repositories(
    storage: Storage, projects: Iterable[str] | None, after: str, limit: int | None
) -> Page[RepositoryName]:
    """At most *limit* repositories of *projects* (None: all), in byte order."""
    asked = None if limit is None else limit + 1
    names = await storage.ledger.list_repositories(projects=projects, after=after, limit=asked)
    return _page(names, limit)


async def list_referrers(
    storage: Storage,
    repository: RepositoryName,
    subject: Digest,
    artifact_type: str | None,
    after: Digest | None,
    opening: Opening = WHOLE,
) -> Page[ManifestRecord]:
    """Who is about *subject*: manifests by digest, filtered by their computed artifact type.

    Those that are not open are left out.
    """
    found = await storage.ledger.list_referrers(
        repository,
        subject,
        artifact_type=artifact_type,
        after=after,
        limit=REFERRERS_PAGE + 1 if opening.whole else None,
    )
    if not opening.whole:
        found = [each for each in found if each.digest in opening.manifests]
    return _page(found, REFERRERS_PAGE)


def _page(found: list[Item], limit: int | None) -> Page[Item]:
    if limit is None or len(found) <= limit:
        return Page(found, more=False)
    return Page(found[:limit], more=limit > 0)
