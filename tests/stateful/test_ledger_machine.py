"""The SQL ledger step by step beside the model: the same answers, errors, records and lines."""

import asyncio
import json
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from contract.ledger_journal_contract import observe
from registry.oci.errors import RegistryError
from registry.oci.names import RepositoryName, Tag
from registry.storage.ledger import SqlLedger
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.ports.ledger import Ledger
from registry.storage.records import JournalLine, Member, Segment, Upload
from registry.storage.sharing import (
    Agreement,
    Answer,
    Invitation,
    Sharing,
    SharingChange,
    Visibility,
    Withdrawal,
)
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    Clock,
    Ids,
    Template,
    blob,
    find_by_key,
    manifest,
    platform,
    put,
    put_index,
    tagged,
)

NAMES = st.sampled_from([SHOES, MORE_SHOES, HATS])
WORDS = st.sampled_from("abcd")
BLOBS = st.sampled_from(["sole", "lace"])
TAGS = st.sampled_from(["v1", "v2"])
CHAINS = st.sampled_from([("base",), ("base", "x"), ("base", "x", "y"), ("other",)])
CONTENT = {"a": (), "b": ("sole",), "c": ("lace",), "d": ("lace", "sole")}
"""The blobs that a manifest names: one digest, one content."""
ABOUT = {"c": "a", "d": "c"}
"""The subjects."""

WHO = st.sampled_from(["hats", "gloves"])
MEMBERS = st.builds(Member, WHO, st.sampled_from(["pending", "accepted"]))
WORD = st.sampled_from(["shared", "shared", "public", "private"])
HOW = st.one_of(
    WORD.map(Visibility),
    WHO.map(Invitation),
    MEMBERS.map(Answer),
    WHO.map(Withdrawal),
    st.builds(
        lambda word, one: Agreement(Sharing.of(word, [(one.project, one.status)])), WORD, MEMBERS
    ),
)

Outcome = tuple[str, Any]


