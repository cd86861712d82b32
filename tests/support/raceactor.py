"""One who pushes, mounts, moves, deletes, takes back and looks, without a pause, until he dies."""

import random
import time
from collections.abc import Awaitable, Callable

from registry import management, pull, push, undelete
from registry.oci.descriptor import OCI_MANIFEST
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    RegistryError,
    TagTaken,
    UploadBusy,
)
from registry.oci.names import RepositoryName, Tag
from registry.push import PushRules
from registry.storage.ledger import SqlLedger
from registry.storage.storage import Storage
from support.racecontent import REPOSITORIES, WORDS, Thing
from support.racelog import Memory, Place
from support.raceproof import Broken, resolve, resolve_referrer, tagged
from support.streams import stream

PUSH = PushRules()
ATTEMPTS = 400
"""Of a push whose blobs are taken again and again."""
TAGS = 2
"""Of each actor, in each repository."""
GONE = (ManifestBlobUnknown, BlobUploadUnknown, UploadBusy)
"""What whoever pushes may be told, where nothing is promised for any time: he begins anew."""


class Actor:
    """He knows what was acknowledged to him, and holds the registry to it."""

    def __init__(
        self, name: str, storage: Storage, ledger: SqlLedger, memory: Memory, chance: random.Random
    ) -> None:
        self._name = name
        self._storage = storage
        self._ledger = ledger
        self._memory = memory
        self._chance = chance

    @property
    def deeds(self) -> dict[Callable[[], Awaitable[str]], int]:
        """How often each is done, beside the others."""
        return {
            self.push_an_image: 8,
            self.push_an_index: 4,
            self.put_a_manifest_alone: 4,
            self.push_a_referrer: 3,
            self.mount: 3,
            self.upload: 2,
            self.delete_a_tag: 7,
            self.delete_a_manifest: 4,
            self.delete_a_blob: 1,
            self.take_back: 3,
            self.look: 6,
        }

    async def live(self, is_over: Callable[[], bool]) -> None:
        """Go on until *is_over*; raises Broken."""
        await wake(self._storage, self._memory)
        deeds = self.deeds
        while not is_over():
            (deed,) = self._chance.choices([*deeds], [*deeds.values()])
            await self.do(deed)

    async def do(self, deed: Callable[[], Awaitable[str]]) -> None:
        """Do it, and note what came of it."""
        began = time.monotonic()
        outcome = await deed()
        self._memory.did(deed.__name__, began, outcome)

    # -- deeds: what came of each is one word ------------------------------------------------------

    async def push_an_image(self) -> str:
        place = self._draw_place()
        return await self._push(place, self._draw_image())

    async def push_an_index(self) -> str:
        parts = tuple(self._draw_image() for _ in range(self._chance.randint(1, 3)))
        return await self._push(self._draw_place(), Thing(parts=parts))

    async def put_a_manifest_alone(self) -> str:
        """Its blobs may be there, or not; often it moves a tag to what another has."""
        place, held = self._draw_place(), [*self._memory.tags.values()]
        thing = self._chance.choice(held) if held else self._draw_image()
        self._memory.may_be(place, self._memory.tags.get(place), thing)
        try:
            await self._put(place[0], Tag.parse(place[1]), thing)
        except ManifestBlobUnknown:
            self._memory.is_now(place, self._memory.tags.get(place))
            return "told that something is missing"
        self._memory.is_now(place, thing)
        return "acknowledged"

    async def push_a_referrer(self) -> str:
        """To what a tag of ours is on."""
        place = self._draw_held()
        if place is None:
            return "nothing to refer to"
        word = self._chance.choice(WORDS)
        thing = Thing((word,), about=self._memory.tags[place])
        told = await self._until_put(place[0], thing.digest, thing)
        self._memory.referred(place, thing)
        return told

    async def mount(self) -> str:
        name, source = self._chance.sample(REPOSITORIES, 2)
        blob = Thing((self._chance.choice(WORDS),)).blobs[-1]
        found = await push.mount_blob(self._storage, name, [source], Digest.of(blob))
        return "mounted" if found is not None else "not there"

    async def upload(self) -> str:
        """A blob that nobody may come to name, or a session that is left alone."""
        blob = Thing((self._chance.choice(WORDS),)).blobs[-1]
        name = self._chance.choice(REPOSITORIES)
        if self._chance.random() < 0.3:
            session = await push.begin_upload(self._storage, name, self._name)
            try:
                await push.append_chunk(self._storage, name, session.id, 0, len(blob), stream(blob))
                if self._chance.random() < 0.5:
                    await push.cancel_upload(self._storage, name, session.id)
                    return "cancelled"
            except GONE:
                return "given up by the collector"
            return "left alone"
        try:
            await self._send(name, blob)
        except GONE:
            return "told that it is gone"
        return "acknowledged"

    async def delete_a_tag(self) -> str:
        place = self._draw_held()
        if place is None:
            return "nothing to delete"
        self._memory.may_be(place, self._memory.tags[place], None)
        await management.delete_tag(self._storage, place[0], Tag.parse(place[1]))
        self._memory.is_now(place, None)
        return "acknowledged"

    async def delete_a_manifest(self) -> str:
        """One that is ours alone, with all its tags; no index of ours names it."""
        own = [place for place, thing in self._memory.tags.items() if self._is_deletable(place)]
        if not own:
            return "nothing to delete"
        name, tag = self._chance.choice(own)
        thing = self._memory.tags[name, tag]
        places = [each for each, on in self._memory.tags.items() if each[0] == name and on == thing]
        for each in places:
            self._memory.may_be(each, thing, None)
        await management.delete_manifest(self._storage, name, thing.digest)
        for each in places:
            self._memory.is_now(each, None)
        return "acknowledged"

    async def delete_a_blob(self) -> str:
        """A layer of ours alone, of an image that we deleted in that repository."""
        gone = [
            (name, word)
            for (name, _), thing in self._memory.before.items()
            for word in thing.words
            if len(word) > 1 and not any(
                word in str(held.spell())
                for (where, _), held in self._memory.tags.items()
                if where == name
            )
        ]  # fmt: skip
        if not gone:
            return "nothing to delete"
        name, word = self._chance.choice(gone)
        try:
            blob = Thing((word,)).blobs[-1]
            await management.delete_blob(self._storage, name, Digest.of(blob))
        except BlobUnknown:
            return "not there"
        return "acknowledged"

    async def take_back(self) -> str:
        """A tag of ours that we deleted."""
        gone = [place for place in self._memory.before if place not in self._memory.tags]
        if not gone:
            return "nothing to take back"
        place = self._chance.choice(gone)
        thing = self._memory.before[place]
        self._memory.may_be(place, thing, None)
        try:
            await undelete.restore(
                self._storage, self._ledger.trash, PUSH, place[0], Tag.parse(place[1])
            )
        except (ManifestUnknown, ManifestBlobUnknown, TagTaken):
            self._memory.is_now(place, None)
            return "told that it is gone"
        self._memory.is_now(place, thing)
        return "acknowledged"

    async def look(self) -> str:
        """At one tag of ours, with all that it names and that is about it."""
        place = self._draw_held()
        if place is None:
            return "nothing to look at"
        await resolve(self._storage, place, self._memory.tags[place])
        for referrer in self._memory.referrers.get(place, []):
            await resolve_referrer(self._storage, place[0], referrer)
        return "whole"

    # -- pushing --------------------------------------------------------------------------------

    async def _push(self, place: Place, thing: Thing) -> str:
        self._memory.may_be(place, self._memory.tags.get(place), thing)
        told = await self._until_put(place[0], Tag.parse(place[1]), thing)
        self._memory.is_now(place, thing)
        return told

    async def _until_put(self, name: RepositoryName, reference: Tag | Digest, thing: Thing) -> str:
        """A push succeeds, however often what it needs is taken from it."""
        refused: RegistryError | None = None
        for attempt in range(ATTEMPTS):
            try:
                for part in thing.parts:
                    await self._bring(name, part)
                    await self._put(name, part.digest, part)
                await self._bring(name, thing)
                await self._put(name, reference, thing)
            except GONE as error:
                refused = error
            else:
                return "acknowledged after it began anew" if attempt else "acknowledged"
        raise Broken(f"{name}: no push in {ATTEMPTS} attempts: {refused}")

    async def _bring(self, name: RepositoryName, thing: Thing) -> None:
        """As clients push: what HEAD says is there is not sent again."""
        for blob in thing.blobs:
            try:
                await pull.find_blob(self._storage, name, Digest.of(blob))
            except BlobUnknown:
                await self._send(name, blob)

    async def _send(self, name: RepositoryName, blob: bytes) -> None:
        digest, how = Digest.of(blob), self._chance.random()
        if how < 0.3:
            others = [each for each in REPOSITORIES if each != name]
            if await push.mount_blob(self._storage, name, others, digest) is not None:
                return
        if how < 0.6:
            await push.put_blob(self._storage, name, digest, len(blob), stream(blob))
            return
        session = await push.begin_upload(self._storage, name, self._name)
        half = len(blob) // 2
        for at, chunk in ((0, blob[:half]), (half, blob[half:])):
            await push.append_chunk(self._storage, name, session.id, at, len(chunk), stream(chunk))
        await push.finish_upload(self._storage, name, session.id, None, digest, 0, stream())

    async def _put(self, name: RepositoryName, reference: Tag | Digest, thing: Thing) -> None:
        kind = thing.media_type if thing.parts else OCI_MANIFEST
        await push.put_manifest(self._storage, PUSH, name, reference, [], kind, thing.content)

    # -- drawing --------------------------------------------------------------------------------

    def _draw_place(self) -> Place:
        tag = f"{self._name}-{self._chance.randrange(TAGS)}"
        return self._chance.choice(REPOSITORIES), tag

    def _draw_held(self) -> Place | None:
        held = [*self._memory.tags]
        return self._chance.choice(held) if held else None

    def _draw_image(self) -> Thing:
        words = tuple(self._chance.choices(WORDS, k=self._chance.randint(1, 3)))
        if self._chance.random() < 0.4:
            words += (f"{self._name}-{time.time_ns()}",)
        return Thing(words)

    def _is_deletable(self, place: Place) -> bool:
        thing = self._memory.tags[place]
        named = {
            part
            for (name, _), held in self._memory.tags.items()
            if name == place[0]
            for part in held.parts
        }
        return thing.is_own and thing not in named


async def wake(storage: Storage, memory: Memory) -> None:
    """Find out what became of that in the middle of which somebody died; raises Broken."""
    for place, things in [*memory.unsure.items()]:
        found = await tagged(storage, place)
        for thing in things:
            if (None if thing is None else thing.content) == found:
                memory.is_now(place, thing)
                break
        else:
            raise Broken(f"{place[0]}:{place[1]} is on nothing that it may be on: {found!r}")
