"""Swift: can objects be written, read and deleted, and will it take what is sent to it?"""

import time
import uuid
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from swiftclient.utils import generate_temp_url  # type: ignore[import-untyped]

from registry.config import Config
from registry.doctor.asking import Asker
from registry.doctor.findings import Finding, Unwell, compare_date, looked

CANARY: Final = b"canary"
KEY: Final = "X-Account-Meta-Temp-URL-Key"
LARGEST: Final = 4 * 1024**3
SEGMENTS: Final = 1000
OPERATOR: Final = "give the service user a role of Swift's operator_roles, such as member"
SET_KEY: Final = "openstack object store account set --property Temp-URL-Key=…"
PIPELINE: Final = "put bulk, tempurl, keystoneauth and slo into proxy-server.conf's pipeline"


def look_at_swift(config: Config, asker: Asker) -> list[Finding]:
    """Everything; the first finding alone where Swift does not let the service user in."""
    try:
        account = asker.find("object-store")
        head = asker.must("HEAD", account, OPERATOR)
    except Unwell as error:
        return [Finding("account in Swift", good=False, found=error.found, mend=error.mend)]
    found = [
        Finding("account in Swift", good=True, found=account),
        compare_date("Swift", head.headers.get("Date")),
        looked("objects in Swift", lambda: _try_object(config, asker, account)),
        looked("abilities of Swift", lambda: _read_abilities(asker, account)),
    ]
    if config.storage.redirect:
        key = head.headers.get(KEY)
        found.append(looked("redirects to Swift", lambda: _try_redirect(config, asker, key)))
    return found


def _try_object(config: Config, asker: Asker, account: str) -> str:
    """Write, read and delete one beside the store's own words."""
    container = f"{account}/{config.storage.prefix}-meta"
    url = f"{container}/doctor-{uuid.uuid4()}"
    _must(asker.ask("PUT", container), "making a container")
    _must(asker.ask("PUT", url, data=CANARY), "writing")
    try:
        answer = asker.ask("GET", url, headers={"X-Newest": "true"})
        _must(answer, "reading")
        if answer.content != CANARY:
            raise Unwell("what was read is not what was written", "look at Swift's own logs")
    finally:
        _must(asker.ask("DELETE", url), "deleting")
    return "written, read and deleted"


def _must(answer: Any, doing: str) -> None:
    if not answer.ok:
        full = answer.status_code in {
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.INSUFFICIENT_STORAGE,
        }
        mend = "the account's quota, or the cluster, is full" if full else OPERATOR
        raise Unwell(f"{doing}: HTTP {answer.status_code}", mend)


def _read_abilities(asker: Asker, account: str) -> str:
    where = urlunsplit(urlsplit(account)._replace(path="/info"))
    answer = asker.ask("GET", where, authenticated=False)
    if answer.status_code != HTTPStatus.OK:
        return f"Swift does not tell (HTTP {answer.status_code})"
    told = answer.json()
    return hold_able(told)


def hold_able(told: Any) -> str:
    """What /info tells, in words; raises Unwell where something is missing."""
    missing = [name for name in ("slo", "bulk_delete", "tempurl") if name not in told]
    if missing:
        raise Unwell(f"no {', '.join(missing)}", PIPELINE)
    segments = told["slo"]["max_manifest_segments"]
    largest = told["swift"]["max_file_size"]
    if segments < SEGMENTS or largest < LARGEST:
        raise Unwell(
            f"{segments} segments a large object, {largest} bytes an object",
            f"max_manifest_segments must be {SEGMENTS} or more, and max_file_size {LARGEST}",
        )
    if "sha256" not in told["tempurl"].get("allowed_digests", ["sha256"]):
        raise Unwell("TempURLs cannot be signed by sha256", "name it in tempurl's allowed_digests")
    return f"{segments} segments a large object, {largest} bytes an object"


def _try_redirect(config: Config, asker: Asker, key: str | None) -> str:
    """Read a canary as a client would who was sent there: without a token."""
    if key is None:
        raise Unwell("the account has no Temp-URL-Key", SET_KEY)
    public = asker.find("object-store", interface="public")
    account = asker.find("object-store")
    path = f"/{config.storage.prefix}-meta/doctor-{uuid.uuid4()}"
    _must(asker.ask("PUT", f"{account}{path}", data=CANARY), "writing")
    try:
        split = urlsplit(public)
        signed = generate_temp_url(f"{split.path}{path}", 60, key, "GET", digest="sha256")
        url = urlunsplit(split._replace(path="")) + signed
        begun = time.monotonic()
        answer = asker.ask("GET", url, authenticated=False)
        if answer.content != CANARY:
            raise Unwell(
                f"a signed address answers HTTP {answer.status_code}",
                "put tempurl before authtoken in the pipeline, with delay_auth_decision = true",
            )
        return f"a signed address was read in {time.monotonic() - begun:.2f} s"
    finally:
        asker.ask("DELETE", f"{account}{path}")
