"""People, projects and roles made on a real Keystone, each by a test for itself."""

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx

from support.openstack import DOMAIN, OpenStack

WORD = "rabbit-hole-7"
"""Everybody's password."""
_TRIES = 5
"""A Keystone on SQLite answers 500 where two of its threads would write at once."""


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
        self._admin = openstack.users["admin"].id
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
        document = {"methods": ["password"], "password": {"user": as_user(person)}}
        wanted: object = {"project": {"id": project.id}} if project else scope or "unscoped"
        return self.sign_in({"identity": document, "scope": wanted})

    def sign_in(self, auth: object) -> str:
        place, document = f"{self.url}/auth/tokens", {"auth": auth}
        answer = self._http.post(place, json=document)
        for _ in range(_TRIES - 1):
            if answer.is_server_error:
                answer = self._http.post(place, json=document)
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
        self._keep_a_number_taken()
        return {"id": made["id"], "name": made["name"]}

    def credential_token(self, identifier: str) -> str:
        """A token of an application credential."""
        content = {"id": identifier, "secret": WORD}
        methods = ["application_credential"]
        return self.sign_in({"identity": {"methods": methods, methods[0]: content}})

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

    def _keep_a_number_taken(self) -> None:
        """Make a credential that stays.

        SQLite gives the highest number again once its row is deleted, and Keystone leaves rows
        about the deleted one's roles, so that no other could be made.
        """
        body = {"application_credential": {"name": fresh("stays"), "secret": WORD}}
        self.ask("POST", f"/users/{self._admin}/application_credentials", body)

    def _grant(self, person: Person, role: str, where: str) -> str:
        return f"{where}/users/{person.id}/roles/{self.role_id(role)}"


def as_user(person: Person) -> dict[str, str]:
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


ANOTHER = {"password": f"not {WORD}"}
End = Callable[[Directory, Person, Place], None]
ENDS: Mapping[str, End] = {
    "the user is disabled": lambda d, person, _: d.change("user", person.id, enabled=False),
    "the user is deleted": lambda d, person, _: d.delete("user", person.id),
    "the password is another": lambda d, person, _: d.change("user", person.id, **ANOTHER),
    "the role is taken": lambda d, person, east: d.take(person, "member", east),
    "the project is disabled": lambda d, _, east: d.change("project", east.id, enabled=False),
    "the project is deleted": lambda d, _, east: d.delete("project", east.id),
}
"""Ways in which what somebody could do ends, by what an administrator did."""
