"""Who and what the cloud knows from its first minute on; running it again changes nothing."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cloud.accounts import (
    ACCOUNTS,
    ADMIN,
    CREDENTIAL,
    DOMAIN,
    PEOPLE,
    PROJECTS,
    REGION,
    REGISTRY,
    SERVICE_PROJECT,
    Account,
)
from cloud.http import Session, call
from cloud.layout import CloudError, Layout, Settings, read_json, write_json
from cloud.render import urls

CREATED = 201

SERVICE_NAMES = {"image": "glance", "object-store": "swift", "container-registry": "berth"}
"""The services that bootstrap does not enter into the catalogue, by type."""


def seed(layout: Layout, settings: Settings) -> None:
    """Make projects, users, roles, catalogue, application credential and TempURL key."""
    where = urls(settings)
    secrets = layout.read_secrets()
    wanted = fingerprint(where)
    seeded = read_json(layout.seed_file)
    if seeded is not None and seeded["fingerprint"] == wanted:
        return
    keystone = where["identity"]
    admin = Keystone(keystone, sign_in(keystone, ADMIN, secrets[ADMIN.name]))
    projects = {name: admin.project(name) for name in (ADMIN.project, SERVICE_PROJECT, *PROJECTS)}
    roles = {name: admin.role(name) for account in ACCOUNTS for name in account.roles}
    users = {account.name: admin.user(account.name, secrets) for account in ACCOUNTS}
    for account in ACCOUNTS:
        for role in account.roles:
            admin.grant(projects[account.project], users[account.name], roles[role])
    admin.grant_in_domain(users["registry"], admin.role("reader"))
    for kind, name in SERVICE_NAMES.items():
        admin.endpoint(kind, name, where[kind])
    owner = PEOPLE[0]
    credential = Keystone(keystone, sign_in(keystone, owner, secrets[owner.name])).credential(
        users[owner.name], secrets["credential"]
    )
    set_temp_url_key(where, projects[SERVICE_PROJECT], secrets)
    document = {
        "fingerprint": wanted,
        "projects": projects,
        "users": users,
        "credential": credential,
    }
    write_json(layout.seed_file, document)


def fingerprint(where: dict[str, str]) -> str:
    """Answer what the seed depends on."""
    text = json.dumps([where, [repr(account) for account in ACCOUNTS], PROJECTS, SERVICE_NAMES])
    return hashlib.sha256(text.encode()).hexdigest()


def sign_in(keystone: str, account: Account, password: str) -> str:
    """Answer a token of *account* for its project; raise CloudError if Keystone refuses."""
    user = {"name": account.name, "domain": {"id": DOMAIN}, "password": password}
    project = {"name": account.project, "domain": {"id": DOMAIN}}
    identity = {"methods": ["password"], "password": {"user": user}}
    document = {"auth": {"identity": identity, "scope": {"project": project}}}
    answer = call("POST", f"{keystone}/auth/tokens", document)
    if answer.status != CREATED:
        raise CloudError(f"Keystone does not sign {account.name} in: {answer.body}")
    return answer.headers["x-subject-token"]


def set_temp_url_key(where: dict[str, str], project: str, secrets: dict[str, str]) -> None:
    """Give the service project's account the key that Berth signs redirects with."""
    token = sign_in(where["identity"], REGISTRY, secrets[REGISTRY.name])
    account = Session(where["object-store"] % {"project_id": project}, token)
    account.set_headers("", {"X-Account-Meta-Temp-URL-Key": secrets["temp_url_key"]})


class Keystone:
    """What of Keystone's API the seed needs. A method answers an id, and makes it if absent."""

    def __init__(self, url: str, token: str) -> None:
        self._session = Session(url, token)

    def project(self, name: str) -> str:
        return self._ensure("project", name, {"domain_id": DOMAIN})

    def role(self, name: str) -> str:
        return self._ensure("role", name, {})

    def user(self, name: str, passwords: Mapping[str, str]) -> str:
        return self._ensure("user", name, {"domain_id": DOMAIN, "password": passwords[name]})

    def grant_in_domain(self, user: str, role: str) -> None:
        """Give *user* the role in the domain of all projects: he may look up their names."""
        self._session.put(f"/domains/{DOMAIN}/users/{user}/roles/{role}")

    def grant(self, project: str, user: str, role: str) -> None:
        """Give *user* the role in the project."""
        self._session.put(f"/projects/{project}/users/{user}/roles/{role}")

    def endpoint(self, kind: str, name: str, url: str) -> None:
        """Enter a service into the catalogue, or correct where it is."""
        service = self._ensure("service", name, {"type": kind})
        found = self._list(f"/endpoints?service_id={service}", "endpoints")
        known = {endpoint["interface"]: endpoint for endpoint in found}
        for interface in ("public", "internal"):
            if interface not in known:
                body = {"interface": interface, "service_id": service, "url": url}
                self._session.post("/endpoints", {"endpoint": {**body, "region_id": REGION}})
            elif known[interface]["url"] != url:
                path = f"/endpoints/{known[interface]['id']}"
                self._session.patch(path, {"endpoint": {"url": url}})

    def credential(self, user: str, secret: str) -> str:
        """Answer the id of *user*'s application credential, which Keystone binds to the token."""
        path = f"/users/{user}/application_credentials"
        for old in self._list(path, "application_credentials"):
            if old["name"] == CREDENTIAL:
                identifier: str = old["id"]
                return identifier
        body = {"application_credential": {"name": CREDENTIAL, "secret": secret}}
        made: str = self._session.post(path, body)["application_credential"]["id"]
        return made

    def _ensure(self, kind: str, name: str, fields: dict[str, Any]) -> str:
        found = self._list(f"/{kind}s?name={quote(name)}", f"{kind}s")
        if not found:
            found = [self._session.post(f"/{kind}s", {kind: {"name": name, **fields}})[kind]]
        identifier: str = found[0]["id"]
        return identifier

    def _list(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._session.get(path)[key]
        return found
