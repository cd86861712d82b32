"""Signing in at registries: what a 401 asks for, and the header that answers it."""

import base64
import json
import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from hostimages.errors import PullDenied, RegistryUnavailable
from hostimages.reference import Credential, is_loopback
from hostimages.wire import Watch, Wire, host_of

_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.ASCII)
_ANSWER_LIMIT = 1 << 20


class Authorizer:
    """The ``Authorization`` of one repository's requests, learned from the registry's challenge."""

    def __init__(self, wire: Wire, credential: Credential | None, scope: str) -> None:
        self._wire = wire
        self._credential = credential or Credential()
        self._scope = scope
        self._lock = threading.Lock()
        token = self._credential.token
        self._header = f"Bearer {token}" if token else ""

    def headers(self) -> dict[str, str]:
        """What goes on the next request."""
        return {"Authorization": self._header} if self._header else {}

    def answer(self, challenge: str, refused: Mapping[str, str], watch: Watch) -> None:
        """Sign in as *challenge* (of a 401) asks, unless *refused* is no longer what is sent.

        Raises PullDenied where that cannot help, RegistryUnavailable.
        """
        with self._lock:
            if self.headers() != refused:
                return  # another thread has just renewed it
            scheme, _, rest = challenge.strip().partition(" ")
            words = {
                name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(rest)
            }
            if self._credential.token:
                raise PullDenied(
                    "the registry refuses the token: it expired, or is for another repository"
                )
            if scheme.lower() == "bearer" and words.get("realm"):
                self._header = f"Bearer {self._fetch(words, watch)}"
            elif scheme.lower() == "basic" and self._credential.username and not refused:
                self._header = self._basic()
            else:
                raise PullDenied(
                    "the registry refuses name and password, or wants some and has none"
                )

    def _fetch(self, words: Mapping[str, str], watch: Watch) -> str:
        """A token, from the realm that the registry names."""
        realm = words["realm"]
        clear = urlsplit(realm).scheme != "https" and not is_loopback(host_of(realm))
        if self._credential.username and clear:
            raise PullDenied(f"{host_of(realm)} wants a password over plain http")
        asked = {"scope": words.get("scope") or self._scope}
        if words.get("service"):
            asked["service"] = words["service"]
        headers = {"Authorization": self._basic()} if self._credential.username else {}
        joint = "&" if urlsplit(realm).query else "?"
        with self._wire.request("GET", f"{realm}{joint}{urlencode(asked)}", headers, watch) as got:
            content = got.read(_ANSWER_LIMIT)
            if got.status in {400, 401, 403}:
                raise PullDenied(f"{host_of(realm)} gives no token for {asked['scope']}")
            if got.status != 200:
                raise RegistryUnavailable(f"{host_of(realm)} answers {got.status} for a token")
        return _token(content, realm)

    def _basic(self) -> str:
        pair = f"{self._credential.username}:{self._credential.password}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _token(content: bytes, realm: str) -> str:
    try:
        body: Any = json.loads(content)
        token = body.get("token") or body["access_token"]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise RegistryUnavailable(f"{host_of(realm)} answers no token")
    return token
