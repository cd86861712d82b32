"""Rules of what is open to those of other projects: one for all kinds of credentials."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from registry.auth.ports import CLOSED, WHOLE, Action, Opening, Principal
from registry.oci.errors import ManifestUnknown
from registry.oci.names import RepositoryName
from registry.storage.ports.projection import Openings
from registry.storage.records import ImageRecord

TAGS_LOOKED_AT = 1000
"""Tags of a repository at most that are looked at one by one, those that changed last first."""
TAGS = 64
"""Tags at most that are open one by one to one caller: more share a repository."""
MANIFESTS = 256
"""Manifests at most that they reach, for a token names each."""
_NOWHERE = uuid.UUID("5f5f4b51-7d0c-4a57-9d0e-0a1f4c6f1c53")


class Viewer(Protocol):
    """Who sees an image record, where he has no role in its project: the image service says it.

    Nothing that a record says of itself gives a right: only that it is seen, under an id that
    the ledger holds, in the project that the ledger says.
    """

    def can_ask(self, principal: Principal) -> bool:
        """Whether it can be asked as *principal*: not where a token of this registry's is all."""
        ...

    async def find_seen(
        self, principal: Principal, records: Sequence[ImageRecord]
    ) -> frozenset[str]:
        """The ids of those of *records* that he sees; the anonymous caller sees public ones.

        Either all *records* are of tags, or there is one. Raises StorageUnavailable where nobody
        can tell, and nobody could a while ago.
        """
        ...

    async def close(self) -> None:
        """Let go of what it asks, if anybody."""
        ...


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Where to ask about those of other projects."""

    viewer: Viewer
    openings: Openings


async def find(
    neighbours: Neighbours | None, principal: Principal, repository: RepositoryName
) -> Opening:
    """What of *repository* is open to *principal* without a role; raises StorageUnavailable.

    By a token of this registry's it is what the token was given for, and no more than is open
    now where that can be asked.
    """
    if neighbours is None:
        return CLOSED
    if principal.grants is None:
        return await _ask(neighbours, principal, repository)
    if Action.PULL not in principal.grants.get(repository, ()):
        return CLOSED
    given = principal.openings.get(repository, CLOSED)
    if not given or not neighbours.viewer.can_ask(principal):
        return given
    return given & await _ask(neighbours, principal, repository)


async def find_source(
    neighbours: Neighbours | None, principal: Principal, repository: RepositoryName
) -> Opening:
    """What of *repository* may be mounted from, whatever the token shown is for."""
    if neighbours is None:
        return CLOSED
    if neighbours.viewer.can_ask(principal):
        return await _ask(neighbours, principal, repository)
    return principal.openings.get(repository, CLOSED)


async def _ask(neighbours: Neighbours, principal: Principal, repository: RepositoryName) -> Opening:
    viewer, openings = neighbours.viewer, neighbours.openings
    try:
        whole = await openings.find_keyed(repository.project, f"repository:{repository.path}")
    except ManifestUnknown:
        whole = _stand_in(repository, "repository")
    if await viewer.find_seen(principal, [whole]):
        return WHOLE
    tags = await openings.list_tagged(repository, limit=TAGS_LOOKED_AT)
    tags = tags or [_stand_in(repository, "tag")]
    opened: list[str] = []
    for start in range(0, len(tags), TAGS):
        if len(opened) < TAGS:
            part = tags[start : start + TAGS]
            seen = await viewer.find_seen(principal, part)
            opened += [each.properties["oci_tag"] for each in part if each.id in seen]
    return await _reach(openings, repository, opened[:TAGS])


async def _reach(openings: Openings, repository: RepositoryName, tags: Sequence[str]) -> Opening:
    """What *tags* open, as far as there is room."""
    opening = CLOSED
    for tag in tags:
        reached = opening.manifests | await openings.list_closure(repository, tag)
        if len(reached) <= MANIFESTS:
            opening = Opening(tags=opening.tags | {tag}, manifests=reached)
    return opening


def _stand_in(repository: RepositoryName, kind: str) -> ImageRecord:
    """A record that is not there, asked for where there is none: nothing tells the two apart."""
    unknown = str(uuid.uuid5(_NOWHERE, f"{kind}:{repository}"))
    return ImageRecord(
        unknown, repository.project, "", kind, None, None, 0, {}, "private", 0.0, 0.0, 0
    )
