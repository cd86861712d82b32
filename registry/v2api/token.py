"""/auth: tokens by docker's token specification and its OAuth2 form, keys, revocation."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from registry.auth import basic, challenge, claims
from registry.auth.challenge import Scope
from registry.auth.ports import ANONYMOUS, Principal, Reach
from registry.auth.tokens import Tokens
from registry.bodies import read_small
from registry.oci.errors import (
    StorageUnavailable,
    TooManyRequests,
    Unauthorized,
    Unsupported,
)
from registry.opening import MANIFESTS
from registry.v2api.guard import Guard

SCOPES = 100
"""Scopes at most in one token."""
PROJECTS = 20
"""Projects at most in one token: each may be a question to the service that knows."""


async def get_token(request: Request) -> Response:
    """GET /auth/token?service=&scope=&offline_token=: with Basic credentials, or anonymous."""
    guard: Guard = request.app.state.guard
    asked = request.query_params.getlist("scope")
    reach = _reach(guard, asked)
    principal = ANONYMOUS
    header = request.headers.get("authorization")
    if header is not None and guard.tokens is not None:
        with _challenging():
            scheme, _, value = header.partition(" ")
            if scheme.lower() != "basic":
                raise Unauthorized("use Basic credentials")
            principal = await guard.identity.authenticate(*basic.read(value), reach)
    elif guard.tokens is None:
        principal = await guard.admit(request)
    # docker forgets the password for what it gets here: it must not end within hours.
    lasting = principal.expires_at is None
    offline = request.query_params.get("offline_token", "").lower() == "true" and lasting
    return await _answer(guard, principal, asked, offline=offline)


async def post_token(request: Request) -> Response:
    """POST /auth/token: OAuth2, by password or by refresh token."""
    guard: Guard = request.app.state.guard
    form = await _form(request)
    grant = form.get("grant_type")
    offline = form.get("access_type") == "offline"
    asked = [form.get("scope", "")]
    reach = _reach(guard, asked)
    if guard.tokens is None:
        principal = await guard.admit(request)
        offline = False
    elif grant == "password":
        with _challenging():
            user, password = form.get("username", ""), form.get("password", "")
            principal = await guard.identity.authenticate(user, password, reach)
    elif grant == "refresh_token":
        with _challenging():
            shown = await guard.tokens.read_refresh(form.get("refresh_token", ""))
            if shown.proof is None:
                principal = await guard.identity.find_principal(shown.subject)
            else:
                principal = await guard.identity.verify(shown.proof, reach, anew=True)
        offline = False
    else:
        raise Unsupported("grant_type must be password or refresh_token")
    refresh = form.get("refresh_token") if grant == "refresh_token" else None
    return await _answer(guard, principal, asked, offline=offline, refresh=refresh)


async def get_keys(request: Request) -> Response:
    """GET /auth/jwks.json: the public keys that access tokens are signed with."""
    return JSONResponse(_tokens(request).jwks(), headers={"Cache-Control": "max-age=60"})


async def post_revoke(request: Request) -> Response:
    """POST /auth/revoke: a refresh token is void from then on (RFC 7009)."""
    tokens = _tokens(request)
    form = await _form(request)
    with _challenging():
        await tokens.revoke(form.get("token", ""))
    return Response(None, HTTPStatus.OK)


def _tokens(request: Request) -> Tokens:
    guard: Guard = request.app.state.guard
    if guard.tokens is None:
        raise Unsupported("nobody signs in here, so there are no tokens")
    return guard.tokens


@contextmanager
def _challenging() -> Iterator[None]:
    """Let a refusal say that Basic credentials are wanted here."""
    try:
        yield
    except Unauthorized as error:
        headers = {"WWW-Authenticate": 'Basic realm="berth"'}
        raise Unauthorized(error.detail, headers=headers) from error


def _reach(guard: Guard, asked: Sequence[str]) -> Reach:
    """Where roles are needed for *asked*; raises TooManyRequests if that is too much at once."""
    scopes, catalogue = challenge.parse_scopes(asked)
    if len(scopes) > SCOPES:
        raise TooManyRequests(f"at most {SCOPES} scopes in one token")
    reach = guard.reach(*(scope.name for scope in scopes), everywhere=catalogue)
    if len(reach.projects) > PROJECTS:
        raise TooManyRequests(f"at most {PROJECTS} projects in one token")
    return reach


async def _answer(
    guard: Guard,
    principal: Principal,
    asked: Sequence[str],
    *,
    offline: bool,
    refresh: str | None = None,
) -> Response:
    """A token for what of *asked* the principal may have; the rest is left out."""
    scopes, catalogue = challenge.parse_scopes(asked)
    access = await _access(guard, principal, scopes)
    if catalogue and not principal.anonymous:
        access.append({"type": "registry", "name": "catalog", "actions": ["*"]})
    body: dict[str, Any] = {"token": "none", "access_token": "none", "expires_in": 3600}
    if guard.tokens is not None:
        until = principal.expires_at
        token = guard.tokens.issue(
            principal.subject, access, until=until, principal=claims.describe(principal)
        )
        body = {"token": token, "access_token": token, "expires_in": guard.tokens.lasts(until)}
        if offline and not principal.anonymous:
            refresh = guard.tokens.issue_refresh(
                principal.subject, proof=principal.proof, until=until
            )
        if refresh is not None:
            body["refresh_token"] = refresh
    body["issued_at"] = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    body["scope"] = " ".join(word for text in asked for word in text.split())
    return JSONResponse(body, headers={"Cache-Control": "no-store"})


async def _access(
    guard: Guard, principal: Principal, scopes: Sequence[Scope]
) -> list[Mapping[str, Any]]:
    """What of *scopes* is granted; raises StorageUnavailable where nothing is, and one unknown.

    A push goes on though nobody can tell just now whether it may mount from another project.
    """
    access: list[Mapping[str, Any]] = []
    unknown: StorageUnavailable | None = None
    room = MANIFESTS
    for scope in scopes:
        try:
            entry = await guard.grant(principal, scope)
        except StorageUnavailable as error:
            unknown = error
            continue
        listed = 0 if entry is None else len(entry.get("opened", {}).get("manifests", ()))
        if entry is not None and listed <= room:
            room -= listed
            access.append(entry)
    if unknown is not None and not access:
        raise unknown
    return access


async def _form(request: Request) -> dict[str, str]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Unsupported("send a form: application/x-www-form-urlencoded")
    try:
        fields = parse_qs((await read_small(request, "form")).decode(), max_num_fields=100)
    except ValueError:
        raise Unsupported("the form cannot be read") from None
    return {name: values[-1] for name, values in fields.items()}


routes = [
    Route("/auth/token", get_token, methods=["GET"]),
    Route("/auth/token", post_token, methods=["POST"]),
    Route("/auth/jwks.json", get_keys, methods=["GET"]),
    Route("/auth/revoke", post_revoke, methods=["POST"]),
]
