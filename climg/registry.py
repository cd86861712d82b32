"""The registry's own API: what was deleted, taken back, and whole repositories."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from keystoneauth1.session import Session

from climg.cloud import DETAIL_LIMIT, in_region, refusal, session_for, told
from climg.errors import NotFound, Unavailable
from climg.target import Cloud, Registry
from climg.text import one_line, shorten

SERVICE = "container-registry"
"""Its type in the service catalogue."""
_LAST_MOMENT = 253402300799
"""Of the year 9999, after which no calendar goes on."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What can be taken back."""

    repository: str
    tags: tuple[str, ...]
    digest: str
    size: int
    deleted_at: float
    """Seconds, UTC; *until* likewise."""
    until: float
    whole: bool
    """Whether it went with its repository."""

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Self:
        """Read an entry of the list; raise LookupError, TypeError or ValueError if it is none."""
        return cls(
            repository=str(document["repository"]),
            tags=tuple(map(str, document["tags"])),
            digest=str(document["digest"]),
            size=int(document["size"]),
            deleted_at=_moment(document["deleted_at"]),
            until=_moment(document["until"]),
            whole=document["whole"] is True,
        )


def _moment(seconds: Any) -> float:
    """Seconds that a calendar of four digits has; raise TypeError or ValueError for others."""
    if not 0 <= float(seconds) <= _LAST_MOMENT:
        raise ValueError("no moment that can be written")
    return float(seconds)


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: digests with tags, and tags that are on something else by now."""

    manifests: tuple[tuple[str, tuple[str, ...]], ...]
    taken: dict[str, str]
    more: bool


@dataclass(frozen=True, slots=True)
class Quota:
    """What a project or a repository uses and may use."""

    name: str
    used: dict[str, int]
    limits: dict[str, int | None]
    """Those that hold; None: any number."""
    own: dict[str, int | None]
    """Those that were set here."""
    document: dict[str, Any]
    """All of it, as it was told."""

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Self:
        """Read an answer; raise LookupError, TypeError or ValueError if it is none."""
        path = document["repository"]
        return cls(
            name=one_line(f"{document['project']}/{path}" if path else str(document["project"])),
            used={name: int(count) for name, count in document["used"].items()},
            limits={name: None if n is None else int(n) for name, n in document["limits"].items()},
            own={name: int(limit) for name, limit in document["set"].items()},
            document=document,
        )


class RegistryService:
    """The calls that climg makes; each raises Refused, NotFound and Unavailable."""

    def __init__(self, session: Session, target: Registry | Cloud, **where: Any) -> None:
        """*where* is how the session finds it, or its ``url``."""
        self._session = session
        self._target = target
        self._where = where

    def close(self) -> None:
        """Hang up."""
        self._session.session.close()

    def trash(self, repository: str | None) -> Iterator[Deleted]:
        """What can be taken back, the newest first; of *repository* only if given."""
        path = "trash" if repository is None else f"repositories/{quote(repository)}/_trash"
        query: dict[str, str] = {}
        while True:
            body = self._ask("GET", path, query)
            with told(self._target):
                page = [Deleted.parse(each) for each in body["trash"]]
            yield from page
            if not page or "next" not in body:
                return
            query["last"] = str(body["next"])

    def undelete(self, repository: str, reference: str | None) -> Restored:
        """Take back a tag or digest, or as much as one call does of a whole repository."""
        query = {} if reference is None else {"reference": reference}
        body = self._ask("POST", f"repositories/{quote(repository)}/_undelete", query)
        with told(self._target):
            return Restored(
                tuple((each["digest"], tuple(each["tags"])) for each in body["restored"]),
                dict(body["taken"]),
                body["more"] is True,
            )

    def delete(self, repository: str) -> tuple[int, int, bool]:
        """As much as one call deletes: manifests, tags, and whether there are more."""
        body = self._ask("DELETE", f"repositories/{quote(repository)}", {})
        with told(self._target):
            return int(body["manifests"]), int(body["tags"]), body["more"] is True

    def quotas(self) -> list[Quota]:
        """Of every project that one may read."""
        body = self._ask("GET", "quotas", {})
        with told(self._target):
            return [Quota.parse(each) for each in body["quotas"]]

    def quota(self, name: str) -> Quota:
        """Of a project, or (with a slash) of a repository."""
        body = self._ask("GET", _quota_path(name), {})
        with told(self._target):
            return Quota.parse(body)

    def limit(self, name: str, limits: Mapping[str, int]) -> Quota:
        """Put *limits* in place of those that were set."""
        body = self._ask("PUT", _quota_path(name), {}, json=dict(limits))
        with told(self._target):
            return Quota.parse(body)

    def _ask(self, method: str, path: str, query: dict[str, str], **more: Any) -> dict[str, Any]:
        where = dict(self._where)
        base = str(where.pop("url", ""))
        with told(self._target):
            answer = self._session.request(
                f"{base}/registry/v1/{path}",
                method,
                params=query,
                raise_exc=False,
                redirect=False,
                headers={"Accept": "application/json"},
                **where,
                **more,
            )
        if answer.status_code != 200:
            words = _words(answer.text)
            if answer.status_code == 404:
                raise NotFound(words)
            raise refusal(self._target, answer.status_code, words)
        try:
            body = json.loads(answer.text)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Unavailable(f"what answers at {self._target.place} is no registry of this kind")
        return body


def reach(target: Registry | Cloud, password: str | None) -> RegistryService:
    """The registry of *target*; raises WrongUsage, Refused and Unavailable."""
    if isinstance(target, Registry):
        return RegistryService(session_for(target, password), target, url=target.url)
    with told(target):
        session, where = in_region(target, SERVICE)
    override = where.pop("endpoint_override")
    return RegistryService(
        session,
        target,
        endpoint_override=override,
        endpoint_filter={"service_type": SERVICE, **where},
    )


def _quota_path(name: str) -> str:
    kind, end = ("repositories", "_quota") if "/" in name else ("projects", "quota")
    return f"{kind}/{quote(name)}/{end}"


def _words(text: str) -> str:
    """What an error says (distribution-spec, "Error Codes")."""
    try:
        error = json.loads(text)["errors"][0]
        detail = error.get("detail")
        if isinstance(detail, dict):
            detail = detail.get("advice") or json.dumps(detail)
        said = f"{error['message']}: {detail}" if detail else str(error["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        said = text
    return shorten(one_line(said), DETAIL_LIMIT) or "no reason was given"
