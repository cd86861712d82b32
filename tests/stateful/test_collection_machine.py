"""Pushes, mounts, moves, deletions and collections of stale plans, in any order and without grace.

Whatever was acknowledged, and not taken back by its owner, resolves whole: all the time.
"""

import json
import os
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test
from sqlalchemy import ColumnElement, true

from registry import management, pull, push
from registry.gc import plan, sweep
from registry.gc.plan import Plan
from registry.gc.policy import Rules
from registry.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from registry.oci.errors import ManifestBlobUnknown, RegistryError
from registry.oci.names import RepositoryName, Tag
from registry.push import PushRules
from registry.storage import filesystem
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.flusher import Flusher
from registry.storage.ledger import condemning
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.memory.journal import MemoryJournal
from registry.storage.storage import Storage
from support.builders import LAYER, descriptor
from support.machines import LedgerMachine
from support.streams import collect, stream

NAMES = st.sampled_from([RepositoryName("shoes", "red"), RepositoryName("hats", "straw")])
WORDS = st.sampled_from("abc")
TAGS = st.sampled_from(["1", "2"])
NO_GRACE = Rules(grace=0, uploads=0, trash=0, untagged=0)
PUSH = PushRules()


def content(word: str) -> bytes:
    return f"layer {word}".encode() * 20


def config(words: str) -> bytes:
    return json.dumps({"config of": words}).encode()


def image(words: str) -> bytes:
    layers = [descriptor(LAYER, content(word)) for word in words]
    named = {"config": descriptor(OCI_CONFIG, config(words)), "layers": layers}
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **named}).encode()


def index(images: list[str]) -> bytes:
    named = [descriptor(OCI_MANIFEST, image(words)) for words in images]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named}
    return json.dumps(document).encode()


