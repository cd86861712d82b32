"""Berth's service user in a real Swift, and containers of a test's own."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from registry.storage.swift import SwiftAccount, SwiftBlobStore
from support.openstack import DOMAIN, OpenStack


def service_session(cloud: OpenStack) -> Session:
    """A new session of the service user; it has no token yet."""
    user = cloud.users["registry"]
    auth = v3.Password(
        auth_url=cloud.identity_url,
        user_id=user.id,
        password=user.password,
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
    account = SwiftAccount(service_session(cloud), endpoint=endpoint)
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
