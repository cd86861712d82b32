"""Faults put into the registry on purpose: the fault run that stays green on one is no good."""

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Sequence
from http import HTTPMethod
from typing import Any

import pytest
from sqlalchemy import ColumnElement, bindparam, true, update

from registry.auth.ports import Principal
from registry.catalogue import projector
from registry.oci.digest import Digest
from registry.oci.errors import StorageUnavailable
from registry.storage.glance.service import GlanceImageService
from registry.storage.ledger import condemning, outbox, uploads
from registry.storage.ledger.prepared import Prepared
from registry.storage.ledger.schema import upload
from registry.storage.ports.images import Image
from registry.storage.records import ImageRecord
from registry.storage.swift import blobs, sink
from registry.viewing.cloud import CloudViewer


def an_object_name_is_used_again(patch: pytest.MonkeyPatch) -> None:
    """A deletion that comes late then hits what was pushed since."""

    def same(digest: Digest) -> str:
        fixed = uuid.UUID(hashlib.md5(digest.encoded.encode(), usedforsecurity=False).hexdigest())
        return f"{digest.algorithm}/{digest.encoded}/{fixed}"

    patch.setattr(blobs, "new_object_name", same)


def nobody_looks_at_the_epoch(patch: pytest.MonkeyPatch) -> None:
    """A writer that stood still records what it holds, though another took over."""
    named = {"position": "after", "segments": "spelt", "lease_until": "until", "touched_at": "now"}
    values: dict[str, object] = {column: bindparam(name) for column, name in named.items()}
    careless = update(upload).where(upload.c.id == bindparam("wanted")).values(values)
    patch.setattr(uploads, "_RECORD", Prepared(lambda _: careless))


def nobody_looks_at_the_etag(patch: pytest.MonkeyPatch) -> None:
    """What Swift has is taken for what was sent to it."""
    finish = sink.Sink.finish

    async def careless(self: sink.Sink) -> str:
        try:
            return await finish(self)
        except StorageUnavailable as error:
            if "not what was sent" not in str(error):
                raise
            return self._md5.hexdigest()

    patch.setattr(sink.Sink, "finish", careless)


def nothing_is_looked_at_again(patch: pytest.MonkeyPatch) -> None:
    """Whatever the collector's plan says goes: what was promised or named since, too."""

    def condemned(before: float) -> ColumnElement[bool]:
        del before
        return true()

    patch.setattr(condemning, "is_unneeded", condemned)


def whoever_has_the_like_may_pull(patch: pytest.MonkeyPatch) -> None:
    """Records are looked for in Glance by what they say, not by the ledger's ids."""

    async def search(
        self: CloudViewer, principal: Principal, records: Sequence[ImageRecord]
    ) -> frozenset[str]:
        client: Any = self._images._client  # type: ignore[attr-defined]
        token = next(iter(principal.cloud_tokens.values()), None)
        found = set()
        for record in records:
            named = {"name": f'in:"{record.name}"', "visibility": "all", "member_status": "all"}
            _, shown = await client.ask(HTTPMethod.GET, "/images", query=named, caller=token)
            found |= {record.id for each in shown["images"] if each["name"] == record.name}
        return frozenset(found)

    patch.setattr(CloudViewer, "find_seen", search)


def a_change_without_an_answer_is_done(patch: pytest.MonkeyPatch) -> None:
    """Whatever became of a change of an image in Glance, it is not tried again."""
    change = GlanceImageService.change

    async def careless(self: GlanceImageService, before: Image, after: Image) -> None:
        with contextlib.suppress(StorageUnavailable):
            await change(self, before, after)

    patch.setattr(GlanceImageService, "change", careless)


def an_id_is_given_up_at_one_look(patch: pytest.MonkeyPatch) -> None:
    """Whoever does not find an image whose id is taken gives its record another at once."""
    patch.setattr(outbox, "_is_first_miss", lambda *_: False)


def members_of_a_private_image_are_as_they_were(patch: pytest.MonkeyPatch) -> None:
    """Whatever people did to them in Glance before it was private, it is shared as it was here."""
    patch.setattr(projector, "shared_anew", lambda *sides: sides[-1])


PLANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    plant.__name__: plant
    for plant in (
        an_object_name_is_used_again,
        nobody_looks_at_the_epoch,
        nobody_looks_at_the_etag,
        nothing_is_looked_at_again,
        whoever_has_the_like_may_pull,
        a_change_without_an_answer_is_done,
        an_id_is_given_up_at_one_look,
        members_of_a_private_image_are_as_they_were,
    )
}
