"""Many writers at once, each with connections of its own: what they leave fits its journal."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from contract.ledger_journal_contract import observe
from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    MemberTaken,
    RegistryError,
    UploadBusy,
)
from registry.oci.names import Tag
from registry.storage.ledger import SqlLedger
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.records import BlobRecord, Member, Segment
from registry.storage.sharing import Answer, Invitation, Visibility
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    blob,
    find_by_key,
    manifest,
    put,
    share_with,
    store,
    tagged,
)

NAMES = (SHOES, MORE_SHOES, HATS)
EXPECTED = (BlobUnknown, ManifestUnknown, ManifestBlobUnknown, MemberTaken)


@pytest.fixture
async def ledgers(url: str) -> AsyncIterator[list[SqlLedger]]:
    both = [await SqlLedger.open(url) for _ in range(2)]
    yield both
    for each in both:
        await each.close()


def step(ledger: SqlLedger, chance: random.Random) -> Coroutine[Any, Any, Any]:
    """One change, drawn by *chance*."""
    name, word = chance.choice(NAMES), chance.choice("abcd")
    held = blob(chance.choice(["sole", "lace"]))
    named = {"a": (), "b": (blob("sole"),), "c": (blob("lace"),), "d": (blob("sole"),)}[word]
    tag = f"v{chance.randrange(3)}"
    drafts = tagged(name, tag, *chance.choice([("base",), ("base", "x"), ("base", "x", "y")]))
    boots = "tag:red/boots:v1"

    async def share() -> None:
        record = await find_by_key(ledger, "shoes", boots)
        await share_with(ledger, record.id, "hats")

    return chance.choice(
        [
            lambda: ledger.put_manifest(put(name, word, tag, blobs=named, drafts=drafts)),
            lambda: ledger.put_manifest(put(name, word, tag, blobs=named, drafts=drafts)),
            lambda: ledger.finish_upload(name, None, held),
            lambda: ledger.link_blob(name, chance.choice(NAMES), held.digest),
            lambda: ledger.unlink_blob(name, held.digest),
            lambda: ledger.delete_tag(name, Tag.parse(tag)),
            lambda: ledger.delete_manifest(name, manifest(word).digest),
            share,
        ]
    )()


@pytest.mark.parametrize("seed", range(4))
async def test_racing_changes_leave_what_their_lines_say(
    ledgers: list[SqlLedger], seed: int
) -> None:
    chance = random.Random(seed)
    done = 0
    for _ in range(12):
        steps = [step(ledger, chance) for ledger in ledgers for _ in range(6)]
        for outcome in await asyncio.gather(*steps, return_exceptions=True):
            if isinstance(outcome, BaseException):
                assert isinstance(outcome, EXPECTED), outcome
            else:
                done += 1
    assert done > 20
    lines = await ledgers[0].pending_lines()
    heads = await ledgers[0].heads()
    for project, group in itertools.groupby(lines, lambda line: line.position.project):
        assert [line.position.sequence for line in group] == [*range(1, heads[project] + 1)]
    copy = MemoryLedger()
    await copy.replay(lines)
    seen = await observe(ledgers[1])
    told = await observe(copy)
    # A link that no manifest names has no line: a client uploads such a blob anew.
    assert {key: value for key, value in seen.items() if key in told} == told
    for missing in seen.keys() - told.keys():
        assert isinstance(seen[missing], BlobRecord)


async def test_of_many_who_finish_one_digest_one_object_holds(ledgers: list[SqlLedger]) -> None:
    mine = [BlobRecord(blob("sole").digest, f"object-{n}", 9) for n in range(20)]
    held = await asyncio.gather(
        *(ledgers[n % 2].finish_upload(NAMES[n % 3], None, each) for n, each in enumerate(mine))
    )
    assert len(set(held)) == 1
    for name in NAMES:
        assert (await ledgers[0].find_blob(name, held[0].digest)).blob == held[0]


async def test_of_many_who_take_a_session_one_gets_it(ledgers: list[SqlLedger]) -> None:
    session = await ledgers[0].begin_upload(SHOES, "anna")

    async def take(ledger: SqlLedger) -> bool:
        try:
            held = await ledger.lease_upload(SHOES, session.id, at=0, seconds=60)
            await ledger.record_segment(held, Segment("s", 10), seconds=60)
        except UploadBusy:
            return False
        return True

    taken = await asyncio.gather(*(take(ledgers[n % 2]) for n in range(20)))
    assert sum(taken) == 1
    assert (await ledgers[1].find_upload(SHOES, session.id)).offset == 10


async def test_of_many_who_add_a_member_one_does_and_what_it_answers_stays(
    ledgers: list[SqlLedger],
) -> None:
    await ledgers[0].put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1")))
    record = (await find_by_key(ledgers[0], "shoes", "tag:red/boots:v1")).id
    await ledgers[0].share_record(record, Visibility("shared"))

    async def add(number: int) -> bool:
        ledger = ledgers[number % 2]
        try:
            await ledger.share_record(record, Invitation("hats"))
        except MemberTaken:
            return False
        await ledger.share_record(record, Answer(Member("hats", "accepted")))
        return True

    assert sum(await asyncio.gather(*(add(number) for number in range(20)))) == 1
    assert await ledgers[1].list_members(record) == [Member("hats", "accepted")]


async def test_a_failing_change_undoes_only_itself(ledgers: list[SqlLedger]) -> None:
    await store(ledgers[0], SHOES, blob("sole"))

    async def attempt(number: int) -> RegistryError | None:
        blobs = (blob("sole"),) if number % 2 else (blob("sole"), blob("lace"))
        try:
            await ledgers[0].put_manifest(put(SHOES, f"m{number}", f"t{number}", blobs=blobs))
        except RegistryError as error:
            return error
        return None

    outcomes = await asyncio.gather(*(attempt(number) for number in range(20)))
    assert [outcome is None for outcome in outcomes] == [bool(n % 2) for n in range(20)]
    tags = await ledgers[1].list_tags(SHOES)
    assert tags == sorted(f"t{number}" for number in range(1, 20, 2))
