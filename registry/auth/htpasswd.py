"""Users in a file of bcrypt hashes, roles in a table."""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from weakref import WeakValueDictionary

import bcrypt

from registry.auth.guesses import Guesses
from registry.auth.ports import EVERYWHERE, Principal, Reach
from registry.oci.errors import StorageUnavailable, Unauthorized
from settings.files import read

_BCRYPT = re.compile(  # the cost from 4 to 31; a salt's last character has two bits
    rb"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}"
)
_SALT_BYTES = 29
"""Of a hash: its kind, cost and salt."""
_WRONG = "wrong user name or password"
REMEMBERED_SECONDS = 60.0
"""For which a password that was right needs no second look."""
REMEMBERED = 1024
PASSWORD_BYTES = 72
"""What bcrypt reads."""


class HtpasswdIdentity:
    """Reads the file again when it changes; a wrong password costs the same for everybody."""

    def __init__(
        self,
        path: Path,
        projects: Mapping[str, Mapping[str, str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*projects*: project -> user -> role. Raises ValueError, which names the bad line."""
        self._path = path
        self._clock = clock
        self._roles: dict[str, dict[str, frozenset[str]]] = {}
        for project, roles in projects.items():
            for user, role in roles.items():
                self._roles.setdefault(user, {})[project] = frozenset({role})
        self._pepper = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, float] = OrderedDict()
        self._guesses = Guesses()
        self._stamp: tuple[int, int, int] | None = None
        self._hashes: dict[str, bytes] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._usual = bcrypt.gensalt(10)
        self._read_if_changed()

    async def authenticate(
        self, username: str, password: str, reach: Reach = EVERYWHERE
    ) -> Principal:
        """As in Identity."""
        del reach  # all roles are at hand
        self._refresh()
        hashed = self._hashes.get(username)
        given = password.encode()
        mark = hmac.digest(
            self._pepper, b"\0".join((username.encode(), hashed or b"", given)), "sha256"
        )
        if self._is_right(mark):
            return self._principal(username)
        turn = self._turns.setdefault(username, asyncio.Lock())
        async with turn:  # or guesses side by side would all pass before one is counted
            if self._is_right(mark):
                return self._principal(username)
            now = self._clock()
            self._guesses.slow_down(username, now)
            matches = await asyncio.to_thread(_check, given, hashed or self._stand_in(username))
            if hashed is None or not matches:
                self._guesses.count(username, now)
                raise Unauthorized(_WRONG)
            self._guesses.forget(username)
            self._right[mark] = now + REMEMBERED_SECONDS
            if len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
            return self._principal(username)

    async def verify(
        self, token: str, reach: Reach = EVERYWHERE, *, anew: bool = False
    ) -> Principal:
        """As in Identity."""
        del token, reach, anew
        raise Unauthorized("the token is not this registry's")

    async def find_principal(self, subject: str, claimed: Principal | None = None) -> Principal:
        """As in Identity."""
        del claimed  # the file knows better
        self._refresh()
        if subject not in self._hashes:
            raise Unauthorized("the user is not known any more")
        return self._principal(subject)

    async def close(self) -> None:
        """Nothing is open."""

    def _principal(self, user: str) -> Principal:
        roles = self._roles.get(user, {})
        admin = any("admin" in each for each in roles.values())
        return Principal(user, user, roles, admin)

    def _is_right(self, mark: bytes) -> bool:
        return self._right.get(mark, 0.0) > self._clock()

    def _stand_in(self, stranger: str) -> bytes:
        """A hash of nothing that costs what a known user's does, always the same user's."""
        costs = [hashed[:_SALT_BYTES] for hashed in self._hashes.values()] or [self._usual]
        drawn = hmac.digest(self._pepper, stranger.encode(), "sha256")
        return costs[int.from_bytes(drawn) % len(costs)] + b"." * 31

    def _refresh(self) -> None:
        try:
            self._read_if_changed()
        except ValueError as error:
            raise StorageUnavailable("the password file cannot be read") from error

    def _read_if_changed(self) -> None:
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._hashes = _parse(read(self._path), self._path)
                self._stamp = stamp
        except OSError as error:
            raise ValueError(f"{self._path}: {error.strerror}") from error


def _parse(content: bytes, path: Path) -> dict[str, bytes]:
    hashes = {}
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        user, colon, hashed = line.strip().partition(b":")
        if not colon or not user or not _BCRYPT.fullmatch(hashed) or not _is_utf8(user):
            raise ValueError(
                f"{path}, line {number}: must be user:bcrypt hash; make one with `berth passwd`"
            )
        hashes[user.decode()] = hashed
    return hashes


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check(given: bytes, hashed: bytes) -> bool:
    if len(given) > PASSWORD_BYTES:
        given = hashlib.sha256(given).digest()  # right for nobody, at the same cost
    return bcrypt.checkpw(given, hashed)
