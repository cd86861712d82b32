"""Names of projects to their ids, as the service user sees them."""

import asyncio
import logging
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from keystoneauth1.plugin import BaseAuthPlugin

from registry.auth.keystone.answers import CloudToken
from registry.auth.keystone.cache import TtlCache
from registry.auth.keystone.client import Keystone
from registry.auth.keystone.credentials import is_id
from registry.oci.errors import Denied, NameUnknown, Unauthorized

REMEMBERED_SECONDS = 60.0
"""For which a name stands for the same id without another look."""
UNKNOWN_SECONDS = 10.0
"""For which a name that stood for nothing still does."""
REMEMBERED = 4096
RENEW_BEFORE = 60.0
"""Seconds before the end of the service user's token at which another is got."""
_log = logging.getLogger(__name__)


class KeystoneProjectNames:
    """Names in one domain; who signs in needs it only for projects in which he has no role.

    The service user looks them up with the role reader in that domain, if he has it there.
    """

    def __init__(
        self,
        keystone: Keystone,
        service: BaseAuthPlugin,
        *,
        domain: str = "default",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*service* signs the service user in; *domain* is the id of the names' domain."""
        self._keystone = keystone
        self._service = service
        self._domain = domain
        self._token: CloudToken | None = None
        self._known: TtlCache[str, str | None] = TtlCache(REMEMBERED, clock)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def find_project(self, name: str) -> str:
        """As in ProjectNames; an id is an id, whatever projects are called."""
        if is_id(name):
            return name
        turn = self._turns.setdefault(name, asyncio.Lock())
        async with turn:
            try:
                project = self._known.find(name)
            except KeyError:
                project = await self._look_up(name)
                seconds = UNKNOWN_SECONDS if project is None else REMEMBERED_SECONDS
                self._known.put(name, project, seconds)
        if project is None:
            raise NameUnknown(f"there is no project {name}")
        return project

    async def _look_up(self, name: str) -> str | None:
        try:
            try:
                token = await self._present_token()
                return await self._keystone.find_project(token, name, self._domain)
            except Unauthorized:  # it was revoked
                token = await self._present_token(anew=True)
                return await self._keystone.find_project(token, name, self._domain)
        except (Denied, Unauthorized):
            _log.warning(
                "the service user may not look up projects: give it the role reader in the domain"
            )
            return None

    async def _present_token(self, *, anew: bool = False) -> str:
        token = self._token
        if anew or token is None or token.expires_at - time.time() < RENEW_BEFORE:
            own = await self._keystone.issue_token(self._service, anew=anew)
            try:
                token = await self._keystone.scope_domain(own, self._domain)
            except Unauthorized:  # no role there: perhaps a policy lets him
                return own
            self._token = token
        return token.text
