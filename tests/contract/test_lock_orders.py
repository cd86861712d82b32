"""Every lock of the ledger on PostgreSQL, in both orders of those who meet at it.

Whoever comes second waits at that lock until the first has committed, and then sees what it did.
"""

import ast
import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from registry.limits import Allowance, Leave, Limits
from registry.oci.errors import (
    BlobUnknown,
    BlobUploadUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    StorageUnavailable,
    UploadBusy,
)
from registry.oci.names import Tag
from registry.storage import ledger as package
from registry.storage.changes import Change
from registry.storage.ledger import (
    SqlLedger,
    condemning,
    lines,
    links,
    mending,
    migrate,
    replays,
    undelete,
    uploads,
    writes,
)
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ledger.schema import metadata
from registry.storage.records import Position, Segment, Shared, StoreIdentity, Upload
from registry.storage.sharing import Visibility
from support.barriers import Work, meet
from support.ledgers import (
    HATS,
    SHOES,
    blob,
    find_by_key,
    manifest,
    own_schema,
    put,
    put_index,
    store,
    tagged,
)

NOW: Final = 2_000_000_000.0
"""Seconds: later than whatever the fixtures promise."""
SOLE, LACE = blob("sole"), blob("lace")
FRESH, OTHER = replace(SOLE, object="another"), replace(LACE, object="another")
V1 = Tag.parse("v1")
IDENTITY = StoreIdentity("11111111-1111-1111-1111-111111111111", 1)
BOUNDED = Leave(Allowance(project=Limits(bytes=10**9)))


@dataclass
class Place:
    """Two ledgers over one database, and a collection."""

    one: SqlLedger
    other: SqlLedger
    collection: SqlCollection
    session: Upload
    """Of shoes, leased."""
    record: str
    """The image record of the tag v1."""


@dataclass(frozen=True)
class Meeting:
    """Two that meet; each is made for a place."""

    left: Callable[[Place], Work]
    right: Callable[[Place], Work]
    lock: tuple[str, str]
    """What the statement says in which the right one waits for the left, and the other way."""
    left_first: Callable[[Any, Any], bool]
    """Whether what left and right answered is right."""
    right_first: Callable[[Any, Any], bool]


def on(work: Callable[..., Any], *rest: Any, **named: Any) -> Callable[[Place], Work]:
    """*work* of a connection and the time."""
    return lambda _: lambda c: work(c, NOW, *rest, **named)


def untimed(work: Callable[..., Any], *rest: Any) -> Callable[[Place], Work]:
    return lambda _: lambda c: work(c, *rest)


def of_session(work: Callable[..., Any], *rest: Any, **named: Any) -> Callable[[Place], Work]:
    return lambda place: lambda c: work(c, NOW, place.session, *rest, **named)


def put_under(word: str, *tags: str, **named: Any) -> Callable[[Place], Work]:
    return on(writes.put_manifest, put(SHOES, word, *tags, **named), lambda: "")


def finish(name: Any = SHOES, leave: Leave | None = None) -> Callable[[Place], Work]:
    return on(uploads.finish, name, None, FRESH, leave or Leave())


def limit(connection: Connection) -> None:
    """What `set_limits` does in its transaction, but for the line."""
    lines.lock_project(connection, "shoes")
    writes.set_limits(connection, Change("limits", SHOES, NOW, limits={"tags": 9}))


def found(place: Place) -> Work:
    """The ledger is to be rebuilt."""
    return captured(lambda: place.one.found(IDENTITY, whole=False), place.one)


def compare(place: Place) -> Work:
    """What `differences` does in its transaction."""
    return captured(place.one.quotas.differences, place.one)


def purge(place: Place) -> Work:
    return captured(lambda: place.collection.purge_trash(NOW), place.collection)


def forget(place: Place) -> Work:
    return captured(
        lambda: place.collection.forget_upload(place.session.id, NOW + 99), place.collection
    )


def unlinked(place: Place) -> Work:
    return captured(lambda: place.collection.condemn_unlinked([LACE.digest], NOW), place.collection)


def captured(call: Callable[[], Any], owner: Any) -> Work:
    """The transaction of a method, without carrying it out."""
    kept: list[Work] = []

    class Catcher:
        async def write(self, work: Work, **_: Any) -> None:
            kept.append(work)

    holder = getattr(owner, "quotas", owner) if call.__qualname__.startswith("SqlQ") else owner
    database, holder._database = holder._database, Catcher()
    coroutine = call()
    try:
        coroutine.send(None)
    except StopIteration:
        pass
    finally:
        holder._database = database
    return kept[0]


