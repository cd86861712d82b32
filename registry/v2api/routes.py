"""The table of /v2/: which path and method is which handler, and what right it needs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.responses import Response

from registry.auth.ports import Action
from registry.oci.errors import MethodUnsupported, RouteUnknown
from registry.v2api import blobs, manifests, referrers, tags, uploads, version_check
from registry.v2api.call import Call

Handler = Callable[[Call], Awaitable[Response]]
PULL = frozenset({Action.PULL})
PUSH = frozenset({Action.PULL, Action.PUSH})
DELETE = frozenset({Action.DELETE})


@dataclass(frozen=True, slots=True)
class Route:
    """What carries a request out, and the actions that its caller must be allowed."""

    handler: Handler
    actions: frozenset[Action]


@dataclass(frozen=True, slots=True)
class Match:
    """A path, taken apart: the resource's kind, the repository's name, what stands behind it."""

    resource: str
    """Its kind, for the metrics."""
    methods: Mapping[str, Route]
    name: str = ""
    reference: str = ""
    upload: bool = False
    """Whether *reference* is an upload session's id."""


_READ_BLOB = Route(blobs.get_blob, PULL)
_READ_MANIFEST = Route(manifests.get_manifest, PULL)
_LIST_TAGS = Route(tags.list_tags, PULL)
_LIST_REFERRERS = Route(referrers.list_referrers, PULL)
_CATALOGUE = Route(tags.list_repositories, frozenset())
_VERSION = Route(version_check.check_version, frozenset())

BASE = {"GET": _VERSION, "HEAD": _VERSION}
CATALOGUE = {"GET": _CATALOGUE}
UPLOADS = {"POST": Route(uploads.post_upload, PUSH)}
UPLOAD = {
    "GET": Route(uploads.get_upload, PUSH),
    "PATCH": Route(uploads.patch_upload, PUSH),
    "PUT": Route(uploads.put_upload, PUSH),
    "DELETE": Route(uploads.delete_upload, PUSH),
}
BLOB = {"GET": _READ_BLOB, "HEAD": _READ_BLOB, "DELETE": Route(blobs.delete_blob, DELETE)}
MANIFEST = {
    "GET": _READ_MANIFEST,
    "HEAD": _READ_MANIFEST,
    "PUT": Route(manifests.put_manifest, PUSH),
    "DELETE": Route(manifests.delete_manifest, DELETE),
}
TAGS = {"GET": _LIST_TAGS, "HEAD": _LIST_TAGS}
REFERRERS = {"GET": _LIST_REFERRERS, "HEAD": _LIST_REFERRERS}


def match(path: str) -> Match:
    """Take *path* apart from its end, since a repository's name may hold any of the words.

    Raises RouteUnknown.
    """
    rest = path.removeprefix("/v2").removeprefix("/")
    if not rest:
        return Match("base", BASE)
    if rest == "_catalog":
        return Match("catalogue", CATALOGUE)
    head, _, last = rest.rpartition("/")
    if head.endswith("/blobs/uploads"):
        name = head.removesuffix("/blobs/uploads")
        return (
            Match("upload", UPLOAD, name, last, upload=True)
            if last
            else Match("uploads", UPLOADS, name)
        )
    if last == "uploads" and head.endswith("/blobs"):
        return Match("uploads", UPLOADS, head.removesuffix("/blobs"))
    name, _, kind = head.rpartition("/")
    if name and last:
        if kind == "blobs":
            return Match("blob", BLOB, name, last)
        if kind == "manifests":
            return Match("manifest", MANIFEST, name, last)
        if kind == "referrers":
            return Match("referrers", REFERRERS, name, last)
        if kind == "tags" and last == "list":
            return Match("tags", TAGS, name)
    raise RouteUnknown("see the distribution-spec's table of endpoints")


def choose(found: Match, method: str) -> Route:
    """The route of *method*; raises MethodUnsupported, with the methods that there are."""
    route = found.methods.get(method)
    if route is None:
        allowed = ", ".join(found.methods)
        raise MethodUnsupported(f"use {allowed}", headers={"Allow": allowed})
    return route
