"""Berth's service user in a real Swift, and containers of a test's own."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from registry.storage.ports.blobs import BlobStore
from registry.storage.records import Segment
from registry.storage.swift import SwiftAccount, SwiftBlobStore
from registry.storage.swift.names import Place
from registry.storage.swift.objects import Objects
from support.openstack import DOMAIN, OpenStack

LARGER = bytes(range(256)) * 4096 * 10
"""More than is written as one plain object at its commit."""


def service_session(cloud: OpenStack, password: str | None = None) -> Session:
    """A new session of the service user, with another password if told; it has no token yet."""
    user = cloud.users["registry"]
    auth = v3.Password(
        auth_url=cloud.identity_url,
        user_id=user.id,
        password=password or user.password,
        project_name=user.project,
        project_domain_id=DOMAIN,
    )
    return Session(auth=auth, timeout=30)


def new_prefix() -> str:
    """What the names of a test's own containers begin with."""
    return f"test-{uuid.uuid4().hex[:12]}"


@asynccontextmanager
async def account_of(cloud: OpenStack, endpoint: str | None = None) -> AsyncIterator[SwiftAccount]:
    """The service user's account; *endpoint* is where it is reached if not where it is."""
    account = SwiftAccount(service_session(cloud), endpoint=endpoint, seconds=60.0)
    try:
        yield account
    finally:
        await account.close()


@asynccontextmanager
async def blobs_of(
    account: SwiftAccount, prefix: str | None = None
) -> AsyncIterator[SwiftBlobStore]:
    """A store in containers of its own, or in those of *prefix*."""
    store = SwiftBlobStore(account, prefix=prefix or new_prefix())
    try:
        yield store
    finally:
        await store.close()


async def lies_in(account: SwiftAccount, prefix: str) -> dict[str, list[str]]:
    """The names of all objects, by what follows *prefix* in their container's name."""
    objects = Objects(account)
    containers = [entry["name"] async for entry in objects.listing("", prefix=prefix)]
    return {
        container.removeprefix(f"{prefix}-"): [
            entry["name"] async for entry in objects.listing(container)
        ]
        for container in containers
    }


async def push(store: BlobStore, content: bytes, *, count: int = 2) -> tuple[str, list[Segment]]:
    """An upload of *content* in *count* segments, each recorded in an epoch of its own."""
    upload = str(uuid.uuid4())
    step = -(-len(content) // count)
    segments: list[Segment] = []
    for epoch, at in enumerate(range(0, len(content), step), 1):
        writer = await store.writer(upload, epoch, at)
        await writer.write(content[at : at + step])
        segments += filter(None, [await writer.checkpoint()])
        await writer.close()
    return upload, segments


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


async def wipe(cloud: OpenStack, prefix: str, *, containers: bool = False) -> None:
    """Remove all objects of a test's own containers, or the *containers* too."""
    async with account_of(cloud) as account:
        objects = Objects(account)
        for container, names in (await lies_in(account, prefix)).items():
            places = [Place(f"{prefix}-{container}", name) for name in names]
            await objects.delete_all(places)
            if containers:
                await objects.delete(Place(f"{prefix}-{container}", ""))
