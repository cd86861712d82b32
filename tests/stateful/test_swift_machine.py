"""Blobs in a real Swift, step by step, by two processes that take each other's uploads over.

A ledger of a few lines says whose commit counts. Each blob that it knows is whole, at all times; in
the end, with all names gone, nothing is left but of cancelled uploads that somebody had committed.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    precondition,
    rule,
    run_state_machine_as_test,
)

from registry.oci.digest import Digest
from registry.oci.errors import StorageUnavailable
from registry.storage.layout import first_segment
from registry.storage.records import BlobRecord, Segment
from registry.storage.swift import SwiftAccount, SwiftBlobStore, large, layouts, plan, segments
from registry.storage.swift.names import Place
from registry.storage.swift.objects import Objects
from support.openstack import OpenStack
from support.streams import collect, stream
from support.swift import lies_in, new_prefix, service_session

Answer = TypeVar("Answer")

KIB = 1024
WHO = st.integers(0, 1)
SEGMENTS = 10
"""Swift reads more small ones than these at one a second."""


@dataclass(frozen=True)
class Content:
    """Bytes of few kinds, so that digests meet; on both sides of all limits."""

    kind: int
    size: int

    def __bytes__(self) -> bytes:
        seed = hashlib.sha256(bytes([self.kind])).digest()
        return (seed * (self.size // len(seed) + 1))[: self.size]


CONTENTS = st.builds(Content, st.integers(0, 1), st.sampled_from([500, 3 * KIB, 9 * KIB, 40 * KIB]))


PIECES = st.lists(CONTENTS, min_size=1, max_size=3)


@dataclass
class Session:
    """An upload as the ledger keeps it."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    epoch: int = 0
    segments: list[Segment] = field(default_factory=list)
    content: bytes = b""
    is_over: bool = False
    was_committed: bool = False
    was_cancelled: bool = False
    """Although somebody had committed it, who died or lost it: see the package's README."""


@dataclass
class Commit:
    """What a process made of a session, and is about to tell the ledger."""

    who: int
    session: Session
    epoch: int
    blob: BlobRecord


