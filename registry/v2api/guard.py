"""Who asks, and may they: runs before every handler."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request

from registry import opening
from registry.auth import basic, challenge, claims, policy
from registry.auth.challenge import CATALOGUE, Scope
from registry.auth.ports import (
    ANONYMOUS,
    CLOSED,
    EVERYWHERE,
    NOWHERE,
    WHOLE,
    Action,
    Identity,
    Opening,
    Principal,
    ProjectNames,
    Reach,
)
from registry.auth.tokens import Tokens
from registry.oci.errors import (
    Denied,
    NameInvalid,
    NameUnknown,
    StorageUnavailable,
    Unauthorized,
)
from registry.oci.names import RepositoryName, parse_repository
from registry.opening import Neighbours
from registry.v2api import asked
from registry.v2api.foreign import refuse_foreign

_NO_PROJECT = ""
"""Stands for a project that is not there: nobody has a role in it."""


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
        projects: ProjectNames | None = None,
        neighbours: Neighbours | None = None,
    ) -> None:
        """*projects* tells what names stand for; without it a project's name is its id.

        *neighbours* tells what is open to those of other projects; without it nothing is.
        """
        self.identity = identity
        self.tokens = tokens
        self.service = service
        self.default_project = default_project
        self._public = frozenset(public_projects)
        self._public_url = public_url
        self._projects = projects
        self.neighbours = neighbours

    async def admit(self, request: Request, name: str | None = None) -> Principal:
        """Who asks, by Bearer token, X-Auth-Token or Basic; anonymous without any of them.

        Roles that are not in the token are looked up for the repository *name* (and the source of
        a mount): nowhere for the empty name, everywhere for None. Raises Unauthorized for
        credentials that are wrong. An expired token gets by on an upload's address alone, where
        ``authorize`` asks for the capability.
        """
        if self.tokens is None:
            refuse_foreign(request)
            return await self.identity.authenticate("", "")
        header = request.headers.get("authorization")
        token = request.headers.get("x-auth-token")
        if not header and not token:
            return ANONYMOUS
        scheme, _, value = (header or "").partition(" ")
        scheme = scheme.lower()
        try:
            if scheme == "bearer":
                return await self._read_token(request, value.strip())
            if scheme == "basic":
                reach = self._reach_of(request, name)
                return await self.identity.authenticate(*basic.read(value), reach)
            if token and not header:
                return await self._read_any_token(request, token.strip(), name)
        except Unauthorized as error:
            raise self._unauthorized(request, (), str(error.detail), "invalid_token") from error
        raise self._unauthorized(request, (), "use Basic or Bearer credentials")

    def reach(self, *names: str, everywhere: bool = False) -> Reach:
        """The projects of the repositories *names*; what is no name is left out."""
        projects = set()
        for name in names:
            try:
                projects.add(parse_repository(name, default_project=self.default_project).project)
            except NameInvalid:
                continue
        return Reach(frozenset(projects), everywhere)

    async def find_repository(self, principal: Principal, text: str) -> RepositoryName:
        """The repository *text*, its project by id; one that nobody has a role in if there is none.

        So only an administrator is told that a project is unknown, and anybody else that he may
        not: no answer tells whether it exists. Raises NameInvalid and StorageUnavailable.
        """
        spelt = parse_repository(text, default_project=self.default_project)
        if self._projects is None:
            return spelt
        project = principal.projects.get(spelt.project)
        if project is None:
            try:
                project = await self._projects.find_project(spelt.project)
            except NameUnknown:
                project = _NO_PROJECT
            except StorageUnavailable:
                if not principal.anonymous or principal.grants is not None:
                    raise
                project = _NO_PROJECT  # the challenge can be given all the same
        return RepositoryName(project, spelt.path)

    async def find_source(
        self, principal: Principal, text: str
    ) -> tuple[Opening, RepositoryName] | None:
        """The repository *text*, and what of it may be mounted; None where that cannot be told."""
        try:
            found = await self.find_repository(principal, text)
            if await self.may(principal, found, Action.PULL):
                return WHOLE, found
            return await opening.find_source(self.neighbours, principal, found), found
        except StorageUnavailable:
            return None

    async def authorize(
        self,
        request: Request,
        principal: Principal,
        repository: RepositoryName,
        actions: frozenset[Action],
        *,
        upload: str | None = None,
    ) -> Opening:
        """Let pass, or raise Unauthorized (sign in, or get a token for it) or Denied.

        Answers how far it reaches, where to pull is all that was asked for.
        """
        if self.tokens is None:
            return WHOLE
        expires_at = getattr(request.state, "expires_at", None)
        if upload is not None and expires_at is not None and not principal.anonymous:
            state = request.query_params.get("_state", "")
            if await self.tokens.check_upload(state, upload, str(repository), principal.subject):
                return WHOLE
        if expires_at is not None and self.tokens.is_past(expires_at):
            raise self._unauthorized(
                request, asked.scopes(request, actions), "the token has expired", "invalid_token"
            )
        refused = [a for a in Action if a in actions and not self._allows(principal, repository, a)]
        if not refused:
            if repository.project == _NO_PROJECT:
                raise NameUnknown(
                    f"there is no project {asked.project(request, self.default_project)}"
                )
            return WHOLE
        if actions == {Action.PULL} and (found := await self._find_opening(principal, repository)):
            return found
        if principal.anonymous:
            raise self._unauthorized(request, asked.scopes(request, actions), None)
        project = asked.project(request, self.default_project)
        detail = {
            "action": refused[0],
            "project": project,
            "role": policy.NEEDED[refused[0]],
            "advice": f"ask for the role {policy.NEEDED[refused[0]]} in {project}",
        }
        if principal.grants is not None:
            # By 401 a client gets a new token, which knows roles that were given since.
            scopes = asked.scopes(request, actions)
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
        """Whether his roles are good for it, whatever this token is for: for mounts."""
        if self.tokens is None:
            return True
        return self._is_public(repository, action) or policy.may(principal, repository, action)

    async def grant(self, principal: Principal, scope: Scope) -> Mapping[str, Any] | None:
        """What of *scope* the principal gets a token for, as an entry of its claim ``access``."""
        try:
            repository = await self.find_repository(principal, scope.name)
        except NameInvalid:
            return None
        actions = frozenset([a for a in scope.actions if await self.may(principal, repository, a)])
        found = CLOSED
        if Action.PULL in scope.actions - actions:
            found = await opening.find(self.neighbours, principal, repository)
            actions |= {Action.PULL} if found else frozenset()
        if repository.project == _NO_PROJECT or not actions:
            return None
        return claims.entry(scope.name, repository, actions, found)

    async def close(self) -> None:
        """Let go of whom it asks."""
        await self.identity.close()
        if self.neighbours is not None:
            await self.neighbours.viewer.close()

    def readable_projects(self, principal: Principal) -> frozenset[str] | None:
        """The projects whose repositories a catalogue shows; None: all."""
        return policy.readable_projects(principal, self._public)

    def seal_upload(self, upload: str, repository: RepositoryName, subject: str) -> str | None:
        """The capability that an upload's address carries; None where nobody signs in."""
        if self.tokens is None:
            return None
        return self.tokens.seal_upload(upload, str(repository), subject)

    async def _find_opening(self, principal: Principal, repository: RepositoryName) -> Opening:
        """What is open without a role.

        Who shows nothing at all is challenged, unless all is open: he may have a right to more.
        """
        bare = principal.anonymous and principal.grants is None
        try:
            found = await opening.find(self.neighbours, principal, repository)
        except StorageUnavailable:
            if bare:
                return CLOSED
            raise
        return CLOSED if bare and not found.whole else found

    def _allows(self, principal: Principal, repository: RepositoryName, action: Action) -> bool:
        return self._is_public(repository, action) or policy.allowed(principal, repository, action)

    def _is_public(self, repository: RepositoryName, action: Action) -> bool:
        return action is Action.PULL and repository.project in self._public

    async def _read_token(self, request: Request, token: str) -> Principal:
        """Who a token of this registry's is of."""
        assert self.tokens is not None
        uploading = "/blobs/uploads/" in request.scope["path"]
        said = await self.tokens.read(token, expired=uploading)
        request.state.expires_at = said.expires_at
        claimed = claims.read(said, self.default_project)
        if claimed.anonymous:
            return claimed
        present = await self.identity.find_principal(claimed.subject, claimed)
        return dataclasses.replace(
            present,
            grants=claimed.grants,
            openings=claimed.openings,
            catalogue=claimed.catalogue,
            projects=claimed.projects,
        )

    async def _read_any_token(self, request: Request, token: str, name: str | None) -> Principal:
        """Who a token is of: one of this registry's, or of the cloud's."""
        try:
            return await self._read_token(request, token)
        except Unauthorized:
            return await self.identity.verify(token, self._reach_of(request, name))

    def _reach_of(self, request: Request, name: str | None) -> Reach:
        if not name:
            return EVERYWHERE if name is None else NOWHERE
        return self.reach(name, request.query_params.get("from", ""))

    def _unauthorized(
        self,
        request: Request,
        scopes: Iterable[str],
        detail: object,
        error: str | None = None,
    ) -> Unauthorized:
        written = challenge.write(
            asked.realm(request, self._public_url), self.service, scopes, error
        )
        return Unauthorized(detail, headers={"WWW-Authenticate": written})