class LedgerMachine(RuleBasedStateMachine):
    sessions: Bundle[tuple[RepositoryName, str]] = Bundle("sessions")
    template: ClassVar[Template] = Template(Path(tempfile.mkdtemp()))

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.path = Path(self.directory.name)
        self.model = MemoryLedger(new_id=Ids(), clock=self.clock)
        url = self.loop.run_until_complete(self.template.copy(self.path / "ledger.db"))
        self.ledger = SqlLedger(url, new_id=Ids(), clock=self.clock)
        self.held: dict[str, Upload] = {}

    def teardown(self) -> None:
        self.loop.run_until_complete(self.ledger.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.directory.cleanup()

    def both(self, work: Callable[[Ledger], Coroutine[Any, Any, Any]]) -> Any:
        """Carry *work* out on both; they answer alike."""
        outcomes = [self.run(work(ledger)) for ledger in (self.model, self.ledger)]
        assert outcomes[0] == outcomes[1]
        return outcomes[1][1]

    def run(self, work: Coroutine[Any, Any, Any]) -> Outcome:
        try:
            return "answer", self.loop.run_until_complete(work)
        except RegistryError as error:
            return type(error).__name__, None

    @rule(seconds=st.integers(1, 2000))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(name=NAMES, held=BLOBS)
    def store(self, name: RepositoryName, held: str) -> None:
        self.both(lambda ledger: ledger.finish_upload(name, None, blob(held)))

    @rule(name=NAMES, source=NAMES, held=BLOBS)
    def mount(self, name: RepositoryName, source: RepositoryName, held: str) -> None:
        self.both(lambda ledger: ledger.link_blob(name, source, blob(held).digest))

    @rule(name=NAMES, held=BLOBS)
    def unlink(self, name: RepositoryName, held: str) -> None:
        self.both(lambda ledger: ledger.unlink_blob(name, blob(held).digest))

    @rule(
        name=NAMES,
        word=WORDS,
        tag=TAGS,
        chain=CHAINS,
        sparse=st.booleans(),
    )
    def put(
        self,
        name: RepositoryName,
        word: str,
        tag: str,
        chain: tuple[str, ...],
        *,
        sparse: bool,
    ) -> None:
        pushed = put(
            name,
            word,
            tag,
            blobs=tuple(blob(each) for each in CONTENT[word]),
            drafts=tagged(name, tag, *chain),
            sparse=sparse,
            subject=manifest(ABOUT[word]).digest if word in ABOUT else None,
        )
        self.both(lambda ledger: ledger.put_manifest(pushed))

    @rule(name=NAMES, tag=TAGS, children=st.lists(WORDS, min_size=1, unique=True), chain=CHAINS)
    def put_index(
        self, name: RepositoryName, tag: str, children: list[str], chain: tuple[str, ...]
    ) -> None:
        parts = [platform(name, word, *chain) for word in children]
        top = tagged(name, tag, *chain, uses=tuple(part[-1].key for part in parts))
        drafts = {each.key: each for part in (top[:-1], *parts, top[-1:]) for each in part}
        digests = tuple(manifest(word).digest for word in children)
        pushed = put_index(name, "index", tag, children=digests, drafts=tuple(drafts.values()))
        self.both(lambda ledger: ledger.put_manifest(pushed))

    @rule(name=NAMES, tag=TAGS)
    def delete_tag(self, name: RepositoryName, tag: str) -> None:
        self.both(lambda ledger: ledger.delete_tag(name, Tag.parse(tag)))

    @rule(name=NAMES, word=WORDS)
    def delete_manifest(self, name: RepositoryName, word: str) -> None:
        self.both(lambda ledger: ledger.delete_manifest(name, manifest(word).digest))

    @rule(
        name=NAMES,
        tag=TAGS,
        how=HOW,
    )
    def share(self, name: RepositoryName, tag: str, how: SharingChange) -> None:
        async def work(ledger: Ledger) -> Any:
            record = await find_by_key(ledger, name.project, f"tag:{name.path}:{tag}")
            return await ledger.share_record(record.id, how)

        self.both(work)

    @rule(target=sessions, name=NAMES)
    def begin(self, name: RepositoryName) -> tuple[RepositoryName, str]:
        return name, self.both(lambda ledger: ledger.begin_upload(name, "anna")).id

    @rule(session=sessions, name=NAMES, at=st.none() | st.integers(0, 12), own=st.booleans())
    def lease(
        self, session: tuple[RepositoryName, str], name: RepositoryName, at: int, *, own: bool
    ) -> None:
        where = session[0] if own else name
        held = self.both(lambda ledger: ledger.lease_upload(where, session[1], at=at, seconds=600))
        if held is not None:
            self.held[session[1]] = held

    @rule(session=sessions, segment=st.integers(1, 2), size=st.integers(1, 9))
    def record(self, session: tuple[RepositoryName, str], segment: int, size: int) -> None:
        held = self.held.get(session[1])
        if held is not None:
            after = self.both(
                lambda ledger: ledger.record_segment(held, Segment(str(segment), size), seconds=600)
            )
            self.held[session[1]] = after or held

    @rule(session=sessions)
    def release(self, session: tuple[RepositoryName, str]) -> None:
        held = self.held.get(session[1])
        if held is not None:
            self.both(lambda ledger: ledger.release_upload(held))

    @rule(session=sessions, held=BLOBS)
    def finish(self, session: tuple[RepositoryName, str], held: str) -> None:
        writer = self.held.get(session[1])
        if writer is not None:
            self.both(lambda ledger: ledger.finish_upload(session[0], writer, blob(held)))

    @rule(session=sessions)
    def cancel(self, session: tuple[RepositoryName, str]) -> None:
        self.both(lambda ledger: ledger.cancel_upload(*session))

    @rule(session=sessions)
    def find(self, session: tuple[RepositoryName, str]) -> None:
        self.both(lambda ledger: ledger.find_upload(*session))

    @rule(about=WORDS, name=NAMES)
    def referrers(self, about: str, name: RepositoryName) -> None:
        self.both(lambda ledger: ledger.list_referrers(name, manifest(about).digest))

    @rule(project=st.sampled_from(["shoes", "hats", "gloves"]))
    def listed(self, project: str) -> None:
        self.both(lambda ledger: ledger.list_records(projects=[project], filters={}, limit=99))

    @rule()
    def replay(self) -> None:
        """A model and a ledger, made of the lines alone, agree with each other."""
        lines = self.loop.run_until_complete(self.ledger.pending_lines())
        model = MemoryLedger()
        self.loop.run_until_complete(model.replay(lines))

        async def rebuilt() -> object:
            (self.path / "copy.db").unlink(missing_ok=True)
            copy = SqlLedger(await self.template.copy(self.path / "copy.db"))
            await copy.replay(lines)
            try:
                return await observe(copy)
            finally:
                await copy.close()

        told = self.loop.run_until_complete(observe(model))
        assert self.loop.run_until_complete(rebuilt()) == told
        seen = self.loop.run_until_complete(observe(self.ledger))
        assert {key: value for key, value in seen.items() if key in told} == told
        assert {key.partition(" ")[0] for key in seen.keys() - told.keys()} <= {
            str(name) for name in (SHOES, MORE_SHOES, HATS)
        }

    @invariant()
    def names_are_alike(self) -> None:
        self.both(observe)

    @invariant()
    def lines_are_alike(self) -> None:
        spelt = [
            [unordered(line) for line in self.loop.run_until_complete(ledger.pending_lines())]
            for ledger in (self.model, self.ledger)
        ]
        assert spelt[0] == spelt[1]


def unordered(line: JournalLine) -> object:
    """A line as an object, its sets in one order."""
    document = json.loads(line.content)
    for key in ("references", "blobs", "gone"):
        document[key] = sorted(document.get(key, []))
    return document


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLedger = LedgerMachine.TestCase
