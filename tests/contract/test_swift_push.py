"""What a small image costs in Swift: each request is some milliseconds of everybody's."""

import json
from collections import Counter
from http import HTTPMethod

from registry import push
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName, Tag
from registry.push import PushRules
from registry.storage.flusher import Flusher
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.storage import Storage
from registry.storage.swift import SwiftAccount, SwiftJournal
from registry.storage.swift.account import Request
from registry.storage.swift.names import Names
from support.faultproxy import FaultProxy
from support.streams import stream
from support.swift import blobs_of

HERE = RepositoryName("east", "small")
RULES = PushRules()
CONFIG = json.dumps(
    {"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}
).encode()
LAYERS = (b"\x1f\x8b one", b"\x1f\x8b two" * 1000)
TYPES = "application/vnd.oci.image"


async def push_as_docker(storage: Storage, content: bytes) -> dict[str, object]:
    """POST, one PATCH of unknown length, an empty PUT; the blob's descriptor."""
    digest = Digest.of(content)
    session = await push.begin_upload(storage, HERE, "alice")
    await push.append_chunk(storage, HERE, session.id, None, None, stream(content))
    await push.finish_upload(storage, HERE, session.id, None, digest, 0, stream())
    return {"digest": str(digest), "size": len(content)}


async def push_image(storage: Storage, tag: str, extra: bytes) -> None:
    layers = [await push_as_docker(storage, each + extra) for each in LAYERS]
    config = await push_as_docker(storage, CONFIG + b" " * len(extra))
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{TYPES}.manifest.v1+json",
        "config": {"mediaType": f"{TYPES}.config.v1+json", **config},
        "layers": [{"mediaType": f"{TYPES}.layer.v1.tar+gzip", **each} for each in layers],
    }
    content = json.dumps(manifest).encode()
    name = Tag.parse(tag)
    await push.put_manifest(storage, RULES, HERE, name, [], None, content)


async def test_a_small_image_is_an_object_for_each_blob_and_one_line(
    behind: SwiftAccount, proxy: FaultProxy, prefix: str
) -> None:
    ledger = MemoryLedger()
    async with blobs_of(behind, prefix) as blobs:
        journal = SwiftJournal(behind, prefix=prefix)
        storage = Storage(blobs, journal, ledger, Flusher(ledger, journal, claimed=True))
        for digit in "0123456789abcdef":
            container = Names(prefix).blobs(digit)
            await behind.ask(Request(method=HTTPMethod.PUT, container=container))
        await push_image(storage, "v1", b"")  # looks whether there is a gap before its line
        proxy.requests.clear()
        await push_image(storage, "v2", b"!")
        await blobs.settle()
        kinds = Counter(
            (line.split()[0], line.partition(prefix)[2].replace("/", "-").split("-")[1])
            for line in proxy.requests
        )
        assert kinds == {("PUT", "blobs"): 3, ("PUT", "journal"): 1}
        await storage.flusher.close()
