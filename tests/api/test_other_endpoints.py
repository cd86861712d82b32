"""Every endpoint outside /v2/: open to all on purpose, or closed to whoever shows a bad token."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from registry import wiring
from registry.storage.ledger import SqlLedger
from registry.storage.storage import Storage
from registry.v2api.app import Application, Settings
from support.asking import CLOSED, NAME, OTHER_ENDPOINTS, other_routes, push_app
from support.signing import URL, Forger, Registry, bad_headers

OPEN = {
    "/healthz",
    "/readyz",
    "/metrics",  # by address: http.metrics_from
    "/auth/token",  # with credentials of its own
    "/auth/jwks.json",
    "/auth/revoke",
    "/image",
    "/image/",
    "/image/versions",
    "/image/v2",
    "/image/v2/",
}
NOWHERE = {"/image/{path:path}", "/registry/{path:path}"}

every_endpoint = pytest.mark.parametrize(("method", "path"), OTHER_ENDPOINTS)


@pytest.fixture
async def client(registry: Registry, storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    """All of them, at which people sign in."""
    assert isinstance(storage.ledger, SqlLedger)
    others = other_routes(storage.ledger)
    app = Application(storage, registry.app.state.guard, Settings(body_timeout=2), others)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


async def test_the_paths_here_are_those_that_a_server_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTH_STORAGE_DIRECTORY", str(tmp_path))
    served = [each for each in wiring.application()._starlette.routes if isinstance(each, Route)]
    assert {each.path for each in served} == OPEN | NOWHERE | set(CLOSED)
    for each in served:
        if each.path in CLOSED:
            assert set(vars(each.endpoint)["_handlers"]) == set(CLOSED[each.path])


@every_endpoint
async def test_nobody_is_told_how_to_sign_in(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith(f'Bearer realm="{URL}/auth/token"')


@every_endpoint
async def test_a_bad_token_is_refused(
    registry: Registry, client: httpx.AsyncClient, method: str, path: str
) -> None:
    await push_app(registry)
    access = [{"type": "repository", "name": NAME, "actions": ["pull", "push", "delete"]}]
    access.append({"type": "registry", "name": "catalog", "actions": ["*"]})
    forger = await Forger.of(registry.keys, registry.clock.now, access)
    for name, header in bad_headers(forger):
        answer = await client.request(method, path, headers=header)
        assert answer.status_code == 401, name
        assert 'error="invalid_token"' in answer.headers["www-authenticate"], name
    good = await client.request(method, path, headers={"X-Auth-Token": forger.sign()})
    assert good.status_code != 401, good.text
