"""A real Keystone, Glance and Swift for a run of the tests: scripts/cloud with its own state."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx

from support.environment import CACHE, ROOT

PREFIX = "tests-"
"""A run's state is .cache/cloud/tests-<the id of its process>."""

DOMAIN = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody in the cloud, with roles in one project."""

    name: str
    id: str
    password: str
    project: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationCredential:
    """What a user may hand to a program instead of his password."""

    id: str
    name: str
    secret: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStack:
    """Where a cloud is and who is in it; its services can be stopped, killed and started."""

    directory: Path
    region: str
    identity_url: str
    """With its /v3."""
    image_url: str
    """Without /v2."""
    object_store_url: str
    """With %(project_id)s where the account's project goes; see account_url."""
    registry_url: str
    projects: Mapping[str, str]
    """Name -> id: east and west, which share nothing; service; admin."""
    users: Mapping[str, User]
    """By name. In east: alice (member), carol (reader), dora (manager). In west: bob (member).
    In service: registry (service, member, berth_registry). And admin."""
    credential: ApplicationCredential
    """alice's."""
    temp_url_key: str
    """Of the service project's account in Swift."""

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Answer the cloud that runs with its state in *directory*."""
        document: dict[str, Any] = json.loads(cloud(directory, "env", "--json"))
        endpoints = document["endpoints"]
        users = {
            name: User(name=name, **{**user, "roles": frozenset(user["roles"])})
            for name, user in document["users"].items()
        }
        return cls(
            directory=directory,
            region=document["region"],
            identity_url=endpoints["identity"],
            image_url=endpoints["image"],
            object_store_url=endpoints["object-store"],
            registry_url=endpoints["container-registry"],
            projects=document["projects"],
            users=users,
            credential=ApplicationCredential(**document["application_credential"]),
            temp_url_key=document["temp_url_key"],
        )

    def account_url(self, project: str) -> str:
        """Answer the address of the project's account in Swift."""
        return self.object_store_url % {"project_id": self.projects[project]}

    def token(self, user: str) -> str:
        """Answer a token of *user* for his project."""
        return signed_in(self.sign_in(user))

    def sign_in(self, user: str) -> httpx.Response:
        """Answer what Keystone says to *user* who asks for a token for his project."""
        account = self.users[user]
        project = {"name": account.project, "domain": {"id": DOMAIN}}
        person = {"id": account.id, "password": account.password}
        return self._authenticate("password", {"user": person}, {"project": project})

    def sign_in_by_credential(self) -> httpx.Response:
        """Answer what Keystone says to the application credential."""
        content = {"id": self.credential.id, "secret": self.credential.secret}
        return self._authenticate("application_credential", content, None)

    def _authenticate(self, method: str, content: object, scope: object) -> httpx.Response:
        document: dict[str, object] = {"identity": {"methods": [method], method: content}}
        if scope is not None:
            document["scope"] = scope
        return httpx.post(f"{self.identity_url}/auth/tokens", json={"auth": document}, timeout=60)

    @contextlib.contextmanager
    def stopped(self, *services: str, kill: bool = False) -> Iterator[None]:
        """Stop *services* (keystone, glance, swift) for a while, or kill them."""
        cloud(self.directory, "kill" if kill else "stop", *services)
        try:
            yield
        finally:
            cloud(self.directory, "start", *services)

    @contextlib.contextmanager
    def without(self, *features: str) -> Iterator[None]:
        """Have a Glance for a while that its operator did not prepare for Berth.

        docker: no such disk format; protection: anybody writes oci_ properties; policy: the role
        berth_registry means nothing.
        """
        cloud(self.directory, "up", *(f"--without={feature}" for feature in features))
        try:
            yield
        finally:
            cloud(self.directory, "up", "--without=nothing")


def signed_in(response: httpx.Response) -> str:
    """Answer the token that Keystone gave."""
    assert response.status_code == HTTPStatus.CREATED, response.text
    return response.headers["X-Subject-Token"]


def cloud(directory: Path, *arguments: str) -> str:
    """Run scripts/cloud on the cloud in *directory*; answer what it printed."""
    done = subprocess.run(
        [ROOT / "scripts" / "cloud", "--state", directory, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def running_cloud(*options: str) -> Iterator[OpenStack]:
    """Yield a cloud on free ports, made for this run; afterwards leave nothing of it.

    *options* are more of `scripts/cloud up`.
    """
    sweep()
    directory = CACHE / "cloud" / f"{PREFIX}{os.getpid()}"
    try:
        cloud(directory, "up", "--free-ports", *options)
        yield OpenStack.read(directory)
    finally:
        cloud(directory, "down", "--wipe")


def sweep() -> None:
    """End the clouds of runs that were killed before they could."""
    for directory in (CACHE / "cloud").glob(f"{PREFIX}*"):
        owner = directory.name.removeprefix(PREFIX)
        if not Path("/proc", owner).exists():
            cloud(directory, "down", "--wipe")
