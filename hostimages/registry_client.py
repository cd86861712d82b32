"""One repository of a registry, as one credential may see it; called from threads."""

import contextlib
import email.utils
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from hostimages.errors import (
    ContentCorrupt,
    ImageUnknown,
    PullDenied,
    RegistryUnavailable,
)
from hostimages.reference import Credential, ImageReference, is_loopback
from hostimages.settings import Patience, RegistrySettings
from hostimages.tokens import Authorizer
from hostimages.wire import Answer, Watch, Wire
from registry.oci.descriptor import INDEXES, MANIFESTS
from registry.oci.digest import Digest

MANIFEST_LIMIT = 8 << 20
"""Bytes of a manifest, an index or a config."""
_ACCEPT = ", ".join(sorted(MANIFESTS | INDEXES))
_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", re.ASCII)
_AWAY = frozenset({408, 425, 429, 500, 502, 503, 504})

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or an index, as it came: verified against its digest where one was asked for."""

    content: bytes
    media_type: str
    digest: Digest


class _Away(RegistryUnavailable):
    """An answer that asks to come again, and when (seconds)."""

    def __init__(self, text: str, wait: float | None) -> None:
        super().__init__(text)
        self.wait = wait


class Repository:
    """What may be read from one repository."""

    def __init__(
        self,
        wire: Wire,
        settings: RegistrySettings,
        patience: Patience,
        where: ImageReference,
        credential: Credential | None,
    ) -> None:
        self.registry = where.registry
        self.name = where.repository
        plain = where.registry in settings.plain_http or is_loopback(where.registry)
        self._base = f"{'http' if plain else 'https'}://{where.registry}/v2/{where.repository}"
        self._wire = wire
        self._patience = patience
        self._authorizer = Authorizer(wire, credential, f"repository:{where.repository}:pull")

    def manifest(self, wanted: str, watch: Watch) -> Fetched:
        """The manifest or index under a tag or digest; raise ImageUnknown if there is none."""

        def once() -> Fetched:
            path = f"manifests/{wanted}"
            with self._asked("GET", path, {"Accept": _ACCEPT}, watch) as answer:
                content = answer.read(MANIFEST_LIMIT)
                return Fetched(content, _media_type(answer), Digest.of(content))

        fetched = self._patiently(once, watch)
        if ":" in wanted:
            named = Digest.parse(wanted)
            if Digest.of(fetched.content, named.algorithm) != named:
                raise ContentCorrupt(f"{self.registry} answers another manifest than {named}")
            return Fetched(fetched.content, fetched.media_type, named)
        return fetched

    def small_blob(self, digest: Digest, size: int, watch: Watch) -> bytes:
        """A blob of a config's size, verified."""
        if size > MANIFEST_LIMIT:
            raise ContentCorrupt(f"a config of {size} bytes is more than {MANIFEST_LIMIT}")

        def once() -> bytes:
            with self._asked("GET", f"blobs/{digest}", {}, watch) as answer:
                return answer.read(size)

        content = self._patiently(once, watch)
        if len(content) != size or Digest.of(content, digest.algorithm) != digest:
            raise ContentCorrupt(f"{self.registry} answers other bytes than {digest}")
        return content

    def check_blob(self, digest: Digest, watch: Watch) -> None:
        """Return if the credential may have this blob; raise ImageUnknown or PullDenied."""

        def once() -> None:
            with self._asked("HEAD", f"blobs/{digest}", {}, watch):
                pass

        self._patiently(once, watch)

    @contextlib.contextmanager
    def blob(self, digest: Digest, start: int, watch: Watch) -> Iterator[tuple[int, Answer]]:
        """A blob from byte *start*: where what comes really starts (0 or *start*), and the answer.

        One try; see *patiently*.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._asked("GET", f"blobs/{digest}", headers, watch) as answer:
            begins = 0
            if answer.status == 206:
                matched = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
                if matched is None or int(matched[1]) != start:
                    raise RegistryUnavailable(f"{self.registry} answers another range than asked")
                begins = start
            yield begins, answer

    def _patiently(self, once: Callable[[], _T], watch: Watch) -> _T:
        tries = Tries(self._patience, watch)
        while True:
            try:
                return once()
            except RegistryUnavailable as error:
                tries.failed(error)

    @contextlib.contextmanager
    def _asked(
        self, method: str, path: str, headers: dict[str, str], watch: Watch
    ) -> Iterator[Answer]:
        """An answer of the kind 200 or 206, after signing in where that is asked for."""
        for last in (False, False, True):
            sent = self._authorizer.headers()
            url = f"{self._base}/{path}"
            with self._wire.request(method, url, headers | sent, watch) as answer:
                if answer.status != 401 or last:
                    self._expect(answer, path)
                    yield answer
                    return
                if method != "HEAD":
                    answer.read(MANIFEST_LIMIT)
                challenge = answer.headers.get("WWW-Authenticate", "")
            self._authorizer.answer(challenge, sent, watch)

    def _expect(self, answer: Answer, path: str) -> None:
        what = f"{self.registry}/{self.name}"
        if answer.status in {200, 206}:
            return
        if answer.status in {401, 403}:
            raise PullDenied(f"{what}: this credential may not pull")
        if answer.status == 404:
            raise ImageUnknown(f"{what} has no {path.replace('s/', ' ', 1)}, or does not show it")
        if answer.status in _AWAY:
            wait = _retry_after(answer.headers.get("Retry-After"))
            raise _Away(f"{what}: the registry answers {answer.status}", wait)
        raise RegistryUnavailable(f"{what}: the registry answers {answer.status}")


class Tries:
    """How often one thing was tried; between two tries it waits, longer each time."""

    def __init__(self, patience: Patience, watch: Watch) -> None:
        self._left = self._tries = patience.tries
        self._longest = patience.longest_wait.total_seconds()
        self._watch = watch
        self._wait = 0.25

    def failed(self, error: RegistryUnavailable) -> None:
        """Wait before the next try; raise *error* if there is none."""
        self._left -= 1
        if self._left <= 0:
            raise error
        asked = error.wait if isinstance(error, _Away) else None
        wait = self._wait * random.uniform(0.5, 1.5) if asked is None else asked  # noqa: S311
        self._wait *= 2
        self._watch.sleep(min(wait, self._longest))

    def progressed(self) -> None:
        """Bytes came: what failed before counts no more."""
        self._left, self._wait = self._tries, 0.25


def _retry_after(text: str | None) -> float | None:
    """Seconds, from a number or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _media_type(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()
