"""Glance: does it take records for all projects, and keep their properties from others?"""

import re
import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from keystoneauth1.exceptions import ClientException
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from registry.doctor.asking import Asker
from registry.doctor.findings import Finding, Unwell, looked

NAME: Final = "berth-doctor"
FORMATS: Final = "add docker to disk_formats in [image_format] of glance-api.conf"
POLICY: Final = (
    'in Glance\'s policy file: "context_is_admin": "role:admin or role:berth_registry"; then '
    "restart its API"
)
PROTECT: Final = (
    "name a property_protection_file in glance-api.conf with a section [^oci_] that lets admin and "
    "berth_registry alone create, update and delete"
)


def look_at_glance(asker: Asker) -> list[Finding]:
    """Everything; the first finding alone where Glance does not answer."""
    try:
        glance = re.sub(r"/v2(\.\d+)?$", "", asker.find("image")) + "/v2"
        answer = asker.must("GET", f"{glance}/schemas/image", "see that Glance runs")
    except Unwell as error:
        return [Finding("Glance", good=False, found=error.found, mend=error.mend)]
    formats = answer.json()["properties"]["disk_format"].get("enum") or []
    return [
        Finding("Glance", good=True, found=glance),
        looked("disk format", lambda: _choose(formats), FORMATS),
        looked("records of other projects", lambda: _try_record(asker, glance), POLICY),
        _try_property(asker, glance),
    ]


def _choose(formats: list[Any]) -> str:
    if "docker" in formats:
        return "docker"
    if "raw" not in formats:
        raise Unwell("neither docker nor raw", FORMATS)
    raise Unwell("no docker: records say raw, and look like those of virtual machines", FORMATS)


def _try_record(asker: Asker, glance: str) -> str:
    """A record of a project that is nobody's, made and deleted."""
    record = {
        "id": str(uuid.uuid4()),
        "owner": uuid.uuid4().hex,
        "name": NAME,
        "visibility": "private",
        "oci_kind": NAME,
    }
    made = asker.ask("POST", f"{glance}/images", json=record)
    if made.status_code != HTTPStatus.CREATED:
        raise Unwell(f"HTTP {made.status_code}: the role berth_registry is no admin's", POLICY)
    gone = asker.ask("DELETE", f"{glance}/images/{record['id']}")
    if gone.status_code != HTTPStatus.NO_CONTENT:
        raise Unwell(f"made, but not deleted: HTTP {gone.status_code}", POLICY)
    return "made and deleted"


def _try_property(asker: Asker, glance: str) -> Finding:
    """As a member would: with an application credential that has that role alone."""
    what = "protected properties"
    auth: Any = asker.session.auth
    url = str(auth.auth_url).rstrip("/")
    where = f"{url}/users/{asker.session.get_user_id()}/application_credentials"
    ends = datetime.now(UTC) + timedelta(minutes=5)
    asked = {
        "name": f"{NAME}-{uuid.uuid4()}",
        "roles": [{"name": "member"}],
        "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%S.%f"),
    }
    given = asker.ask("POST", where, json={"application_credential": asked})
    if given.status_code != HTTPStatus.CREATED:
        words = f"nobody to try it as: no application credential (HTTP {given.status_code})"
        return Finding(what, good=None, found=words, mend=PROTECT)
    credential = given.json()["application_credential"]
    try:
        auth = v3.ApplicationCredential(
            url, credential["secret"], application_credential_id=credential["id"]
        )
        with_less = Session(auth=auth, verify=asker.session.verify, timeout=30)
        member = Asker(with_less, asker.region, asker.interface)
        return looked(what, lambda: _try_as(member, glance), PROTECT)
    except ClientException as error:
        return Finding(what, good=None, found=type(error).__name__, mend=PROTECT)
    finally:
        asker.ask("DELETE", f"{where}/{credential['id']}")


def _try_as(member: Asker, glance: str) -> str:
    made = member.ask("POST", f"{glance}/images", json={"name": NAME, "oci_kind": NAME})
    if made.status_code == HTTPStatus.CREATED:
        member.ask("DELETE", f"{glance}/images/{made.json()['id']}")
        raise Unwell("any member can write properties that begin with oci_", PROTECT)
    if made.status_code != HTTPStatus.FORBIDDEN:
        raise Unwell(f"HTTP {made.status_code}", "see Glance's own log")
    return "members cannot write what begins with oci_"