class CollectionMachine(LedgerMachine):
    def __init__(self) -> None:
        super().__init__()
        self.blobs = FilesystemBlobStore(self.place)
        journal = MemoryJournal()
        flusher = Flusher(self.ledger, journal)
        self.storage = Storage(self.blobs, journal, self.ledger, flusher, promise=-1)
        self.tags: dict[tuple[RepositoryName, str], bytes] = {}
        """What was acknowledged: the tags, and the manifests they are on."""
        self.plans: list[Plan] = []
        self.collected = 0

    def teardown(self) -> None:
        self.run(self.storage.flusher.close())
        super().teardown()

    async def upload(self, name: RepositoryName, blob: bytes) -> None:
        digest = Digest.of(blob)
        await push.put_blob(self.storage, name, digest, len(blob), stream(blob))

    async def put(self, name: RepositoryName, tag: str, manifest: bytes, kind: str) -> None:
        wanted = Tag.parse(tag)
        await push.put_manifest(self.storage, PUSH, name, wanted, [], kind, manifest)

    @rule(name=NAMES, word=WORDS)
    def a_layer_comes(self, name: RepositoryName, word: str) -> None:
        self.run(self.upload(name, content(word)))

    @rule(name=NAMES, source=NAMES, word=WORDS)
    def a_layer_is_mounted(self, name: RepositoryName, source: RepositoryName, word: str) -> None:
        self.attempt(self.ledger.link_blob(name, source, Digest.of(content(word))))

    @rule(name=NAMES, tag=TAGS, words=st.lists(WORDS, min_size=1, max_size=3).map("".join))
    def an_image_comes(self, name: RepositoryName, tag: str, words: str) -> None:
        """As clients push: what HEAD says is there is not sent again."""

        async def work() -> None:
            for blob in (config(words), *map(content, words)):
                try:
                    await pull.find_blob(self.storage, name, Digest.of(blob))
                except RegistryError:
                    await self.upload(name, blob)
            await self.put(name, tag, image(words), OCI_MANIFEST)

        self.run(work())  # nobody collects in between, so it succeeds
        self.tags[name, tag] = image(words)

    @rule(name=NAMES, tag=TAGS, words=st.lists(WORDS, min_size=1, max_size=3).map("".join))
    def a_manifest_comes_alone(self, name: RepositoryName, tag: str, words: str) -> None:
        try:
            self.run(self.put(name, tag, image(words), OCI_MANIFEST))
        except ManifestBlobUnknown:
            return
        self.tags[name, tag] = image(words)

    @rule(name=NAMES, tag=TAGS, images=st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1))
    def an_index_comes(self, name: RepositoryName, tag: str, images: list[str]) -> None:
        try:
            self.run(self.put(name, tag, index(images), OCI_INDEX))
        except ManifestBlobUnknown:
            return
        self.tags[name, tag] = index(images)

    @rule(name=NAMES, tag=TAGS)
    def a_tag_is_deleted(self, name: RepositoryName, tag: str) -> None:
        self.attempt(management.delete_tag(self.storage, name, Tag.parse(tag)))
        self.tags.pop((name, tag), None)

    @rule(name=NAMES, tag=TAGS)
    def a_tags_manifest_is_deleted(self, name: RepositoryName, tag: str) -> None:
        manifest = self.tags.get((name, tag))
        if manifest is None or any(
            Digest.of(manifest).encoded.encode() in other
            for (where, _), other in self.tags.items()
            if where == name
        ):
            return  # an index's child: its owner breaks the index by that
        self.run(management.delete_manifest(self.storage, name, Digest.of(manifest)))
        for key in [key for key, held in self.tags.items() if key[0] == name and held == manifest]:
            del self.tags[key]

    @rule()
    def somebody_plans(self) -> None:
        self.clock.now += 1  # whatever was promised is promised no more
        self.plans.append(self.run(plan.make(self.collection, NO_GRACE, self.clock.now)))

    @rule(number=st.integers(0, 3))
    def somebody_sweeps(self, number: int) -> None:
        """By a plan that may be old, and may have been carried out already."""
        if self.plans:
            chosen = self.plans[-1 - number % len(self.plans)]
            work = sweep.execute(self.storage, self.collection, chosen, NO_GRACE, self.clock.now)
            self.collected += self.run(work).objects

    @rule()
    def somebody_collects(self) -> None:
        self.somebody_plans()
        self.somebody_sweeps(0)

    @invariant()
    def what_was_acknowledged_resolves_whole(self) -> None:
        for (name, tag), manifest in self.tags.items():
            found = self.run(self.ledger.find_manifest(name, Tag.parse(tag)))
            assert found.content == manifest, f"{name}:{tag}"
            self.resolve(name, manifest)

    def resolve(self, name: RepositoryName, manifest: bytes) -> None:
        document = json.loads(manifest)
        for child in document.get("manifests", []):
            inner = self.run(self.ledger.find_manifest(name, Digest.parse(child["digest"])))
            self.resolve(name, inner.content)
        for named in [*([document["config"]] if "config" in document else []),
                      *document.get("layers", [])]:  # fmt: skip
            digest = Digest.parse(named["digest"])
            held = self.run(self.ledger.find_blob(name, digest)).blob
            assert Digest.of(self.run(collect(self.blobs.read(held, 0, held.size)))) == digest


EXAMPLES = int(os.environ.get("BERTH_COLLECTIONS", "20"))
"""Days that are lived; each is some dozens of steps."""
FULL = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
CollectionMachine.TestCase.settings = FULL
TestCollection = CollectionMachine.TestCase


def nothing_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the plan says goes."""

    def condemned(before: float) -> ColumnElement[bool]:
        del before
        return true()

    monkeypatch.setattr(condemning, "is_unneeded", condemned)


def an_object_name_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that comes late then hits what was pushed since."""
    monkeypatch.setattr(filesystem, "new_object_name", lambda digest: f"sha256/{digest.encoded}/1")


def the_bytes_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the plan names leaves the store before anybody looks whether it is needed."""
    execute = sweep.execute

    async def bytes_first(
        storage: Storage, collection: SqlCollection, made: Plan, *rest: Any
    ) -> sweep.Report:
        for name, digests in made.links.items():
            for digest in digests:
                try:
                    held = await storage.ledger.find_blob(name, digest)
                except RegistryError:
                    continue
                await storage.blobs.delete(held.blob.object)
        return await execute(storage, collection, made, *rest)

    monkeypatch.setattr(sweep, "execute", bytes_first)


@pytest.mark.parametrize(
    "plant", [nothing_is_looked_at_again, an_object_name_is_used_again, the_bytes_go_first]
)
def test_a_planted_fault_is_found(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, RegistryError, ExceptionGroup)):
        run_state_machine_as_test(
            CollectionMachine,
            settings=settings(FULL, max_examples=300, database=None, phases=[Phase.generate]),
        )
