"""The service user's account in Swift: how it is found, and whose token opens it."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from contract.blob_store_contract import HELLO, LARGE, MIB, new_upload, read
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError, StorageUnavailable
from registry.storage.records import BlobRecord, Segment
from registry.storage.swift import SwiftAccount, SwiftBlobStore, open_account
from support.certificates import make_certificate
from support.faultproxy import FaultProxy
from support.openstack import DOMAIN, OpenStack
from support.streams import stream
from support.swift import blobs_of, new_prefix, service_session


@pytest.fixture
async def store(behind: SwiftAccount, prefix: str) -> AsyncIterator[SwiftBlobStore]:
    async with blobs_of(behind, prefix) as store:
        yield store


async def put(store: SwiftBlobStore, content: bytes) -> BlobRecord:
    return await store.put(Digest.of(content), len(content), stream(content))


# -- tokens ---------------------------------------------------------------------------------------


async def test_a_token_that_swift_refuses_is_renewed_in_mid_upload(
    store: SwiftBlobStore, behind: SwiftAccount
) -> None:
    upload = new_upload()
    writer = await store.writer(upload, 1, 0)
    segments: list[Segment] = []
    for _ in range(3):
        lose_token(behind)
        for at in range(0, 3 * MIB, MIB):
            await writer.write(LARGE[at : at + MIB])
        segments += filter(None, [await writer.checkpoint()])
    await writer.close()
    content = LARGE[: 3 * MIB] * 3
    lose_token(behind)
    blob = await store.commit(upload, segments, Digest.of(content))
    lose_token(behind)
    assert await read(store, blob) == content
    lose_token(behind)
    await store.discard(upload)
    await store.settle()
    lose_token(behind)
    await store.delete(blob.object)
    lose_token(behind)
    assert await read(store, await put(store, LARGE)) == LARGE


def lose_token(account: SwiftAccount, void: str = "void") -> None:
    account._credentials._token = void


async def test_a_revoked_token_is_renewed(openstack: OpenStack, behind: SwiftAccount) -> None:
    token = await behind._credentials.token()
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    async with httpx.AsyncClient() as client:
        answer = await client.delete(f"{openstack.identity_url}/auth/tokens", headers=headers)
        assert answer.status_code == 204
    async with blobs_of(behind) as store:
        assert await read(store, await put(store, LARGE)) == LARGE
    assert await behind._credentials.token() != token


async def test_a_user_whom_swift_always_refuses_is_told_of(
    store: SwiftBlobStore, proxy: FaultProxy
) -> None:
    for status in (401, 403):
        proxy.spoil("^PUT", status=status, times=2)
        with pytest.raises(StorageUnavailable, match="service user"):
            await put(store, HELLO)
        proxy.rules.clear()


async def test_a_token_that_holds_outlasts_keystone(behind: SwiftAccount) -> None:
    credentials = behind._credentials
    session = credentials._session
    token = await credentials.token()
    right, session.auth.auth_url = session.auth.auth_url, "http://127.0.0.1:9/v3"  # type: ignore[union-attr]
    credentials._renew_at = 0
    assert await credentials.token() == token
    await credentials.close()
    assert await credentials.token() == token
    credentials._ends_at = 0
    with pytest.raises(StorageUnavailable, match="token"):
        await credentials.token()
    session.auth.auth_url = right  # type: ignore[union-attr]
    assert await credentials.token() not in {token, None}


async def test_one_token_is_fetched_for_all_who_wait(openstack: OpenStack) -> None:
    async with FaultProxy.before(openstack.identity_url) as keystone:
        session = service_session(openstack)
        session.auth.auth_url = keystone.url  # type: ignore[union-attr]
        account = SwiftAccount(session, endpoint=openstack.account_url("service"))
        tokens = await asyncio.gather(*(account._credentials.token() for _ in range(20)))
        assert len(set(tokens)) == 1
        assert keystone.asked("^POST .*/auth/tokens") == 1
        await account.close()


async def test_a_wrong_password_and_a_missing_endpoint_are_told(openstack: OpenStack) -> None:
    wrong = service_session(openstack, "guessed")
    nowhere = SwiftAccount(service_session(openstack), region="Nowhere")
    for account in (SwiftAccount(wrong), nowhere):
        async with blobs_of(account, new_prefix()) as store:
            with pytest.raises(StorageUnavailable) as caught:
                await put(store, HELLO)
        assert isinstance(caught.value, RegistryError)
        assert "guessed" not in str(caught.value)
        await account.close()


# -- how the account is found ---------------------------------------------------------------------


async def test_the_environment_says_who_the_service_user_is(
    openstack: OpenStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = openstack.users["registry"]
    variables = {
        "AUTH_URL": openstack.identity_url,
        "USERNAME": user.name,
        "PASSWORD": user.password,
        "PROJECT_NAME": user.project,
        "USER_DOMAIN_ID": DOMAIN,
        "PROJECT_DOMAIN_ID": DOMAIN,
        "REGION_NAME": openstack.region,
    }
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(f"OS_{name}", value)
    account = open_account()
    async with blobs_of(account) as store:
        assert await read(store, await put(store, HELLO)) == HELLO
    assert await account.endpoint() == openstack.account_url("service")
    assert await account.endpoint("internal") == openstack.account_url("service")
    await account.close()
    with pytest.raises(StorageUnavailable, match="sign"):
        open_account("a-cloud-that-nobody-wrote-down")


async def test_tls_is_verified_by_the_sessions_authorities(
    openstack: OpenStack, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    async with FaultProxy.before(openstack.account_url("service"), context) as proxy:
        for verify, good in ((str(certificate.chain), True), (False, True), (True, False)):
            session = service_session(openstack)
            session.verify = verify
            account = SwiftAccount(session, endpoint=proxy.url)
            async with blobs_of(account) as store:
                if good:
                    assert await read(store, await put(store, LARGE)) == LARGE
                else:
                    with pytest.raises(StorageUnavailable, match="no connection"):
                        await put(store, HELLO)
            await account.close()
    session = service_session(openstack)
    account = SwiftAccount(session, endpoint=proxy.url)
    await account._credentials.token()
    session.cert = (str(certificate.chain), str(tmp_path / "nothing.pem"))
    async with blobs_of(account) as store:
        with pytest.raises(StorageUnavailable, match="certificates"):
            await put(store, HELLO)
