"""Every endpoint asks who it is, and answers nobody more than he may know."""

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from registry.auth import challenge
from registry.auth.ports import Action
from registry.v2api import routes
from support.asking import APP, ENDPOINTS, NAME, PATHS, asked_for, push_app
from support.pushing import code
from support.signing import URL, Forger, Registry, bad_headers, basic

every_endpoint = pytest.mark.parametrize(("method", "path", "kind"), ENDPOINTS)


def test_the_paths_here_are_those_of_the_table() -> None:
    tables = {name for name, each in vars(routes).items() if name.isupper() and type(each) is dict}
    assert tables == set(PATHS)


# -- 401 ----------------------------------------------------------------------------------------


@every_endpoint
async def test_nobody_is_told_how_to_sign_in(
    registry: Registry, method: str, path: str, kind: str
) -> None:
    asked = asked_for(await registry.client.request(method, path))
    actions = vars(routes)[kind][method].actions
    words = ",".join(action for action in Action if action in actions)
    expected = {"BASE": {}, "CATALOGUE": {"scope": challenge.CATALOGUE}}
    assert asked == expected.get(kind, {"scope": f"repository:{NAME}:{words}"})


@every_endpoint
async def test_a_bad_token_is_refused(
    registry: Registry, method: str, path: str, kind: str
) -> None:
    await push_app(registry)
    access = [{"type": "repository", "name": NAME, "actions": ["pull", "push", "delete"]}]
    access.append({"type": "registry", "name": "catalog", "actions": ["*"]})
    forger = await Forger.of(registry.keys, registry.clock.now, access)
    for name, header in bad_headers(forger):
        answer = await registry.client.request(method, path, headers=header)
        assert asked_for(answer)["error"] == "invalid_token", name
    good = {"X-Auth-Token": forger.sign()}
    answer = await registry.client.request(method, path, headers=good)
    assert answer.status_code not in {401, 403}, kind


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic *",
        "Basic YWxpY2U=",  # alice
        "Basic OnNlY3JldA==",  # :secret
        "Basic /////w==",
        basic("alice", "wrong")["Authorization"],
        basic("alice", "")["Authorization"],
        basic("stranger")["Authorization"],
        "Digest username=alice",
        "Bearer",
        "Bearer ",
        "alice",
        "Negotiate x",
    ],
)
async def test_bad_credentials_are_refused_with_a_challenge(
    registry: Registry, header: str
) -> None:
    for path in PATHS.values():
        registry.clock.now += 60
        answer = await registry.client.request("HEAD", path, headers={"Authorization": header})
        if answer.status_code != 405:
            asked_for(answer)


async def test_guesses_are_told_to_slow_down(registry: Registry) -> None:
    for _ in range(5):
        asked_for(await registry.client.get("/v2/", headers=basic("alice", "guess")))
    slow = await registry.client.get("/v2/", headers=basic("alice", "guess"))
    assert (slow.status_code, code(slow)) == (429, "TOOMANYREQUESTS")
    assert int(slow.headers["retry-after"]) > 0


async def test_a_token_ends_with_its_user(registry: Registry) -> None:
    signed_in = await registry.sign_in("alice", f"repository:{NAME}:pull")
    assert (await registry.client.get("/v2/", headers=signed_in)).status_code == 200
    registry.write_people("")
    asked_for(await registry.client.get("/v2/", headers=signed_in))


async def test_a_spoilt_password_file_is_503_and_not_401(registry: Registry) -> None:
    registry.write_people("nonsense")
    answer = await registry.client.get("/v2/", headers=basic("alice"))
    assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


@pytest.mark.parametrize(
    "name", ["app", "shoes/blobs/app", "shoes/manifests", "tags/list", "a/blobs/uploads/b", "v2/a"]
)
async def test_a_challenge_names_the_repository_whatever_it_is_called(
    registry: Registry, name: str
) -> None:
    for rest in (f"blobs/{APP.digest}", "manifests/x", "tags/list", f"referrers/{APP.digest}"):
        asked = asked_for(await registry.client.get(f"/v2/{name}/{rest}"))
        assert asked["scope"] == f"repository:{name}:pull"
    for rest in ("blobs/uploads", "blobs/uploads/", "blobs/uploads/?digest=x"):
        asked = asked_for(await registry.client.post(f"/v2/{name}/{rest}"))
        assert asked["scope"] == f"repository:{name}:pull,push"


async def test_a_mount_is_asked_for_with_one_scope(registry: Registry) -> None:
    """There are clients that cannot read two, and the source goes by roles."""
    for query in (f"mount={APP.digest}&from=hats/app", "from=hats/app"):
        asked = asked_for(await registry.client.post(f"{PATHS['UPLOADS']}?{query}"))
        assert asked["scope"] == f"repository:{NAME}:pull,push"


@pytest.mark.parametrize(
    "query",
    [
        b'from=a",realm="x',
        b"from=a%0d%0aSet-Cookie:+x",
        b"from=a%20repository:b:pull",
        b"from=%e2%82%ac",
        b"from=%ff",
        b"from=\xff",
        b"\xff\xfe",
    ],
)
async def test_a_query_does_not_get_into_the_challenge(registry: Registry, query: bytes) -> None:
    class Raw(httpx.AsyncBaseTransport):
        """Sends bytes that no client would."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                changed = {**scope, "query_string": f"mount={APP.digest}&".encode() + query}
                await registry.app(changed, receive, send)

            return await httpx.ASGITransport(app).handle_async_request(request)

    async with httpx.AsyncClient(transport=Raw(), base_url=URL) as client:
        answer = await client.post(PATHS["UPLOADS"])
    assert asked_for(answer) == {"scope": f"repository:{NAME}:pull,push"}
    assert "\n" not in answer.headers["www-authenticate"]


@pytest.mark.parametrize("host", ['x",error="y', "x/blobs/uploads/", "a b", "\xe9"])
async def test_a_host_does_not_get_into_the_challenge(registry: Registry, host: str) -> None:
    answer = await registry.client.get("/v2/", headers={b"Host": host.encode("latin-1")})
    found = challenge.read(answer.headers["www-authenticate"])
    assert set(found) == {"realm", "service"}
    assert host not in found["realm"]
