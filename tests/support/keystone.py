"""People, projects and roles made on a real Keystone for one test, and a registry that asks it."""

import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
from keystoneauth1.identity import v3

from registry.auth.keystone.client import Keystone
from registry.auth.keystone.identity import KeystoneIdentity
from registry.auth.keystone.projects import KeystoneProjectNames
from registry.storage.flusher import Flusher
from registry.storage.memory import MemoryBlobStore, MemoryJournal
from registry.storage.memory_ledger import MemoryLedger
from registry.storage.storage import Storage
from registry.v2api import token
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from support.openstack import DOMAIN, OpenStack
from support.signing import ISSUER, SERVICE, URL, bearer, start_tokens

WORD = "rabbit-hole-7"
"""Everybody's password."""


class Later:
    """A clock that goes like the real one, some seconds ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def time(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a password."""

    id: str
    name: str
    password: str = WORD


@dataclass(frozen=True, slots=True)
class Place:
    """A project."""

    id: str
    name: str


class Directory:
    """What an administrator does at Keystone; what he makes has a name of its own."""

    def __init__(self, openstack: OpenStack) -> None:
        self.url = openstack.identity_url
        self._http = httpx.Client(timeout=60)
        self._token = openstack.token("admin")
        self._roles: dict[str, str] = {}

    def close(self) -> None:
        self._http.close()

    def project(self, name: str | None = None, domain: str = DOMAIN) -> Place:
        name = name or fresh("project")
        made = self.post("/projects", project={"name": name, "domain_id": domain})
        return Place(made["id"], name)

    def domain(self) -> Place:
        name = fresh("domain")
        return Place(self.post("/domains", domain={"name": name})["id"], name)

    def person(self, name: str | None = None, domain: str = DOMAIN) -> Person:
        name = name or fresh("person")
        body = {"name": name, "domain_id": domain, "password": WORD}
        return Person(self.post("/users", user=body)["id"], name)

    def member(self, *projects: Place, role: str = "member") -> Person:
        """Somebody new with *role* in *projects*."""
        person = self.person()
        for project in projects:
            self.grant(person, role, project)
        return person

    def role(self, implies: str | None = None) -> str:
        """A new role, which may imply another."""
        name = fresh("role")
        self._roles[name] = self.post("/roles", role={"name": name})["id"]
        if implies is not None:
            self.ask("PUT", f"/roles/{self._roles[name]}/implies/{self.role_id(implies)}")
        return name

    def grant(self, person: Person, role: str, project: Place) -> None:
        self.ask("PUT", self._grant(person, role, f"/projects/{project.id}"))

    def take(self, person: Person, role: str, project: Place) -> None:
        self.ask("DELETE", self._grant(person, role, f"/projects/{project.id}"))

    def grant_system(self, person: Person, role: str) -> None:
        self.ask("PUT", self._grant(person, role, "/system"))

    def grant_domain(self, person: str, role: str, domain: str) -> None:
        self.ask("PUT", f"/domains/{domain}/users/{person}/roles/{self.role_id(role)}")

    def change(self, kind: str, identifier: str, **fields: object) -> None:
        """Rename, disable, move: fields of a user, a project or a domain."""
        self.ask("PATCH", f"/{kind}s/{identifier}", {kind: fields})

    def delete(self, kind: str, identifier: str) -> None:
        self.ask("DELETE", f"/{kind}s/{identifier}")

    def token(self, person: Person, project: Place | None = None, **scope: object) -> str:
        """A token of *person*, not scoped if for nothing."""
        document = {"methods": ["password"], "password": {"user": asdict(person)}}
        wanted: object = {"project": {"id": project.id}} if project else scope or "unscoped"
        return self.sign_in({"identity": document, "scope": wanted})

    def sign_in(self, auth: object) -> str:
        answer = self._http.post(f"{self.url}/auth/tokens", json={"auth": auth})
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        return answer.headers["X-Subject-Token"]

    def revoke(self, token: str) -> None:
        headers = {"X-Auth-Token": self._token, "X-Subject-Token": token}
        answer = self._http.delete(f"{self.url}/auth/tokens", headers=headers)
        assert answer.status_code == HTTPStatus.NO_CONTENT, answer.text

    def credential(
        self, person: Person, project: Place, seconds: float | None = None, **fields: object
    ) -> dict[str, str]:
        """An application credential of *person*, that lasts for *seconds*: its id and name."""
        if seconds is not None:
            until = datetime.now(UTC) + timedelta(seconds=seconds)
            fields["expires_at"] = until.strftime("%Y-%m-%dT%H:%M:%S.%f")
        body = {"name": fresh("credential"), "secret": WORD, **fields}
        answer = self._http.post(
            f"{self.url}/users/{person.id}/application_credentials",
            json={"application_credential": body},
            headers={"X-Auth-Token": self.token(person, project)},
        )
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        made: dict[str, str] = answer.json()["application_credential"]
        return {"id": made["id"], "name": made["name"]}

    def drop_credential(self, person: Person, identifier: str) -> None:
        self.ask("DELETE", f"/users/{person.id}/application_credentials/{identifier}")

    def role_id(self, name: str) -> str:
        if name not in self._roles:
            found = self.ask("GET", "/roles")["roles"]
            self._roles |= {each["name"]: each["id"] for each in found}
        return self._roles[name]

    def post(self, path: str, **body: Any) -> Any:
        ((kind, _),) = body.items()
        return self.ask("POST", path, body)[kind]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"X-Auth-Token": self._token}
        answer = self._http.request(method, f"{self.url}{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def _grant(self, person: Person, role: str, where: str) -> str:
        return f"{where}/users/{person.id}/roles/{self.role_id(role)}"


def asdict(person: Person) -> dict[str, str]:
    return {"id": person.id, "password": person.password}


def fresh(kind: str) -> str:
    """A name that nobody has."""
    return f"{kind}-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def directory_of(openstack: OpenStack) -> Iterator[Directory]:
    """Yield a Keystone's directory, in which the registry's service user may look up projects."""
    directory = Directory(openstack)
    directory.grant_domain(openstack.users["registry"].id, "reader", DOMAIN)
    try:
        yield directory
    finally:
        directory.close()


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

    async def token(self, headers: dict[str, str], *scopes: str, **query: str) -> httpx.Response:
        return await self.client.get(
            "/auth/token", params={"scope": list(scopes), **query}, headers=headers
        )

    async def sign_in(self, headers: dict[str, str], *scopes: str) -> dict[str, str]:
        """Headers with an access token for *scopes*."""
        answer = await self.token(headers, *scopes)
        assert answer.status_code == HTTPStatus.OK, answer.text
        return bearer(answer.json()["token"])


@contextlib.asynccontextmanager
async def open_cloud_registry(
    openstack: OpenStack, *, domains: dict[str, str] | None = None
) -> AsyncIterator[CloudRegistry]:
    ledger, journal = MemoryLedger(), MemoryJournal()
    storage = Storage(MemoryBlobStore(), journal, ledger, Flusher(ledger, journal))
    clock = Later()
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
    guard = Guard(identity, tokens, service=SERVICE, projects=projects)
    app = Application(storage, guard, Settings(body_timeout=2), token.routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield CloudRegistry(client, app, identity, projects, keys, clock)
    await storage.flusher.close()
    await identity.close()
