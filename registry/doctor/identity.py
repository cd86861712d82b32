"""Keystone: does the service user sign in, with the roles that he needs and no others?"""

import contextlib
from http import HTTPStatus
from typing import Any

from keystoneauth1.access import AccessInfoV3
from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity import v3

from registry.config import Config
from registry.doctor.asking import SIGN_IN, Asker
from registry.doctor.findings import Finding, Unwell, compare_date, looked

TOO_MUCH = ("admin", "ResellerAdmin")
GIVE = "openstack role add --project {project} --user {user} {role}"
TAKE = "openstack role remove --project {project} --user {user} {role}"
LISTED = "openstack role add --domain {domain} --user {user} reader"
ENTER = (
    "openstack service create --name berth container-registry; openstack endpoint create --region "
    "{region} container-registry public https://…"
)


def look_at_keystone(config: Config, asker: Asker) -> list[Finding]:
    """Everything; the first finding alone where nobody can sign in."""
    auth: Any = asker.session.auth
    try:
        access: AccessInfoV3 = auth.get_access(asker.session)
    except (ClientException, OSError) as error:
        name = type(error).__name__
        return [Finding("sign in at Keystone", good=False, found=name, mend=SIGN_IN)]
    who = f"{access.username} in project {access.project_name}"
    url = str(auth.auth_url).rstrip("/")
    return [
        Finding("sign in at Keystone", good=True, found=who),
        _needed(access, "service", "to validate callers' tokens"),
        _needed(access, "member", "to own the account in Swift"),
        *([_needed(access, "berth_registry", "to write image records for all projects")]
          if config.glance.enabled else []),
        _powers(access),
        looked("names of projects", lambda: _read_names(config, asker, access, url)),
        compare_date("Keystone", asker.ask("GET", url, authenticated=False).headers.get("Date")),
        looked("catalogue entry", lambda: _entry(config, asker)),
    ]  # fmt: skip


def _needed(access: AccessInfoV3, role: str, why: str) -> Finding:
    has = role in (access.role_names or ())
    found = f"{'held' if has else 'missing'}, {why}"
    names = {"project": access.project_name, "user": access.username, "role": role}
    return Finding(f"role {role}", has, found, GIVE.format(**names))


def _powers(access: AccessInfoV3) -> Finding:
    held = [role for role in TOO_MUCH if role in (access.role_names or ())]
    names = {"project": access.project_name, "user": access.username}
    mend = "; ".join(TAKE.format(**names, role=role) for role in held)
    found = f"he is {' and '.join(held)}: whoever gets at his password has the cloud"
    return Finding("no needless power", not held, found if held else "no administrator", mend)


def _read_names(config: Config, asker: Asker, access: AccessInfoV3, url: str) -> str:
    """As the registry does: by a token for the domain where he has a role there."""
    domain = config.auth.domain
    token = asker.session.get_token() or ""
    scoped = v3.Token(url, token, domain_id=domain, include_catalog=False)
    with contextlib.suppress(ClientException):  # no role there: perhaps a policy lets him
        token = scoped.get_token(asker.session) or token
    answer = asker.ask(
        "GET", f"{url}/projects", authenticated=False, headers={"X-Auth-Token": token or ""},
        params={"name": access.project_name, "domain_id": domain},
    )  # fmt: skip
    if answer.status_code != HTTPStatus.OK:
        raise Unwell(
            f"HTTP {answer.status_code}: callers without a role in a project named by name find "
            "nothing there, though it may be shared with them",
            LISTED.format(domain=domain, user=access.username),
        )
    return f"can be looked up in domain {domain}"


def _entry(config: Config, asker: Asker) -> str:
    try:
        found = asker.find("container-registry", interface="public")
    except Unwell as error:
        mend = ENTER.format(region=asker.region or "RegionOne")
        raise Unwell(error.found, mend) from error
    public = config.http.public_url
    if public is not None and found != public.rstrip("/"):
        raise Unwell(
            f"the catalogue says {found}, and http.public_url {public}",
            "let both be where clients reach this registry",
        )
    return found
