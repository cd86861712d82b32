"""Who asks, and may they: runs before every handler."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable

from starlette.requests import Request

from registry.auth import challenge, policy
from registry.auth.challenge import CATALOGUE, Scope
from registry.auth.ports import ANONYMOUS, Action, Identity, Principal
from registry.auth.tokens import Claims, Tokens
from registry.oci.errors import Denied, NameInvalid, Unauthorized
from registry.oci.names import RepositoryName, parse_repository

_FOREIGN = ("origin", "forwarded", "x-forwarded-")
"""Beginnings of headers that a request from this machine does not have."""
_RESOURCE = re.compile(
    r"/v2/(?P<name>.+)/"
    r"(?:blobs/uploads(?:/[^/]*)?|(?:blobs|manifests|referrers)/[^/]+|tags/list)",
    re.DOTALL,
)
"""A path by which something in a repository is asked for, taken apart from its end."""


class Guard:
    """Identifies callers and holds them to what they may do.

    Without *tokens* nobody signs in: for loopback alone, which is then made sure of.
    """

    def __init__(
        self,
        identity: Identity,
        tokens: Tokens | None = None,
        *,
        service: str = "berth",
        public_projects: Iterable[str] = (),
        public_url: str | None = None,
        default_project: str = "library",
    ) -> None:
        self.identity = identity
        self.tokens = tokens
        self.service = service
        self.default_project = default_project
        self._public = frozenset(public_projects)
        self._public_url = public_url

    async def admit(self, request: Request) -> Principal:
        """Who asks, by Bearer token, X-Auth-Token or Basic; anonymous without any of them.

        Raises Unauthorized for credentials that are wrong. An expired token gets by on an upload's
        address alone, where ``authorize`` asks for the capability.
        """
        if self.tokens is None:
            _refuse_foreign(request)
            return await self.identity.authenticate("", "")
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        scheme = scheme.lower()
        if not scheme and (value := request.headers.get("x-auth-token", "")):
            scheme = "bearer"
        if not scheme:
            return ANONYMOUS
        try:
            if scheme == "bearer":
                uploading = "/blobs/uploads/" in request.scope["path"]
                claims = await self.tokens.read(value.strip(), expired=uploading)
                request.state.expires_at = claims.expires_at
                return await self._bearer(claims)
            if scheme == "basic":
                return await self.identity.authenticate(*read_basic(value))
        except Unauthorized as error:
            raise self._unauthorized(request, (), str(error.detail), "invalid_token") from error
        raise self._unauthorized(request, (), "use Basic or Bearer credentials")

    async def authorize(
        self,
        request: Request,
        principal: Principal,
        repository: RepositoryName,
        actions: frozenset[Action],
        *,
        upload: str | None = None,
    ) -> None:
        """Let pass, or raise Unauthorized (sign in, or get a token for it) or Denied."""
        if self.tokens is None:
            return
        expires_at = getattr(request.state, "expires_at", None)
        if upload is not None and expires_at is not None and not principal.anonymous:
            state = request.query_params.get("_state", "")
            if await self.tokens.check_upload(state, upload, str(repository), principal.subject):
                return
        if expires_at is not None and self.tokens.is_past(expires_at):
            raise self._unauthorized(
                request, self._scopes(request, actions), "the token has expired", "invalid_token"
            )
        refused = [a for a in Action if a in actions and not self._allows(principal, repository, a)]
        if not refused:
            return
        if principal.anonymous:
            raise self._unauthorized(request, self._scopes(request, actions), None)
        detail = {
            "action": refused[0],
            "project": repository.project,
            "role": policy.NEEDED[refused[0]],
            "advice": f"ask for the role {policy.NEEDED[refused[0]]} in {repository.project}",
        }
        if principal.grants is not None:
            # By 401 a client gets a new token, which knows roles that were given since.
            scopes = self._scopes(request, actions)
            raise self._unauthorized(request, scopes, detail, "insufficient_scope")
        raise Denied(detail)

    async def require_known(self, request: Request, principal: Principal) -> None:
        """For GET /v2/: 401 with the challenge, by which clients find out how to sign in."""
        if self.tokens is not None and principal.anonymous and principal.grants is None:
            raise self._unauthorized(request, (), None)

    async def require_catalogue(self, request: Request, principal: Principal) -> None:
        """For lists over repositories: a token must have been given for that."""
        if self.tokens is not None and (not principal.catalogue or principal.anonymous):
            raise self._unauthorized(request, (CATALOGUE,), None)

    async def may(self, principal: Principal, repository: RepositoryName, action: Action) -> bool:
        """Whether the principal himself may, whatever this token is for: for mounts."""
        if self.tokens is None:
            return True
        return self._is_public(repository, action) or policy.may(principal, repository, action)

    def grant(self, principal: Principal, scope: Scope) -> frozenset[Action]:
        """The actions of *scope* that the principal gets a token for."""
        repository = parse_repository(scope.name, default_project=self.default_project)
        return frozenset(
            action
            for action in scope.actions
            if self._is_public(repository, action) or policy.may(principal, repository, action)
        )

    def readable_projects(self, principal: Principal) -> frozenset[str] | None:
        """The projects whose repositories a catalogue shows; None: all."""
        return policy.readable_projects(principal, self._public)

    def seal_upload(self, upload: str, repository: RepositoryName, subject: str) -> str | None:
        """The capability that an upload's address carries; None where nobody signs in."""
        if self.tokens is None:
            return None
        return self.tokens.seal_upload(upload, str(repository), subject)

    def realm(self, request: Request) -> str:
        """Where tokens are to be had, as this client reaches the server."""
        reached = request.base_url  # without the query, which may be no text at all
        base = self._public_url or f"{reached.scheme}://{reached.netloc}"
        return f"{base.rstrip('/')}/auth/token"

    def _allows(self, principal: Principal, repository: RepositoryName, action: Action) -> bool:
        return self._is_public(repository, action) or policy.allowed(principal, repository, action)

    def _is_public(self, repository: RepositoryName, action: Action) -> bool:
        return action is Action.PULL and repository.project in self._public

    async def _bearer(self, claims: Claims) -> Principal:
        grants: dict[RepositoryName, frozenset[Action]] = {}
        catalogue = False
        for entry in claims.access:
            if entry["type"] == "registry":
                catalogue = True
                continue
            name = parse_repository(entry["name"], default_project=self.default_project)
            actions = frozenset(Action(action) for action in entry["actions"])
            grants[name] = grants.get(name, frozenset()) | actions
        if not claims.subject:
            return Principal("", "anonymous", grants=grants, catalogue=False)
        present = await self.identity.find_principal(claims.subject)
        return Principal(
            present.subject, present.name, present.roles, present.admin, grants, catalogue
        )

    def _scopes(self, request: Request, actions: frozenset[Action]) -> tuple[str, ...]:
        """What a token must be for; a mount's source too, all in one value."""
        resource = _RESOURCE.fullmatch(request.scope["path"])
        assert resource is not None  # or no route had led here
        wanted = frozenset({*actions, Action.PULL}) if Action.PUSH in actions else actions
        scopes = [str(Scope(resource["name"], wanted))]
        source = request.query_params.get("from")
        if "mount" in request.query_params and source is not None and self._is_name(source):
            scopes.append(str(Scope(source, frozenset({Action.PULL}))))
        return tuple(scopes)

    def _is_name(self, text: str) -> bool:
        try:
            parse_repository(text, default_project=self.default_project)
        except NameInvalid:
            return False
        return True

    def _unauthorized(
        self,
        request: Request,
        scopes: Iterable[str],
        detail: object,
        error: str | None = None,
    ) -> Unauthorized:
        written = challenge.write(self.realm(request), self.service, scopes, error)
        return Unauthorized(detail, headers={"WWW-Authenticate": written})


def read_basic(value: str) -> tuple[str, str]:
    """User and password of Basic credentials; raises Unauthorized where they are none."""
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Unauthorized("Basic credentials are base64 of user:password") from None
    if not colon or not user:
        raise Unauthorized("Basic credentials are base64 of user:password")
    return user, password


def _refuse_foreign(request: Request) -> None:
    """Without sign-in, a web page or a reverse proxy must not open the store to others."""
    host = request.headers.get("host", "")
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if not _is_loopback(bare.strip("[]")):
        raise Denied(
            f"nobody signs in here, so only this machine may ask, and the Host is {host[:100]!r}: "
            "use 127.0.0.1, or set auth.kind"
        )
    for name in request.headers:
        if name.startswith(_FOREIGN):
            raise Denied(
                f"nobody signs in here, so a request with the header {name} is refused: it comes "
                "from a web page or through a proxy; set auth.kind to let others in"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
