"""What a request is about, as its client spells it: for what a refusal says."""

import re

from starlette.requests import Request

from registry.auth.challenge import Scope
from registry.auth.ports import Action
from registry.oci.names import parse_repository

_RESOURCE = re.compile(
    r"/v2/(?P<name>.+)/"
    r"(?:blobs/uploads(?:/[^/]*)?|(?:blobs|manifests|referrers)/[^/]+|tags/list)"
    r"|/registry/v1/repositories/(?P<whole>.+?)(?:/_[a-z]+)?",
    re.DOTALL,
)
"""A path by which something in a repository is asked for, taken apart from its end."""


def realm(request: Request, public_url: str | None) -> str:
    """Where tokens are to be had: at *public_url*, else as this client reaches the server."""
    reached = request.base_url  # without the query, which may be no text at all
    base = public_url or f"{reached.scheme}://{reached.netloc}"
    return f"{base.rstrip('/')}/auth/token"


def project(request: Request, default_project: str) -> str:
    """The project that *request* is about."""
    return parse_repository(_name(request), default_project=default_project).project


def scopes(request: Request, actions: frozenset[Action]) -> tuple[str, ...]:
    """What a token must be for.

    Not a mount's source: roles decide there, whatever the token is for, and skopeo and podman
    cannot read a challenge of two scopes.
    """
    wanted = frozenset({*actions, Action.PULL}) if Action.PUSH in actions else actions
    return (str(Scope(_name(request), wanted)),)


def _name(request: Request) -> str:
    resource = _RESOURCE.fullmatch(request.scope["path"])
    assert resource is not None  # or no route had led here
    return resource["name"] or resource["whole"]
