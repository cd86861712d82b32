"""Usage beside a model of it, over pushes, mounts, deletions, undeletions and collections."""

import os

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from registry.limits import Leave, Limits
from registry.oci.digest import Digest
from registry.oci.errors import QuotaExceeded
from registry.oci.names import RepositoryName, Tag
from registry.storage.records import BlobRecord, Segment
from support.ledgers import manifest, put
from support.machines import LedgerMachine

RED, BLUE, HATS = (RepositoryName(*each) for each in (("s", "red"), ("s", "blue"), ("h", "hat")))
ALL = (RED, BLUE, HATS)
NAMES = st.sampled_from(ALL)
BLOBS = {
    word: BlobRecord(Digest.of(word.encode(), algorithm), f"object-{word}-{algorithm}", size)
    for word, algorithm, size in (("a", "sha256", 100), ("b", "sha256", 70), ("a2", "sha512", 100))
}
WORDS = st.sampled_from(sorted(BLOBS))
MANIFESTS = {"one": ("a",), "two": ("a", "b"), "three": ("a2",)}
PUSHED = st.sampled_from(sorted(MANIFESTS))
TAGS = st.sampled_from(["1", "2"])
LIMIT = 260
"""Of the project s, while it is limited."""


def size_of(word: str) -> int:
    return len(manifest(word).content)


