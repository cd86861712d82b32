"""What is true once it rains no more: nothing is lost, all agrees, and nothing is left over."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sqlalchemy import create_engine, delete, select
from sqlalchemy.engine import Engine

from registry import agreement
from registry.gc import collect, orphans
from registry.gc.policy import Rules
from registry.oci.errors import RegistryError
from registry.storage.ledger import SqlLedger
from registry.storage.ledger.schema import (
    blob,
    manifest,
    member,
    record,
    reference,
    repository,
    tag,
    upload,
)
from registry.storage.storage import Storage
from registry.storage.swift.large import UPLOAD
from registry.storage.swift.names import Names
from registry.storage.swift.objects import Objects
from support.faultactor import Actor
from support.faultimages import differs, hold_pulls
from support.faultmodel import Wrong, pushed
from support.faultsharing import Glance
from support.faultworld import World
from support.swift import account_of, lies_in

SECONDS = 45.0
"""For which something may not be so yet: a slow machine needs more than one attempt."""
REFUSED = 10.0
"""Seconds after which bob pulls just what Glance shows him, whose word is remembered for one."""
NO_GRACE = Rules(grace=0, uploads=0, trash=0, untagged=0)


async def hold(here: World, glance: Glance, actors: list[Actor], outcome: Any) -> None:
    """Raise Wrong where something is not as it must be."""
    await hold_told(actors)
    for actor in actors:
        name = actor.repository.name
        await _at_last(f"{name} cannot be pushed to", partial(actor.push, "last", pushed("a")))
    # What people threw away in Glance goes here too; after that nobody changes anything.
    await _at_last("Glance", lambda: differs(here, glance, actors))
    for actor in actors:
        actor.graceful = False
        for belief in actor.repository.tags.values():
            belief.ends = False
    await hold_told(actors)
    async with here.collector() as (storage, collection):
        await agreement.settle(storage)
        await _at_last("the journal is not written", partial(_flush, storage))
        for replica in here.replicas:
            await replica.storage.blobs.settle()  # type: ignore[attr-defined]

        async def collected() -> bool:
            later = time.time() + 1
            _, report = await collect.run(storage, collection, NO_GRACE, later, force=True)
            return not report.waiting and report.objects == 0

        await _at_last("objects cannot be deleted", collected)
        await storage.blobs.settle()  # type: ignore[attr-defined]

        _pass_an_hour(here)

        async def swept() -> bool:
            later = time.time() + 2
            strays = await orphans.sweep(storage, collection, NO_GRACE, later, force=True)
            outcome.orphans += strays.removed + strays.uploads
            return not (strays.waiting or strays.objects or strays.uploads)

        await _at_last("orphans cannot be deleted", swept)
        await storage.blobs.settle()  # type: ignore[attr-defined]
        await _at_last("nothing can be rebuilt", partial(hold_journal, here, storage))
    await hold_told(actors)
    await hold_whole(actors)
    await _at_last("Glance", lambda: differs(here, glance, actors))
    pulls = partial(hold_pulls, here, glance, actors[0].http, actors)
    await _at_last("bob", pulls, seconds=REFUSED)
    left = await left_over(here)
    # Segments of a large object that was never told that it owns them: see Swift's README.
    marked = {name.split("/")[0] for name in left if name.endswith("/used")}
    stranded = {name for name in left if name.split("/")[0] in marked}
    outcome.stranded = len(stranded)
    if left - stranded:
        raise Wrong(f"nothing needs {sorted(left - stranded)}, and no sweep finds it")


async def _at_last(
    what: str, work: Callable[[], Awaitable[bool | str]], *, seconds: float = SECONDS
) -> None:
    """*work* comes to answer True, or no word on why it cannot yet."""
    until = time.monotonic() + seconds
    why = ""
    while time.monotonic() < until:
        try:
            done = await work()
        except (RegistryError, collect.Busy) as error:
            done = str(error)
        if done in {True, ""}:
            return
        why = f": {done}" if isinstance(done, str) else ""
        await asyncio.sleep(0.2)
    raise Wrong(f"{what}{why}, though all is well again")


def _pass_an_hour(here: World) -> None:
    """The ledger forgets uploads that are over; what they left is left alone until then."""
    engine = create_engine(here.config.ledger_url)
    with engine.begin() as connection:
        connection.execute(delete(upload).where(upload.c.finished.is_not(None)))
    engine.dispose()


async def _flush(storage: Storage) -> bool:
    await storage.flusher.flush_all()
    return True


async def hold_told(actors: list[Actor]) -> None:
    """Every tag is one of what it may be, the same at both replicas."""
    for actor in actors:
        for name in actor.repository.tags:
            for replica in range(2):
                told = partial(actor.says_what, name, replica=replica)
                await _at_last(f"nobody says what {actor.repository.name}:{name} is", told)
        await actor.list_tags()


async def hold_whole(actors: list[Actor]) -> None:
    """Every tag comes whole, from one of the replicas."""
    for actor in actors:
        for name, belief in actor.repository.tags.items():
            if belief.settled is not None:
                what = f"{actor.repository.name}:{name} does not come whole"
                await _at_last(what, partial(actor.pull, name))


async def hold_journal(here: World, storage: Storage) -> bool:
    """A ledger made of the journal has the same names."""
    heads, known = await storage.journal.heads(), await storage.ledger.heads()
    if dict(heads) != dict(known):
        raise Wrong(f"the journal ends at {heads}, the ledger at {known}")
    path = here.scene.directory / "rebuilt.db"
    await here.scene.template.copy(path)
    ledger = SqlLedger(f"sqlite:///{path}")
    try:
        await agreement.rebuild(storage.journal, ledger, lambda _: None)
    finally:
        await ledger.close()
    was, now = (_names(url) for url in (here.config.ledger_url, f"sqlite:///{path}"))
    for table in was:
        if was[table] != now[table]:
            raise Wrong(f"rebuilt, {table} has not {was[table] ^ now[table]}")
    return True


def _names(url: str) -> dict[str, set[Any]]:
    """The rows of the tables that a rebuild restores; repositories by their names."""
    engine = create_engine(url)
    try:
        return _read(engine)
    finally:
        engine.dispose()


def _read(engine: Engine) -> dict[str, set[Any]]:
    kept = {}
    with engine.connect() as connection:
        for table, columns in (
            (tag, (tag.c.name, tag.c.digest)),
            (manifest, (manifest.c.digest, manifest.c.media_type, manifest.c.content)),
            (reference, (reference.c.manifest_digest, reference.c.digest, reference.c.kind)),
        ):
            here = select(repository.c.name, *columns).where(
                repository.c.id == table.c.repository_id
            )
            kept[table.name] = {tuple(row) for row in connection.execute(here)}
        for table in (record, member):
            without = {"created_at", "updated_at", "version"}
            told = select(*(each for each in table.c if each.name not in without))
            kept[table.name] = {tuple(row) for row in connection.execute(told)}
    return kept


async def left_over(here: World) -> set[str]:
    """The objects in Swift that nothing needs; raises Wrong where one is missing."""
    engine = create_engine(here.config.ledger_url)
    with engine.connect() as connection:
        needed = {row.object for row in connection.execute(select(blob.c.object))}
    engine.dispose()
    async with account_of(here.scene.cloud) as account:
        found = await lies_in(account, here.scene.prefix)
        held = {name for place in found for name in found[place] if place.startswith("blobs-")}
        uploads = set(found.get("uploads", []))  # a segment may be an object
        if missing := needed - held - uploads:
            raise Wrong(f"the ledger names objects that are not there: {sorted(missing)}")
        used = await _uploads_used(Objects(account), here, needed) if uploads else set()
    spare = {name for name in uploads if name.split("/")[0] not in used}
    return (held | spare) - needed


async def _uploads_used(objects: Objects, here: World, needed: set[str]) -> set[str]:
    """The uploads of which large objects hold segments."""
    used = set()
    for name in needed:
        head = await objects.head(Names(here.scene.prefix).object(name))
        if head is not None and head.is_large:
            used.add(head.headers[UPLOAD])
    return used
