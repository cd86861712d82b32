"""A caller's roles, looked up where they are asked for, with his own token."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from registry.auth.keystone.answers import CloudToken, Project
from registry.auth.keystone.cache import TtlCache
from registry.auth.keystone.client import Keystone
from registry.auth.keystone.credentials import is_id
from registry.auth.ports import Principal, Reach
from registry.oci.errors import Denied, Unauthorized

REMEMBERED_SECONDS = 60.0
"""For which an answer of Keystone's is taken for true: what is revoked ends after that."""
REFUSED_SECONDS = 10.0
"""For which a project stays refused to somebody who had no role there."""
PROJECTS = 20
"""Projects at most in which a caller's roles are looked up at once."""


@dataclass(slots=True)
class Visit:
    """What is remembered of one who signed in; it is forgotten as a whole."""

    token: CloudToken
    scopes: TtlCache[str, CloudToken | None]
    """By project as typed; None: no role there."""
    own: list[CloudToken] | None = None
    """For his projects, or those that he named."""
    names: dict[str, str] = field(default_factory=dict)
    """What an administrator looked up: project as typed -> id."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


def open_visit(token: CloudToken, clock: Callable[[], float]) -> Visit:
    """A visit of which nothing is known but who it is."""
    return Visit(token, TtlCache(4 * PROJECTS, clock))


class Roles:
    """What Keystone says of a caller, to himself."""

    def __init__(self, keystone: Keystone, domain: str) -> None:
        """*domain*: the id of the one in which projects have names."""
        self._keystone = keystone
        self._domain = domain

    async def find(self, visit: Visit, reach: Reach, named: str | None) -> Principal:
        """The caller with his roles within *reach*; *named* is the project that he prefers.

        Raises Unauthorized where the token of *visit* is not good any more.
        """
        async with visit.turn:
            if visit.token.scoped:
                held = [visit.token]
            else:
                held = await self._scope(visit, reach, named)
            projects = {token.project.id: token for token in held if token.project is not None}
            names = self._names(held)
            administrator = next((token for token in held if token.admin), None)
            if administrator is not None:
                unknown = reach.projects - names.keys() - projects.keys()
                names |= await self._look_up(visit, administrator, unknown)
        return Principal(
            visit.token.user,
            visit.token.name,
            {project: token.roles for project, token in projects.items()},
            administrator is not None,
            projects=names,
            expires_at=min(token.expires_at for token in (visit.token, *held)),
            cloud_tokens={project: token.text for project, token in projects.items()},
            proof=visit.token.text,
        )

    async def _scope(self, visit: Visit, reach: Reach, named: str | None) -> list[CloudToken]:
        """Tokens for the projects in *reach*; where one is not his, also for those that are."""
        wanted = sorted(reach.projects)[:PROJECTS]
        tokens = await asyncio.gather(*(self._scope_to(visit, each) for each in wanted))
        held = [token for token in tokens if token is not None]
        if reach.everywhere or len(held) < len(reach.projects):
            if visit.own is None:
                visit.own = await self._scope_to_own(visit, named)
            held += visit.own
        return held

    async def _scope_to(self, visit: Visit, project: str) -> CloudToken | None:
        try:
            return visit.scopes.find(project)
        except KeyError:
            pass
        try:
            token = await self._keystone.scope(visit.token.text, project, self._domain)
        except Unauthorized:
            visit.scopes.put(project, None, REFUSED_SECONDS)
            return None
        visit.scopes.put(project, token, REMEMBERED_SECONDS)
        return token

    async def _scope_to_own(self, visit: Visit, named: str | None) -> list[CloudToken]:
        """Tokens for the project *named*, else for each of the caller's, and for the system.

        This is also where a token shows that is not good any more.
        """
        projects = await self._keystone.list_projects(visit.token.text)
        if named is not None:
            projects = [each for each in projects if self._is_called(each, named)]
        found = await asyncio.gather(
            *(self._scope_to(visit, each.id) for each in islice(projects, PROJECTS))
        )
        tokens = [token for token in found if token is not None]
        if await self._keystone.has_system_role(visit.token.text):
            with contextlib.suppress(Unauthorized):
                tokens.append(await self._keystone.scope_system(visit.token.text))
        return tokens

    def _is_called(self, project: Project, named: str) -> bool:
        if is_id(named):
            return project.id == named
        return project.name == named and project.domain == self._domain

    def _names(self, held: Iterable[CloudToken]) -> dict[str, str]:
        """What the names of the tokens' projects stand for; a name like an id stands for none."""
        return {
            project.name: project.id
            for project in (token.project for token in held)
            if project is not None and project.domain == self._domain and not is_id(project.name)
        }

    async def _look_up(
        self, visit: Visit, administrator: CloudToken, projects: Iterable[str]
    ) -> dict[str, str]:
        """What *projects* stand for, as one sees it who has a right to all; "" for none."""
        found = {}
        for project in projects:
            known = visit.names.get(project)
            if known is None:
                try:
                    known = await self._keystone.find_project(
                        administrator.text, project, self._domain
                    )
                except Denied:
                    continue
                if known is not None:
                    visit.names[project] = known
            found[project] = known or ""
        return found