class QuotaMachine(LedgerMachine):
    def __init__(self) -> None:
        super().__init__()
        self.links: set[tuple[RepositoryName, str]] = set()
        self.manifests: set[tuple[RepositoryName, str]] = set()
        self.tags: dict[tuple[RepositoryName, str], str] = {}
        self.trash: list[tuple[RepositoryName, str, set[str]]] = []
        self.uploads: dict[str, tuple[RepositoryName, int]] = {}
        self.is_limited = False

    # -- the model ------------------------------------------------------------------------------

    def paid(self, project: str) -> dict[Digest, int]:
        """Each digest that a project has, or that its trash has the manifest of."""
        held = {BLOBS[word].digest: BLOBS[word].size
                for name, word in self.links if name.project == project}  # fmt: skip
        thrown = [(name, word) for name, word, _ in self.trash]
        for name, word in [*self.manifests, *thrown]:
            if name.project == project:
                held[manifest(word).digest] = size_of(word)
        return held

    def own(self, name: RepositoryName) -> int:
        links = sum(BLOBS[word].size for where, word in self.links if where == name)
        return links + sum(size_of(word) for where, word in self.manifests if where == name)

    def reserved(self, *names: RepositoryName) -> int:
        return sum(size for name, size in self.uploads.values() if name in names)

    def only_trash(self, project: str) -> int:
        """Bytes that nothing but the trash needs."""
        live = {(name, word) for name, word in self.manifests if name.project == project}
        named = {word for _, pushed in live for word in MANIFESTS[pushed]}
        blobs, manifests = set(), set()
        for name, pushed, _ in self.trash:
            if name.project == project:
                blobs |= {word for word in MANIFESTS[pushed] if (name, word) in self.links}
                if pushed not in {word for _, word in live}:
                    manifests.add(pushed)
        return sum(BLOBS[word].size for word in blobs - named) + sum(map(size_of, manifests))

    def fits(self, name: RepositoryName, digest: Digest, size: int) -> bool:
        if not self.is_limited or name.project != "s" or digest in self.paid("s"):
            return True
        return sum(self.paid("s").values()) + self.reserved(RED, BLUE) + size <= LIMIT

    # -- what happens ---------------------------------------------------------------------------

    @rule(name=NAMES, word=WORDS)
    def push(self, name: RepositoryName, word: str) -> None:
        blob = BLOBS[word]
        fits = (name, word) in self.links or self.fits(name, blob.digest, blob.size)
        assert self.attempt(self.ledger.finish_upload(name, None, blob)) == fits
        if fits:
            self.links.add((name, word))

    @rule(name=NAMES, source=NAMES, word=WORDS)
    def mount(self, name: RepositoryName, source: RepositoryName, word: str) -> None:
        blob = BLOBS[word]
        fits = (name, word) in self.links or self.fits(name, blob.digest, blob.size)
        done = self.attempt(self.ledger.link_blob(name, source, blob.digest))
        assert done == (fits and (source, word) in self.links)
        if done:
            self.links.add((name, word))

    @rule(name=NAMES, size=st.sampled_from([1, 40, 90]))
    def upload(self, name: RepositoryName, size: int) -> None:
        async def begin() -> str:
            session = await self.ledger.begin_upload(name, "anna")
            held = await self.ledger.lease_upload(name, session.id, at=0, seconds=0)
            try:
                await self.ledger.reserve_upload(held, size, Leave(), seconds=0)
            except QuotaExceeded:
                await self.ledger.cancel_upload(name, session.id)
                raise
            await self.ledger.record_segment(held, Segment("s", size), seconds=0)
            return session.id

        fits = self.fits(name, Digest.of(b"fresh"), size)
        try:
            self.uploads[self.run(begin())] = name, size
        except QuotaExceeded:
            assert not fits
        else:
            assert fits

    @rule(word=WORDS)
    def finish(self, word: str) -> None:
        if not self.uploads:
            return
        upload, (name, _) = min(self.uploads.items())

        async def finish() -> None:
            held = await self.ledger.lease_upload(name, upload, at=None, seconds=0)
            await self.ledger.finish_upload(name, held, BLOBS[word])

        kept = self.uploads.pop(upload)
        fits = (name, word) in self.links or self.fits(name, BLOBS[word].digest, BLOBS[word].size)
        assert self.attempt(finish()) == fits
        if fits:
            self.links.add((name, word))
        else:
            self.uploads[upload] = kept

    @rule(abandoned=st.booleans())
    def end(self, *, abandoned: bool) -> None:
        if not self.uploads:
            return
        upload, (name, _) = max(self.uploads.items())
        self.clock.now += 1
        if abandoned:
            assert self.run(self.collection.forget_upload(upload, self.clock.now))
        else:
            self.run(self.ledger.cancel_upload(name, upload))
        del self.uploads[upload]

    @rule(name=NAMES, word=PUSHED, tag=TAGS)
    def put(self, name: RepositoryName, word: str, tag: str) -> None:
        blobs = tuple(BLOBS[each] for each in MANIFESTS[word])
        whole = all((name, each) in self.links for each in MANIFESTS[word])
        fits = (name, word) in self.manifests or self.fits(
            name, manifest(word).digest, size_of(word)
        )
        done = self.attempt(self.ledger.put_manifest(put(name, word, tag, blobs=blobs)))
        assert done == (whole and fits)
        if done:
            self.manifests.add((name, word))
            self.tags[name, tag] = word

    @rule(name=NAMES, word=PUSHED)
    def delete(self, name: RepositoryName, word: str) -> None:
        done = self.attempt(self.ledger.delete_manifest(name, manifest(word).digest))
        assert done == ((name, word) in self.manifests)
        if done:
            self.manifests.remove((name, word))
            tags = {tag for (where, tag), on in self.tags.items() if (where, on) == (name, word)}
            for tag in tags:
                del self.tags[name, tag]
            self.trash.append((name, word, tags))

    @rule(name=NAMES, tag=TAGS)
    def untag(self, name: RepositoryName, tag: str) -> None:
        done = self.attempt(self.ledger.delete_tag(name, Tag.parse(tag)))
        assert done == ((name, tag) in self.tags)
        if done:
            self.trash.append((name, self.tags.pop((name, tag)), {tag}))

    @rule(name=NAMES, word=PUSHED)
    def undelete(self, name: RepositoryName, word: str) -> None:
        """By its digest, under no tag: its entries without tags end."""
        blobs = tuple(BLOBS[each] for each in MANIFESTS[word])
        entries = [each for each in self.trash if each[:2] == (name, word)]
        whole = all((name, each) in self.links for each in MANIFESTS[word])
        done = self.attempt(self.ledger.trash.put_back(put(name, word, blobs=blobs)))
        assert done == (bool(entries) and whole), "what the trash has is paid for"
        if done:
            self.manifests.add((name, word))
            self.trash = [each for each in self.trash if each not in entries or each[2]]

    @rule(name=NAMES, word=WORDS)
    def unlink(self, name: RepositoryName, word: str) -> None:
        done = self.attempt(self.ledger.unlink_blob(name, BLOBS[word].digest))
        assert done == ((name, word) in self.links)
        self.links.discard((name, word))

    @rule()
    def collect(self) -> None:
        self.clock.now += 1
        self.run(self.collection.purge_trash(self.clock.now))
        self.trash.clear()
        digests = [each.digest for each in BLOBS.values()]
        for name in ALL:
            self.run(self.collection.condemn(name, digests, self.clock.now))
            named = {word for where, pushed in self.manifests if where == name
                     for word in MANIFESTS[pushed]}  # fmt: skip
            self.links = {each for each in self.links if each[0] != name or each[1] in named}

    @rule()
    def limit(self) -> None:
        self.is_limited = not self.is_limited
        limits = Limits(bytes=LIMIT) if self.is_limited else Limits()
        self.run(self.ledger.quotas.set_limits(RepositoryName("s", ""), limits))

    # -- what holds -----------------------------------------------------------------------------

    @invariant()
    def usage_is_what_the_model_says(self) -> None:
        assert self.run(self.ledger.quotas.differences()) == []
        for project, names in (("s", (RED, BLUE)), ("h", (HATS,))):
            used = self.run(self.ledger.quotas.standing(RepositoryName(project, ""))).usage
            assert used.bytes == sum(self.paid(project).values())
            assert used.reserved == self.reserved(*names)
            assert used.trash == self.only_trash(project)
            assert used.tags == sum(name in names for name, _ in self.tags)
        for name in ALL:
            used = self.run(self.ledger.quotas.standing(name)).usage
            assert (used.bytes, used.reserved) == (self.own(name), self.reserved(name))


EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "12"))
SOME = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)


def test_usage_is_what_a_model_of_it_says() -> None:
    run_state_machine_as_test(QuotaMachine, settings=SOME)


def test_a_counter_that_forgets_something_is_found() -> None:
    machine = QuotaMachine()
    engine = create_engine(machine.url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER count_trash_removed")
    engine.dispose()
    machine.push(RED, "a")
    machine.put(RED, "one", "1")
    machine.delete(RED, "one")
    machine.usage_is_what_the_model_says()
    machine.collect()
    with pytest.raises(AssertionError):
        machine.usage_is_what_the_model_says()
    machine.teardown()
