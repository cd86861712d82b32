"""Every lock of the ledger on PostgreSQL, in both orders of those who meet at it.

Whoever comes second waits at that lock until the first has committed, and then sees what it did.
"""

import ast
import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Connection

from contract.lock_meetings import IDENTITY, LACE, MEETINGS, SOLE, Place
from registry.storage import ledger as package
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ledger.schema import metadata
from support.barriers import meet
from support.ledgers import HATS, SHOES, find_by_key, manifest, own_schema, put, store, tagged


@pytest.fixture(scope="module")
def url(postgres_url: str) -> Iterator[str]:
    """A ledger with its tables, for one test after the other."""

    async def make(url: str) -> None:
        await (await SqlLedger.open(url)).close()

    with own_schema(postgres_url) as url:
        asyncio.run(make(url))
        yield url


def clear(connection: Connection) -> None:
    names = ", ".join(table.name for table in metadata.sorted_tables)
    connection.exec_driver_sql(f"TRUNCATE {names}")


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    """Sole is linked in shoes and hats, and unneeded; lace is linked nowhere."""
    one, other = SqlLedger(url), SqlLedger(url)
    await one._database.write(clear)
    collection = SqlCollection(url)
    await one.found(IDENTITY, whole=True)
    await store(one, SHOES, SOLE, LACE)
    await store(one, HATS, SOLE)
    await one.unlink_blob(SHOES, LACE.digest)
    await one.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base")))
    await one.put_manifest(put(SHOES, "c"))
    await one.put_manifest(put(SHOES, "t", "old"))
    await one.delete_manifest(SHOES, manifest("t").digest)
    session = await one.begin_upload(SHOES, "anna")
    session = await one.lease_upload(SHOES, session.id, at=0, seconds=0)
    record = await find_by_key(one, "shoes", "tag:red/boots:v1")
    yield Place(one, other, collection, session, record.id)
    for each in (one, other, collection):
        await each.close()


@pytest.mark.parametrize("order", ["left first", "right first"])
@pytest.mark.parametrize("name", MEETINGS)
async def test_whoever_comes_second_sees_what_the_first_has_done(
    place: Place, name: str, order: str
) -> None:
    meeting = MEETINGS[name]
    left, right = meeting.left(place), meeting.right(place)
    if order == "left first":
        met = await meet(place.one._database, place.other._database, left, right)
        assert meeting.left_first(met.first, met.second), met
        assert meeting.lock[0] in met.query
    else:
        met = await meet(place.one._database, place.other._database, right, left)
        assert meeting.right_first(met.second, met.first), met
        assert meeting.lock[1] in met.query
    assert await place.one.quotas.differences() == []


# -- the list is whole ----------------------------------------------------------------------------

HELD: Final = {
    "writes.put_manifest": "a push and a condemnation",
    "writes.delete_manifest": "a push and a deletion of the manifest",
    "writes.delete_tag": "a push and the deletion of its tag",
    "writes.unlink_blob": "a push and the deletion of its blob",
    "writes.share_record": "a push and a record that is shared",
    "replays.replay": "a push and a replay",
    "replays.restart": "a push and a replay",
    "lines.wait_for_changes": "a push and a rebuild",
    "writes._LINKED": "a push and a condemnation in another project",
    "writes._MANIFESTS": "an index and the collection of what it names",
    "condemning.condemn": "a mount and a condemnation",
    "condemning.drop_unlinked": "an upload and the last of a blob",
    "condemning.collect_manifests": "an index and the collection of what it names",
    "uploads._session": "two leases of an upload",
    "links._FIND_BLOB": "an upload and a condemnation",
    "links._LOCK_LINKED": "a mount and a condemnation",
    "uploads.reserve": "a reservation and a push",
    "uploads.finish": "a bounded upload and a condemnation",
    "links.prepare": "a bounded mount and a condemnation there",
    "links.grant": "a bounded upload and a condemnation",
    "undelete._put_back": "what is taken back and the end of its term",
    "undelete._empty": "a push and the deletion of the repository",
    "quotas.SqlQuotas": "sums that are compared and an upload",
    "mending.miss": "a blob that is missed and a condemnation",
    "mending.adopt": "a blob that is mended and a condemnation",
    "founding.found": "two who rebuild",
    "migrate.upgrade": "two who migrate",
}
"""Where the ledger locks something -> a meeting there."""
ELSEWHERE: Final = {
    "uploads._purge": "passes by what another has locked, and so never waits",
    "leasing._take": "the same",
    "outbox._held": "the project's row was taken before; tests/contract/outbox_contract.py",
    "outbox._agree": "the project's row; tests/contract/outbox_contract.py",
    "outbox._rename": "the project's row; tests/contract/outbox_ids_contract.py",
    "sightings._untag": "the project's row; tests/contract/sightings_contract.py",
}
"""Where nobody meets anybody at another lock than those."""
LOCKING: Final = ("with_for_update", "lock_project")


def test_every_lock_has_a_meeting() -> None:
    found = set()
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if any(_locks(each) for each in ast.walk(node)):
                found.add(f"{path.stem}.{_name(node)}")
    assert found == HELD.keys() | ELSEWHERE.keys()
    assert set(HELD.values()) <= MEETINGS.keys()


def _locks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        return name in LOCKING
    return isinstance(node, ast.Constant) and any(
        word in str(node.value) for word in ("LOCK TABLE", "SELECT pg_advisory")
    )


def _name(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return node.name
