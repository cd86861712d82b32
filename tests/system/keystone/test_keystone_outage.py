"""A real Keystone that is stopped, one that talks nonsense, and what is never told."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable

import pytest

from registry.auth.keystone.client import SILENCE, WAITING, Keystone
from registry.auth.keystone.roles import REMEMBERED_SECONDS
from registry.auth.ports import NOWHERE
from registry.oci.errors import StorageUnavailable
from support.asking import BLOB
from support.directory import WORD, Directory, Person, Place, fresh
from support.keystone import (
    TOKEN_SECONDS,
    CloudRegistry,
    access_of,
    as_person,
    as_token,
    open_cloud_registry,
)
from support.listening import listening
from support.openstack import OpenStack
from support.pushing import code
from support.signing import basic


async def test_in_an_outage_signed_tokens_go_on_and_logins_wait(
    openstack: OpenStack,
    registry: CloudRegistry,
    directory: Directory,
    alice: Person,
    east: Place,
) -> None:
    await registry.push(as_person(alice), east)
    scopes = f"repository:{east.name}/app:pull,push"
    signed_in = await registry.sign_in(as_person(alice), scopes)
    refresh = await registry.refresh_token(alice.name)
    newcomer = directory.member(east)
    token = directory.token(newcomer, east)
    async with open_cloud_registry(openstack) as other:
        with openstack.stopped("keystone"):
            assert await registry.status(as_person(alice), east) == 200, "remembered for a minute"
            registry.clock.ahead += REMEMBERED_SECONDS
            await registry.push(signed_in, east)
            assert await registry.status(signed_in, east) == 200
            url = f"/v2/{east.name}/app/blobs/uploads/?mount={BLOB}&from=elsewhere/app"
            mount = await registry.client.post(url, headers=signed_in)
            assert mount.status_code == 202, "a source that cannot be looked up is none"
            for headers in (as_person(alice), as_person(newcomer), as_token(token)):
                for registry_ in (registry, other):
                    answer = await registry_.client.get("/v2/", headers=headers)
                    assert (answer.status_code, code(answer)) == (503, "UNKNOWN")
                    assert int(answer.headers["retry-after"]) > 0
            for answer in (
                await registry.token(as_person(newcomer), scopes),
                await registry.token(basic(newcomer.name, "wrong"), scopes),
                await registry.refresh(refresh, east),
            ):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            challenged = await registry.client.get(f"/v2/{east.name}/app/manifests/1")
            assert challenged.status_code == 401
            registry.clock.ahead += TOKEN_SECONDS - REMEMBERED_SECONDS
            assert await registry.status(signed_in, east) == 401, "and until they end, no longer"
        await asyncio.sleep(SILENCE)
        for headers in (as_person(alice), as_person(newcomer), as_token(token)):
            for registry_ in (registry, other):
                assert (await registry_.client.get("/v2/", headers=headers)).status_code == 200
        assert access_of(await registry.refresh(refresh, east))


async def test_a_keystone_that_fails_or_says_nonsense_is_an_outage(openstack: OpenStack) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said.pop(0))
        writer.close()
        await writer.wait_closed()

    said = [
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 404 Where\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 201 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain",
        b'HTTP/1.1 201 OK\r\nContent-Length: 12\r\nX-Subject-Token: x\r\n\r\n{"token":{}}',
    ]
    async with listening(answer) as port:
        broken = _at(openstack, f"http://127.0.0.1:{port}/v3")
        async with open_cloud_registry(broken) as registry:
            while said:
                with pytest.raises(StorageUnavailable):
                    await registry.identity.authenticate("alice", WORD, NOWHERE)


async def test_at_a_silent_keystone_only_so_many_wait_and_not_for_long() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    began = time.monotonic()
    async with listening(say_nothing) as port:
        keystone = Keystone(f"http://127.0.0.1:{port}", timeout=1)
        asked = [keystone.validate(f"token{number}") for number in range(WAITING + 5)]
        told = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in told} == {StorageUnavailable}
    assert sum("too many people" in str(each) for each in told) == 5
    assert time.monotonic() - began < 10, "who waits is answered when nobody answers"
    await keystone.close()


async def test_no_secret_is_logged_or_told(
    openstack: OpenStack,
    registry: CloudRegistry,
    directory: Directory,
    alice: Person,
    east: Place,
    caplog: pytest.LogCaptureFixture,
) -> None:
    word = fresh("secret")
    directory.change("user", alice.id, password=word)
    alice = Person(alice.id, alice.name, word)
    token = directory.token(alice, east)
    with caplog.at_level(logging.DEBUG):
        told = [
            (await registry.token(as_person(alice), f"repository:{east.name}/app:pull")).text,
            (await registry.token(basic(alice.name, f"{word}x"))).text,
            (await registry.token(basic("token", token))).text,
            (await registry.token(basic("token", f"{token}x"))).text,
            await _whole(registry.identity.authenticate(alice.name, f"{word}y")),
            await _whole(registry.identity.verify(f"{token}y")),
        ]
        with openstack.stopped("keystone"):
            told.append(await _whole(registry.identity.authenticate(alice.name, f"{word}z")))
    for secret in (word, token, openstack.users["registry"].password):
        assert secret not in caplog.text
        assert not any(secret in each for each in told)


async def _whole(asked: Awaitable[object]) -> str:
    """All that an exception says, and those that it follows."""
    words = []
    try:
        await asked
    except Exception as error:  # noqa: BLE001
        following: BaseException | None = error
        while following is not None:
            words.append(f"{following!r} {vars(following)}")
            following = following.__cause__ or following.__context__
    assert words
    return " ".join(words)


def _at(openstack: OpenStack, url: str) -> OpenStack:
    return dataclasses.replace(openstack, identity_url=url)
