"""Blobs in a directory, step by step beside the model: puts, uploads, restarts, late writers."""

import asyncio
import hashlib
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
)

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, RegistryError, SizeInvalid
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.ports.blobs import BlobStore, SegmentWriter
from registry.storage.records import BlobRecord, Segment
from support.streams import collect, stream

Answer = TypeVar("Answer")

SIZES = st.sampled_from([0, 1, 100, 65_536, 1024 * 1024, 1024 * 1024 + 1, 3_000_000])


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """Large and cheap to draw, and of few kinds, so that digests meet."""
    seed = hashlib.sha256(bytes([draw(st.integers(0, 2))])).digest()
    size = draw(SIZES)
    return (seed * (size // len(seed) + 1))[:size]


@dataclass
class Twin:
    """One object in both stores."""

    model: BlobRecord
    real: BlobRecord


@dataclass
class Session:
    """An upload as a ledger keeps it, in both stores."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    epoch: int = 0
    offset: int = 0
    model: list[Segment] = field(default_factory=list)
    real: list[Segment] = field(default_factory=list)
    content: bytes = b""


def record(segments: list[Segment], fresh: Segment) -> None:
    """As a ledger does it: chunks in order may have made the last segment longer."""
    if segments and segments[-1].name == fresh.name:
        segments.pop()
    segments.append(fresh)


class BlobStoreMachine(RuleBasedStateMachine):
    blobs = Bundle("blobs")
    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.model = MemoryBlobStore()
        self.restart_now()
        self.twins: dict[str, Twin] = {}
        self.late: list[SegmentWriter] = []

    def teardown(self) -> None:
        for writer in self.late:
            self.loop.run_until_complete(writer.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    @rule()
    def restart(self) -> None:
        self.restart_now()

    def restart_now(self) -> None:
        self.real = FilesystemBlobStore(Path(self.directory.name))

    def both(
        self, work: Callable[[BlobStore], Awaitable[Answer]]
    ) -> tuple[Answer, Answer] | type[RegistryError]:
        """What *work* answers on model and store, or the error that both raise."""
        outcomes: list[Answer | RegistryError] = []
        for store in (self.model, self.real):
            try:
                outcomes.append(self.loop.run_until_complete(self.awaited(work, store)))
            except RegistryError as error:
                outcomes.append(error)
        model, real = outcomes
        if isinstance(model, RegistryError) or isinstance(real, RegistryError):
            assert type(model) is type(real), (model, real)
            return type(model)  # type: ignore[return-value]
        return model, real

    async def awaited(
        self, work: Callable[[BlobStore], Awaitable[Answer]], store: BlobStore
    ) -> Answer:
        return await work(store)

    def kept(self, outcome: tuple[BlobRecord, BlobRecord]) -> str:
        model, real = outcome
        assert (model.digest, model.size) == (real.digest, real.size)
        assert real.object not in {twin.real.object for twin in self.twins.values()}
        self.twins[real.object] = Twin(model, real)
        return real.object

    # -- whole blobs --------------------------------------------------------------------------

    @rule(target=blobs, content=contents(), cut=st.integers(0, 3_000_000), known=st.booleans())
    def put(self, content: bytes, cut: int, *, known: bool) -> str:
        size = len(content) if known else None
        outcome = self.both(
            lambda store: store.put(Digest.of(content), size, stream(content[:cut], content[cut:]))
        )
        assert isinstance(outcome, tuple)
        return self.kept(outcome)

    @rule(content=contents(), size=st.integers(0, 200))
    def put_what_does_not_fit(self, content: bytes, size: int) -> None:
        digest = Digest.of(content + b"!")
        wrong = None if size == len(content) else size
        outcome = self.both(lambda store: store.put(digest, wrong, stream(content)))
        assert outcome in {DigestInvalid, SizeInvalid}

    @rule(name=blobs, start=st.integers(0, 3_000_000), size=st.integers(0, 2_000_000))
    def read(self, name: str, start: int, size: int) -> None:
        twin = self.twins[name]
        start = min(start, twin.model.size)
        stop = min(start + size, twin.model.size)

        async def work(store: BlobStore) -> bytes:
            blob = twin.model if store is self.model else twin.real
            return await collect(store.read(blob, start, stop))

        outcome = self.both(work)
        assert isinstance(outcome, tuple)
        assert outcome[0] == outcome[1]

    @rule(name=consumes(blobs))
    def delete(self, name: str) -> None:
        twin = self.twins.pop(name)

        async def work(store: BlobStore) -> bytes:
            blob = twin.model if store is self.model else twin.real
            await store.delete(blob.object)
            await store.delete(blob.object)
            return await collect(store.read(blob, 0, max(blob.size, 1)))

        assert isinstance(self.both(work), type)

    # -- uploads ------------------------------------------------------------------------------

    @rule(target=sessions)
    def begin(self) -> Session:
        return Session()

    @rule(
        session=sessions,
        pieces=st.lists(contents(), max_size=3),
        lost=st.booleans(),
        closed=st.booleans(),
    )
    def append(self, session: Session, pieces: list[bytes], *, lost: bool, closed: bool) -> None:
        """A lease: some pieces, each recorded, the last perhaps written and not recorded."""
        session.epoch += 1

        async def work(store: BlobStore) -> list[Segment]:
            segments = list(self.of(session, store))
            writer = await store.writer(session.id, session.epoch, session.offset)
            for number, piece in enumerate(pieces):
                await writer.write(piece)
                if lost and number == len(pieces) - 1:
                    break
                segment = await writer.checkpoint()
                if segment is not None:
                    record(segments, segment)
            if closed:
                await writer.close()
            else:
                self.late.append(writer)
            return segments

        outcome = self.both(work)
        assert isinstance(outcome, tuple)
        session.model, session.real = outcome
        session.offset = sum(segment.size for segment in session.model)
        assert session.offset == sum(segment.size for segment in session.real)
        session.content += b"".join(pieces)
        session.content = session.content[: session.offset]

    @rule(data=contents())
    def late_writers_wake(self, data: bytes) -> None:
        for writer in self.late:
            self.loop.run_until_complete(writer.write(data))

    @rule(session=sessions)
    def read_segments(self, session: Session) -> None:
        outcome = self.both(lambda store: collect(store.read_segments(self.of(session, store))))
        assert outcome == (session.content, session.content)

    @rule(target=blobs, session=sessions)
    def commit(self, session: Session) -> str:
        """Perhaps one of several: whoever committed before may have crashed then."""
        outcome = self.both(
            lambda store: store.commit(
                session.id, self.of(session, store), Digest.of(session.content)
            )
        )
        assert isinstance(outcome, tuple)
        return self.kept(outcome)

    @rule(session=consumes(sessions))
    def discard(self, session: Session) -> None:
        outcome = self.both(lambda store: store.discard(session.id))
        assert outcome == (None, None)
        if session.model:
            gone = self.both(lambda store: collect(store.read_segments(self.of(session, store))))
            assert isinstance(gone, type)

    def of(self, session: Session, store: BlobStore) -> list[Segment]:
        return session.model if store is self.model else session.real

    # -- always -------------------------------------------------------------------------------

    @rule()
    def every_blob_is_whole(self) -> None:
        for twin in self.twins.values():
            content = self.loop.run_until_complete(
                collect(self.real.read(twin.real, 0, twin.real.size))
            )
            assert Digest.of(content) == twin.real.digest

    @invariant()
    def the_directory_holds_the_blobs_and_nothing_is_left_aside(self) -> None:
        directory = Path(self.directory.name)
        found = {
            f"{path.parts[-4]}/{path.parts[-2]}/{path.parts[-1]}"
            for path in directory.glob("blobs/*/*/*/*")
        }
        assert found == set(self.twins)
        assert list(directory.glob("uploads/put-*")) == []


BlobStoreMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None
)
TestBlobStore = BlobStoreMachine.TestCase
