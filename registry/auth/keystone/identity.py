"""People of a Keystone: who they are, by passwords, application credentials and tokens."""

import asyncio
import contextlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from weakref import WeakValueDictionary

from registry.auth.guesses import Guesses
from registry.auth.keystone import credentials
from registry.auth.keystone.answers import CloudToken
from registry.auth.keystone.cache import TtlCache
from registry.auth.keystone.client import Keystone
from registry.auth.keystone.credentials import ApplicationCredential, Password, Token
from registry.auth.keystone.roles import REMEMBERED_SECONDS, Roles, Visit, open_visit
from registry.auth.ports import EVERYWHERE, Principal, Reach
from registry.oci.errors import Unauthorized

REMEMBERED = 1024
"""People at most of whom answers are kept."""


class KeystoneIdentity:
    """Passwords, application credentials and tokens; a wrong one is told apart from no other."""

    def __init__(
        self,
        keystone: Keystone,
        *,
        domain: str = "default",
        domains: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*domain*: id of the projects' and, unless they say another, the users' domain.

        *domains*: name -> id of those that may stand behind a user's name.
        """
        self._keystone = keystone
        self._domain = domain
        self._domains = dict(domains or {})
        self._clock = clock
        self._roles = Roles(keystone, domain)
        self._pepper = secrets.token_bytes(32)
        self._visits: TtlCache[bytes, Visit] = TtlCache(REMEMBERED, clock)
        self._guesses = Guesses()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def authenticate(
        self, username: str, password: str, reach: Reach = EVERYWHERE
    ) -> Principal:
        """As in Identity."""
        shown = credentials.read(username, password, self._domain, self._domains)
        if isinstance(shown, Token):
            return await self.verify(shown.token, reach)
        mark = self._mark(username, password)
        named = shown.project if isinstance(shown, Password) else None
        visit = await self._sign_in(mark, shown)
        try:
            return await self._roles.find(visit, reach, named)
        except Unauthorized:  # its token, not the password
            self._visits.drop(mark)
            visit = await self._sign_in(mark, shown)
        return await self._roles.find(visit, reach, named)

    async def verify(
        self, token: str, reach: Reach = EVERYWHERE, *, anew: bool = False
    ) -> Principal:
        """As in Identity."""
        credentials.read_token(token)
        mark = self._mark(credentials.TOKEN_USER, token)
        turn = self._turns.setdefault(mark.hex(), asyncio.Lock())
        async with turn:
            try:
                if anew:
                    self._visits.drop(mark)
                visit = self._visits.find(mark)
            except KeyError:
                visit = self._remember(mark, await self._keystone.validate(token))
        try:
            return await self._roles.find(visit, reach, None)
        except Unauthorized:
            self._visits.drop(mark)
            raise

    async def find_principal(self, subject: str, claimed: Principal | None = None) -> Principal:
        """As in Identity: of somebody absent nothing is looked up."""
        if claimed is None or claimed.subject != subject:
            raise Unauthorized("sign in again")
        return claimed

    async def close(self) -> None:
        """End what asks Keystone."""
        await self._keystone.close()

    async def _sign_in(self, mark: bytes, shown: Password | ApplicationCredential) -> Visit:
        """One after the other for one user, or guesses side by side would all pass uncounted."""
        with contextlib.suppress(KeyError):
            return self._visits.find(mark)
        turn = self._turns.setdefault(shown.guessed, asyncio.Lock())
        async with turn:
            with contextlib.suppress(KeyError):
                return self._visits.find(mark)
            now = self._clock()
            self._guesses.slow_down(shown.guessed, now)
            try:
                token = await self._keystone.sign_in(shown)
            except Unauthorized:
                self._guesses.count(shown.guessed, now)
                raise
            self._guesses.forget(shown.guessed)
            return self._remember(mark, token)

    def _remember(self, mark: bytes, token: CloudToken) -> Visit:
        visit = open_visit(token, self._clock)
        self._visits.put(mark, visit, min(REMEMBERED_SECONDS, token.expires_at - time.time()))
        return visit

    def _mark(self, username: str, password: str) -> bytes:
        """What stands for credentials in memory."""
        return hmac.digest(self._pepper, f"{username}\0{password}".encode(), "sha256")
