"""A server that dies at a chosen point: forked, so that one start costs no imports.

Reads one JSON object a line, answers one or two: what to run, then {"pid": n} and {"status": s}.
"""

import asyncio
import gc
import itertools
import json
import os
import socket
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from registry import agreement, receive, stores, wiring
from registry.config import Config
from registry.gc import fsck, orphans
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage import flusher
from registry.storage.flusher import Flusher
from registry.storage.layout import new_object_name
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ports.blobs import BlobStore
from registry.storage.ports.journal import Journal
from registry.storage.ports.ledger import Ledger
from registry.storage.records import BlobRecord, Position
from registry.storage.storage import Storage
from support import planted
from support.faultpoints import FaultPoints

LOST = RepositoryName("library", "app")
"""Has a blob whose bytes were lost."""


def main() -> None:
    """Fork a child for each line; end with the input."""
    gc.collect()
    gc.freeze()  # or each child's collector would write on, and so copy, what it shares
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            carry_out(order)
        tell({"pid": pid})
        _, status = os.waitpid(pid, 0)
        tell({"status": os.waitstatus_to_exitcode(status)})


def tell(answer: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def carry_out(order: dict[str, Any]) -> None:
    """Serve or rebuild, under watch; never returns."""
    status = 1
    try:
        log = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for standard in (1, 2):
            os.dup2(log, standard)
        os.environ[wiring.CONFIG_VARIABLE] = order["config"]
        deadly = (order["point"], order["time"]) if order["point"] else None
        watch(FaultPoints(Path(order["log"]), deadly))
        planted.plant(order["planted"])
        if order["lease"] is not None:
            receive.LEASE = order["lease"]
        config = wiring.load_config()
        if order["rebuild"]:
            asyncio.run(wiring.rebuild(config, lambda *_: None))
            if order["tend"]:
                asyncio.run(wiring.compact(config))
                lose(config)
                asyncio.run(wiring.rebuild(config, lambda *_: None))  # out of the folded journal
                asyncio.run(tend(config))
        else:
            serve(config)
        status = 0
    except BaseException:
        traceback.print_exc()  # nobody else tells of it
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Beside(Flusher):
    """Claims lines, as where the journal is far, beside a process that now and then claims some
    and falls silent."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named | {"claimed": True})
        self._turns = itertools.count(1)

    async def flush(self, position: Position) -> None:
        if next(self._turns) % 4 == 0:
            await self._ledger.claim_lines("a silent process", {}, seconds=0.05)
        await super().flush(position)


def watch(points: FaultPoints) -> None:
    """Put points around every call of a port and every commit."""
    names = {"SqlLedger": Ledger, "FilesystemBlobStore": BlobStore, "FilesystemJournal": Journal}
    for name, port in names.items():
        setattr(stores, name, points.watched(port, getattr(stores, name)))
    journal: Any = vars(stores)["FilesystemJournal"]
    setattr(stores, "FilesystemJournal", partial(journal, rotate_at=4096))  # noqa: B010
    setattr(stores, "Flusher", Beside)  # noqa: B010
    vars(flusher)["CLAIM"] = 0.2  # what the dead has claimed is waited for after each death
    points.watch_commits()
    # Each look at a blob promises it anew.
    vars(stores)["Storage"] = lambda *given, **named: Storage(*given, **named | {"promise": -1.0})


def lose(config: Config) -> None:
    """Have no ledger any more."""
    for path in config.storage.directory.glob("ledger.db*"):
        path.unlink()


async def tend(config: Config) -> None:
    """As a collector and a checker do, who finds a blob without its bytes.

    All that is there is too young to go, and sound.
    """
    collection = SqlCollection(config.ledger_url)
    async with stores.opened(config) as storage:
        await agreement.settle(storage)
        await orphans.sweep(storage, collection, wiring.rules(config), time.time())
        gone = BlobRecord(Digest.of(b"gone"), new_object_name(Digest.of(b"gone")), 4)
        await storage.ledger.finish_upload(LOST, None, gone)
        verdict = await fsck.check(storage, collection, before=time.time(), rate=1e12)
        assert [each.digest for each in verdict.missing] == [gone.digest]
        assert not verdict.unread
    await collection.close()


def serve(config: Config) -> None:
    """As `berth serve` with one worker."""
    asyncio.run(wiring.prepare(config))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(config.http.address)
        uvicorn.Server(wiring.server_config(config)).run(sockets=[listener])


if __name__ == "__main__":
    main()
