"""Those who meet at the locks of the ledger, at which one, and what is right in either order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

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
from registry.storage.records import Position, Segment, Shared, StoreIdentity, Upload
from registry.storage.sharing import Visibility
from support.barriers import Work
from support.ledgers import (
    HATS,
    SHOES,
    blob,
    manifest,
    put,
    put_index,
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
