"""Where nobody signs in, only this machine is answered: no web page, no proxy (DNS rebinding)."""

import httpx
import pytest

from support.asking import ENDPOINTS
from support.pushing import code

HERE = ["127.0.0.1", "127.0.0.1:5000", "127.8.8.8", "localhost", "LocalHost:80", "[::1]", "[::1]:5"]
ELSEWHERE = [
    "",
    "evil.example",
    "evil.example:5000",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "localhost.evil.example",
    "evil.example/127.0.0.1",
    "localhost evil.example",
    "127.0.0.1:",
    "127.0.0.1:x",
    "0.0.0.0:5000",
    "[::]",
    "::",
    "192.168.0.1",
    "2130706433",
    "0177.0.0.1",
    "127.1",
    "registry",
    "\xb9\xb2\xb7.0.0.1",
]
FOREIGN = [
    "Origin",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Server",
    "X-Forwarded-Prefix",
]


@pytest.mark.parametrize("host", HERE)
async def test_this_machine_is_answered(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/v2/", headers={"Host": host})
    assert (answer.status_code, "www-authenticate" in answer.headers) == (200, False)


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_another_host_is_refused(client: httpx.AsyncClient, host: str) -> None:
    answer = await client.get("/v2/", headers={b"Host": host.encode("latin-1")})
    assert (answer.status_code, code(answer)) == (403, "DENIED")
    assert "set auth.kind" in answer.json()["errors"][0]["detail"]


async def test_a_long_host_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v2/", headers={"Host": "x" * 5000})
    assert (answer.status_code, len(answer.content) < 500) == (403, True)


@pytest.mark.parametrize("name", FOREIGN)
async def test_what_comes_from_a_page_or_through_a_proxy_is_refused(
    client: httpx.AsyncClient, name: str
) -> None:
    for value in ("http://127.0.0.1:5000", "127.0.0.1", "null", ""):
        answer = await client.get("/v2/", headers={name: value})
        assert (answer.status_code, code(answer)) == (403, "DENIED")
        assert name.lower() in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(("method", "path", "kind"), ENDPOINTS)
async def test_no_endpoint_is_open_to_others(
    client: httpx.AsyncClient, method: str, path: str, kind: str
) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        answer = await client.request(method, path, headers=headers)
        assert answer.status_code == 403, kind
    assert (await client.request(method, path)).status_code not in {401, 403}


async def test_credentials_are_not_looked_at(client: httpx.AsyncClient) -> None:
    for header in ("Basic x", "Bearer x", "nonsense"):
        answer = await client.get("/v2/_catalog", headers={"Authorization": header})
        assert answer.status_code == 200
    begun = await client.post("/v2/shoes/app/blobs/uploads/")
    assert "_state" not in begun.headers["location"]