class SwiftMachine(RuleBasedStateMachine):
    cloud: OpenStack
    sessions = Bundle("sessions")
    commits = Bundle("commits")
    blobs = Bundle("blobs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.prefix = new_prefix()
        self.account = SwiftAccount(service_session(self.cloud))
        self.stores = [SwiftBlobStore(self.account, prefix=self.prefix) for _ in range(2)]
        self.ledger: dict[Digest, BlobRecord] = {}
        self.open: list[Session] = []
        self.unfinished: list[Commit] = []

    def run(self, work: Coroutine[None, None, Answer]) -> Answer:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        try:
            self.settle()
            self.all_is_whole()
            while self.unfinished:
                self.tell_ledger(self.unfinished.pop())
            for session in [each for each in self.open if not each.is_over]:
                self.cancel(0, session)
            for digest in list(self.ledger):
                self.collect(1, digest)
            self.settle()
            found = self.run(lies_in(self.account, self.prefix))
            left = {name.partition("/")[0] for name in found.pop("uploads", [])}
            assert not any(found.values())
            assert left <= {each.id for each in self.open if each.was_cancelled}
        finally:
            self.run(self.account.close())
            self.run(self.loop.shutdown_default_executor())
            self.loop.close()

    def settle(self) -> None:
        for store in self.stores:
            self.run(store.settle())

    @rule(who=WHO, what=CONTENTS, known=st.booleans())
    def put(self, who: int, what: Content, *, known: bool) -> None:
        content = bytes(what)
        size = len(content) if known else None
        blob = self.run(self.stores[who].put(Digest.of(content), size, stream(content)))
        if self.ledger.setdefault(blob.digest, blob) is not blob:
            self.run(self.stores[who].delete(blob.object))

    @rule(target=sessions, who=WHO, pieces=PIECES)
    def begin(self, who: int, pieces: list[Content]) -> Session:
        self.open.append(Session())
        self.append(who, self.open[-1], pieces)
        return self.open[-1]

    @rule(who=WHO, session=sessions, pieces=PIECES)
    def append(self, who: int, session: Session, pieces: list[Content]) -> None:
        if session.is_over or len(session.segments) + len(pieces) > SEGMENTS:
            return
        session.epoch += 1
        self.run(self._append(self.stores[who], session, [bytes(each) for each in pieces]))

    async def _append(self, store: SwiftBlobStore, session: Session, pieces: list[bytes]) -> None:
        writer = await store.writer(session.id, session.epoch, len(session.content))
        for piece in pieces:
            await writer.write(piece)
            segment = await writer.checkpoint()
            assert segment is not None
            session.segments.append(segment)
            session.content += piece
        await writer.close()

    @rule(target=commits, who=WHO, session=sessions)
    def commit(self, who: int, session: Session) -> Commit | None:
        """The process may be paused after this, and the session taken over."""
        if session.is_over:
            return None
        session.epoch += 1
        session.was_committed = True
        digest = Digest.of(session.content)
        blob = self.run(self.stores[who].commit(session.id, session.segments, digest))
        self.unfinished.append(Commit(who, session, session.epoch, blob))
        return self.unfinished[-1]

    @rule(session=sessions, first=WHO, order=st.permutations([0, 1]))
    def commit_both(self, session: Session, first: int, order: list[int]) -> None:
        """One is taken over by the other; both come to tell the ledger."""
        both = [self.commit(who, session) for who in (first, 1 - first)]
        for number in order:
            self.finish(both[number])
        self.late_discard(first)

    @rule(commit=consumes(commits))
    def finish(self, commit: Commit | None) -> None:
        if commit is not None and commit in self.unfinished:
            self.unfinished.remove(commit)
            self.tell_ledger(commit)

    def tell_ledger(self, commit: Commit) -> None:
        """As push does it."""
        store, session = self.stores[commit.who], commit.session
        if session.is_over or commit.epoch != session.epoch:
            if all(each.name != commit.blob.object for each in session.segments):
                self.run(store.delete(commit.blob.object))
            return
        session.is_over = True
        held = self.ledger.setdefault(commit.blob.digest, commit.blob)
        if held is not commit.blob:
            self.run(store.delete(commit.blob.object))
        self.run(store.discard(session.id, held.object))

    @rule(who=WHO, session=consumes(sessions))
    def cancel(self, who: int, session: Session) -> None:
        if not session.is_over:
            session.is_over = True
            session.was_cancelled = session.was_committed
            self.run(self.stores[who].discard(session.id))

    @precondition(lambda self: self.ledger)
    @rule(who=WHO, number=st.integers(0, 9))
    def collect_one(self, who: int, number: int) -> None:
        self.settle()
        self.collect(who, sorted(self.ledger)[number % len(self.ledger)])

    def collect(self, who: int, digest: Digest) -> None:
        blob = self.ledger.pop(digest)
        self.run(self.stores[who].delete(blob.object))
        with pytest.raises(StorageUnavailable):
            self.run(collect(self.stores[who].read(blob, 0, max(1, blob.size))))

    @precondition(lambda self: any(each.is_over for each in self.open))
    @rule(who=WHO)
    def late_discard(self, who: int) -> None:
        """As a collector may do with sessions that have been over for an hour and more."""
        objects = {blob.object for blob in self.ledger.values()}
        for session in self.open:
            if session.is_over and first_segment(session.id) not in objects:
                remembered = self.stores[who]._commits.get(session.id)
                if remembered is not None:
                    remembered.until = 0
                self.run(self.stores[who].discard(session.id))

    @precondition(lambda self: self.ledger)
    @rule()
    def all_is_whole(self) -> None:
        for number, blob in enumerate(self.ledger.values()):
            store = self.stores[number % 2]
            content = self.run(collect(store.read(blob, 0, blob.size)))
            assert Digest.of(content) == blob.digest
            ranged = self.run(collect(store.read(blob, blob.size // 3, blob.size)))
            assert ranged == content[blob.size // 3 :]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kilobytes go the ways that megabytes go."""
    monkeypatch.setattr(plan, "PLAIN", 8 * KIB)
    monkeypatch.setattr(plan, "SMALL", KIB)
    monkeypatch.setattr(plan, "SMALL_ALLOWED", 2)
    monkeypatch.setattr(plan, "MERGED", 16 * KIB)
    monkeypatch.setattr(segments, "HELD", 2 * KIB)
    monkeypatch.setattr(segments, "LEFT", KIB)
    monkeypatch.setattr(layouts, "SPLIT", 16 * KIB)
    monkeypatch.setattr(layouts, "STEP", KIB)
    monkeypatch.setattr(large, "MOST", 3)


def run_machine(openstack: OpenStack, examples: int) -> None:
    class Machine(SwiftMachine):
        cloud = openstack

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],  # to shrink would take minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.usefixtures("small_limits")
def test_two_processes_on_one_swift(openstack: OpenStack) -> None:
    run_machine(openstack, 15)


# -- faults that the machine must find ------------------------------------------------------------


def owned_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    put = large.LargeObjects.put

    async def own(
        self: large.LargeObjects,
        name: str,
        upload: str,
        parts: Sequence[large.Stored],
        **_: object,
    ) -> None:
        await put(self, name, upload, parts, owns=True)

    monkeypatch.setattr(large.LargeObjects, "put", own)


def use_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    get = Objects.get

    async def look(self: Objects, place: Place, query: str = "") -> bytes | None:
        return None if place.name.endswith("/used") else await get(self, place, query)

    monkeypatch.setattr(Objects, "get", look)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("plant", [owned_too_early, use_not_looked_for])
def test_the_machine_finds_planted_faults(
    openstack: OpenStack,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
) -> None:
    plant(monkeypatch)
    with pytest.raises((StorageUnavailable, AssertionError, ExceptionGroup)):
        run_machine(openstack, 100)