def gone(answer: Any) -> bool:
    """A condemnation took a link."""
    return bool(answer.links == 1)


def kept(answer: Any) -> bool:
    return bool(answer.links == 0)


def is_line(answer: Any) -> bool:
    return isinstance(answer, Position)


def is_shared(answer: Any) -> bool:
    return isinstance(answer, Shared)


def is_(kind: type[Exception]) -> Callable[[Any], bool]:
    return lambda answer: isinstance(answer, kind)


def both(left: Callable[[Any], bool], right: Callable[[Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda one, other: left(one) and right(other)


CONDEMN = on(condemning.condemn, SHOES, [SOLE.digest], NOW)
PROJECT = ("INSERT INTO project", "INSERT INTO project")
MEETINGS: Final = {
    "a push and a condemnation": Meeting(
        put_under("b", "v9", blobs=(SOLE,)), CONDEMN, PROJECT,
        both(is_line, kept), both(is_(ManifestBlobUnknown), gone),
    ),
    "a push and a condemnation in another project": Meeting(
        on(writes.put_manifest, put(HATS, "a", "v9", blobs=(SOLE,)), lambda: ""), CONDEMN,
        ("FROM blob", "FROM blob"),
        both(is_line, gone), both(is_line, gone),
    ),
    "an index and the collection of what it names": Meeting(
        on(writes.put_manifest, put_index(SHOES, "index", "v9", children=(manifest("c").digest,)),
           lambda: ""),
        on(condemning.collect_manifests, SHOES, [manifest("c").digest], NOW), PROJECT,
        both(is_line, lambda done: done == ([], None)),
        both(is_(ManifestBlobUnknown), lambda done: is_line(done[1])),
    ),
    "a push and the deletion of its tag": Meeting(
        put_under("b", "v1"), on(writes.delete_tag, SHOES, V1), PROJECT,
        both(is_line, is_line), both(is_line, is_line),
    ),
    "a push and a deletion of the manifest": Meeting(
        put_under("a", "v1"), on(writes.delete_manifest, SHOES, manifest("a").digest), PROJECT,
        both(is_line, is_line), both(is_line, is_line),
    ),
    "a push and the deletion of its blob": Meeting(
        put_under("b", "v9", blobs=(SOLE,)), on(writes.unlink_blob, SHOES, SOLE.digest), PROJECT,
        both(is_line, is_line), both(is_(ManifestBlobUnknown), is_line),
    ),
    "a push and new limits": Meeting(
        put_under("b", "v9"), untimed(limit), PROJECT, lambda *_: True, lambda *_: True,
    ),
    "a push and a record that is shared": Meeting(
        put_under("b", "v9"),
        lambda place: lambda c: writes.share_record(c, NOW, place.record, Visibility("shared")),
        PROJECT, both(is_line, is_shared), both(is_line, is_shared),
    ),
    "a push and the deletion of the repository": Meeting(
        put_under("b", "v9"), on(undelete._empty, SHOES, 10), PROJECT,
        both(is_line, lambda emptied: emptied.manifests == 3),
        both(is_line, lambda emptied: emptied.manifests == 2),
    ),
    "a push and a replay": Meeting(
        put_under("b", "v9"), untimed(replays.restart, "shoes", 9), PROJECT,
        lambda *_: True, lambda *_: True,
    ),
    "a push and a rebuild": Meeting(
        put_under("b", "v9"), found, ("FROM project", "INSERT INTO project"),
        both(is_line, lambda _: True), both(is_(StorageUnavailable), lambda _: True),
    ),
    "two who rebuild": Meeting(
        found, found, ("INTO store", "INTO store"), lambda *_: True, lambda *_: True,
    ),
    "a mount and a condemnation": Meeting(
        on(links.mount, HATS, SHOES, SOLE.digest, Leave()), CONDEMN, ("FROM blob", "FROM blob"),
        both(lambda held: held == SOLE, gone), both(is_(BlobUnknown), gone),
    ),
    "a bounded mount and a condemnation there": Meeting(
        on(links.mount, SHOES, HATS, SOLE.digest, BOUNDED), CONDEMN, PROJECT,
        both(lambda held: held == SOLE, kept), both(lambda held: held == SOLE, gone),
    ),
    "an upload and a condemnation": Meeting(
        finish(), on(condemning.condemn, SHOES, [SOLE.digest], NOW), ("FROM blob", "blob"),
        both(lambda held: held == SOLE, kept), both(lambda held: held in (SOLE, FRESH), gone),
    ),
    "a bounded upload and a condemnation": Meeting(
        finish(leave=BOUNDED), CONDEMN, PROJECT,
        both(lambda held: held == SOLE, kept), both(lambda held: held in (SOLE, FRESH), gone),
    ),
    "an upload and the last of a blob": Meeting(
        on(uploads.finish, HATS, None, OTHER, Leave()), unlinked,
        ("FROM blob", "blob"),
        both(lambda held: held == OTHER, lambda taken: taken.objects == ()),
        both(lambda held: held == OTHER, lambda taken: taken.objects == (LACE,)),
    ),
    "two uploads of a blob that nobody is linked to": Meeting(
        on(uploads.finish, HATS, None, LACE, Leave()),
        on(uploads.finish, SHOES, None, OTHER, Leave()),
        ("FROM blob", "INSERT INTO blob"),
        both(lambda held: held == LACE, lambda held: held == LACE),
        both(lambda held: held == OTHER, lambda held: held == OTHER),
    ),
    "a promise and a condemnation": Meeting(
        on(links.touch, SHOES, SOLE.digest), CONDEMN, ("FROM blob", "UPDATE link"),
        both(lambda linked: linked is True, kept), both(lambda linked: linked is False, gone),
    ),
    "a reservation and a push": Meeting(
        of_session(uploads.reserve, 50, 60, BOUNDED, ahead=False), put_under("b", "v9"), PROJECT,
        both(lambda total: total == 50, is_line), both(lambda total: total == 50, is_line),
    ),
    "two leases of an upload": Meeting(
        lambda place: lambda c: uploads.lease(c, NOW + 99, SHOES, place.session.id, None, 60),
        lambda place: lambda c: uploads.lease(c, NOW + 99, SHOES, place.session.id, None, 60),
        ("FROM upload", "FROM upload"),
        both(lambda held: held.epoch == 2, is_(UploadBusy)),
        both(is_(UploadBusy), lambda held: held.epoch == 2),
    ),
    "an upload that ends and one who cancels it": Meeting(
        lambda place: lambda c: uploads.finish(c, NOW, SHOES, place.session, FRESH, Leave()),
        lambda place: lambda c: uploads.cancel(c, NOW, SHOES, place.session.id),
        ("FROM upload", "UPDATE upload"),
        both(lambda held: held == SOLE, is_(BlobUploadUnknown)),
        both(is_(UploadBusy), lambda cancelled: cancelled is None),
    ),
    "a segment and the collection of its upload": Meeting(
        of_session(uploads.record, Segment("s", 9), 1000), forget,
        ("DELETE FROM upload", "UPDATE upload"),
        both(lambda held: held.offset == 9, lambda forgotten: forgotten is False),
        both(is_(UploadBusy), lambda forgotten: forgotten is True),
    ),
    "what is taken back and the end of its term": Meeting(
        lambda _: lambda c: undelete._put_back(
            c, NOW, put(SHOES, "t", "old"), lambda: "", None), purge,
        ("trash", "FROM trash"),
        both(is_line, lambda _: True), both(is_(ManifestUnknown), lambda _: True),
    ),
    "a blob that is missed and a condemnation": Meeting(
        on(mending.miss, SOLE, 3600), CONDEMN, ("FROM blob", "FROM blob"),
        both(lambda bad: bad is False, gone), both(lambda bad: bad is False, gone),
    ),
    "a blob that is mended and a condemnation": Meeting(
        on(mending.adopt, SOLE, FRESH), CONDEMN, PROJECT,
        both(lambda adopted: adopted is False, gone), both(lambda adopted: adopted is False, gone),
    ),
    "sums that are compared and an upload": Meeting(
        compare, finish(), ("INSERT INTO blob", "LOCK TABLE"),
        both(lambda differences: differences == [], lambda held: held == SOLE),
        both(lambda differences: differences == [], lambda held: held == SOLE),
    ),
    "two who do one job": Meeting(
        lambda _: lambda c: condemning.lease(c, NOW, "collect", "anna", 60),
        lambda _: lambda c: condemning.lease(c, NOW, "collect", "bert", 60),
        ("INSERT INTO job", "INSERT INTO job"),
        both(lambda got: got is True, lambda got: got is False),
        both(lambda got: got is False, lambda got: got is True),
    ),
    "two who migrate": Meeting(
        lambda _: migrate.upgrade, lambda _: migrate.upgrade,
        ("pg_advisory_xact_lock", "pg_advisory_xact_lock"),
        lambda *_: True, lambda *_: True,
    ),
}  # fmt: skip


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
    "outbox._rename": "the project's row; tests/contract/outbox_contract.py",
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
