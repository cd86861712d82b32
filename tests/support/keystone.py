"""A registry in memory where people are a real Keystone's, and what they ask of it."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import jwt
from keystoneauth1.identity import v3

from registry.auth.keystone.client import Keystone
from registry.auth.keystone.identity import KeystoneIdentity
from registry.auth.keystone.projects import KeystoneProjectNames
from registry.opening import Neighbours
from registry.storage.flusher import Flusher
from registry.storage.glance import GlanceCallerImages
from registry.storage.glance.client import GlanceClient
from registry.storage.ledger import SqlLedger
from registry.storage.memory.blobs import MemoryBlobStore
from registry.storage.memory.journal import MemoryJournal
from registry.storage.memory.ledger import MemoryLedger
from registry.storage.storage import Storage
from registry.v2api import token
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from registry.viewing.cloud import CloudViewer
from support.asking import APP, other_routes
from support.directory import WORD, Person, Place
from support.openstack import DOMAIN, OpenStack
from support.pushing import push_image
from support.signing import ISSUER, SERVICE, URL, basic, bearer, start_tokens
from support.swift import service_session

ALL = ["delete", "pull", "push"]
TOKEN_SECONDS = 300
Headers = dict[str, str]


class Later:
    """A clock that goes like the real one, some seconds ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def time(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True)
class CloudRegistry:
    """The application in memory, where people are a real Keystone's."""

    client: httpx.AsyncClient
    app: Application
    identity: KeystoneIdentity
    projects: KeystoneProjectNames
    keys: MemoryLedger
    clock: Later
    """Of what is remembered, and of tokens: Keystone's own goes on as it does."""

    async def token(self, headers: Headers, *scopes: str, offline: bool = False) -> httpx.Response:
        """What is answered to docker's question for a token."""
        query = {"scope": list(scopes), "offline_token": str(offline).lower()}
        return await self.client.get("/auth/token", params=query, headers=headers)

    async def sign_in(self, headers: Headers, *scopes: str) -> Headers:
        """Headers with an access token for *scopes*."""
        answer = await self.token(headers, *scopes)
        assert answer.status_code == HTTPStatus.OK, answer.text
        return bearer(answer.json()["token"])

    async def granted(self, headers: Headers, *projects: Place | str) -> dict[str, list[str]]:
        """What a token for all of app in each project is good for, by project."""
        scopes = [f"repository:{spelt(each)}/app:pull,push,delete" for each in projects]
        return access_of(await self.token(headers, *scopes))

    async def status(self, headers: Headers, project: Place | str) -> int:
        """What is answered to a pull from app: 200, or 404 before a push, where it is allowed."""
        url = f"/v2/{spelt(project)}/app/manifests/1"
        return (await self.client.get(url, headers=headers)).status_code

    async def push(self, headers: Headers, project: Place | str) -> None:
        """Push APP to app under the tag 1."""
        self.client.headers.update(headers)
        await push_image(self.client, f"{spelt(project)}/app", "1", APP)
        for header in headers:
            del self.client.headers[header]

    async def refresh_token(self, user: str, word: str = WORD) -> str:
        """A refresh token, by the OAuth2 form."""
        form = {"grant_type": "password", "username": user, "password": word}
        answer = await self.client.post("/auth/token", data={**form, "access_type": "offline"})
        assert answer.status_code == HTTPStatus.OK, answer.text
        return str(answer.json()["refresh_token"])

    async def refresh(self, token: str, *projects: Place) -> httpx.Response:
        """What is answered to a refresh token."""
        scope = " ".join(f"repository:{each.name}/app:pull,push" for each in projects)
        form = {"grant_type": "refresh_token", "refresh_token": token, "scope": scope}
        return await self.client.post("/auth/token", data=form)


def as_person(person: Person, suffix: str = "") -> Headers:
    return basic(f"{person.name}{suffix}", person.password)


def as_token(token: str) -> Headers:
    return {"X-Auth-Token": token}


def spelt(project: Place | str) -> str:
    return project if isinstance(project, str) else project.name


def access_of(answer: httpx.Response) -> dict[str, list[str]]:
    """What the token in an answer is good for, by project."""
    assert answer.status_code == HTTPStatus.OK, answer.text
    claims = jwt.decode(answer.json()["token"], options={"verify_signature": False})
    return {entry["name"].rpartition("/")[0]: entry["actions"] for entry in claims["access"]}


@contextlib.asynccontextmanager
async def open_cloud_registry(
    openstack: OpenStack,
    *,
    domains: dict[str, str] | None = None,
    shared: SqlLedger | None = None,
    glance: str | None = None,
) -> AsyncIterator[CloudRegistry]:
    """Over a memory of its own, or the ledger *shared*, whose records Glance shows to others.

    With *shared* it has every endpoint, else those for pushing and pulling.

    *glance* is where it is reached if not where it is.
    """
    ledger, journal = shared or MemoryLedger(), MemoryJournal()
    storage = Storage(MemoryBlobStore(), journal, ledger, Flusher(ledger, journal))
    clock = Later()
    neighbours = None
    if shared is not None:
        storage.openings = shared.sightings
        asked = GlanceClient(service_session(openstack), endpoint=glance, timeout=10)
        viewer = CloudViewer(GlanceCallerImages(asked), clock=clock.monotonic)
        neighbours = Neighbours(viewer, shared.sightings)
    keystone = Keystone(openstack.identity_url)
    identity = KeystoneIdentity(
        keystone, domain=DOMAIN, domains=domains or {}, clock=clock.monotonic
    )
    user = openstack.users["registry"]
    service = v3.Password(
        openstack.identity_url,
        user.password,
        user_id=user.id,
        project_id=openstack.projects[user.project],
    )
    projects = KeystoneProjectNames(keystone, service, domain=DOMAIN, clock=clock.monotonic)
    keys = MemoryLedger(clock=clock.time)
    tokens = await start_tokens(keys, clock.time, issuer=ISSUER, service=SERVICE)
    guard = Guard(identity, tokens, service=SERVICE, projects=projects, neighbours=neighbours)
    others = token.routes if shared is None else [*token.routes, *other_routes(shared)]
    app = Application(storage, guard, Settings(body_timeout=2), others)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield CloudRegistry(client, app, identity, projects, keys, clock)
    await storage.flusher.close()
    await guard.close()
