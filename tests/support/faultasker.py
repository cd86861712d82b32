"""Who asks a registry while it rains: signs in, tries another replica, and counts what came."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

import httpx

from support.faultmodel import Missing, Repository, Wrong
from support.faultworld import World

NOT_NOW = frozenset({408, 429, 503, 507})
"""Answers that only say: later."""


@dataclass
class Tally:
    """What was done and seen."""

    answers: int = 0
    refused: int = 0
    """With 503 or its like."""
    broken: int = 0
    """Answers that broke off, visibly."""
    acknowledged: int = 0
    """Changes of names."""
    words: int = 0
    """On who sees an image, said at Berth and acknowledged."""
    blobs: int = 0
    bytes_checked: int = 0
    """That were served, and compared."""
    operations: dict[str, int] = field(default_factory=dict)

    def done(self, name: str) -> None:
        self.operations[name] = self.operations.get(name, 0) + 1


class Asker:
    """Alice, in one repository that nobody else changes."""

    def __init__(
        self, world: World, http: httpx.AsyncClient, repository: Repository,
        others: list[str], chance: random.Random, tally: Tally, *, graceful: bool,
    ) -> None:  # fmt: skip
        """*others* are repositories to mount from; *graceful*: nothing promised may go."""
        self.world = world
        self.http = http
        self.repository = repository
        self.others = others
        self.chance = chance
        self.tally = tally
        self.graceful = graceful
        self._headers: dict[str, str] = {}

    # -- asking ---------------------------------------------------------------------------------

    async def ask(
        self, method: str, path: str, *expected: int, replica: int | None = None, **more: Any
    ) -> httpx.Response | None:
        """An answer of those *expected*; None where there was none, or only: later."""
        losses = self.world.losses
        answer = await self._send(method, self.url(path, replica), **more)
        if answer is not None and answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._headers = {}
            answer = await self._send(method, self.url(path, replica), **more)
        if answer is None or answer.status_code in NOT_NOW:
            self.tally.refused += answer is not None
            return None
        if answer.status_code == HTTPStatus.UNAUTHORIZED and (
            losses != self.world.losses or not self.world.is_settled
        ):
            return None  # another ledger has other keys
        self.tally.answers += 1
        if answer.status_code not in expected:
            kind = Missing if answer.status_code == HTTPStatus.NOT_FOUND else Wrong
            raise kind(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    def url(self, path: str, replica: int | None = None) -> str:
        """Of one of the replicas, or of a certain one."""
        number = self.chance.randrange(2) if replica is None else replica
        return urljoin(self.world.replicas[number].url, path)

    async def _send(
        self, method: str, url: str, body: Callable[[], Any] | None = None, **more: Any
    ) -> httpx.Response | None:
        if not self._headers and not await self._sign_in(url):
            return None
        headers = {**self._headers, **more.pop("headers", {})}
        content = None if body is None else body()
        try:
            return await self.http.request(method, url, headers=headers, content=content, **more)
        except httpx.TransportError:
            self.tally.broken += 1
            return None
        except AttributeError as error:  # anyio's word for a kept connection that has just gone
            if "getpeername" not in str(error):
                raise
            self.tally.broken += 1
            return None

    async def _sign_in(self, url: str) -> bool:
        alice = self.world.scene.alice
        if self.chance.random() < 0.2:
            self._headers = {
                "Authorization": httpx.BasicAuth(alice.name, alice.password)._auth_header
            }
            return True
        scopes = [f"repository:{name}:pull,push,delete"
                  for name in (self.repository.name, *self.others)]  # fmt: skip
        try:
            answer = await self.http.get(
                urljoin(url, "/auth/token"),
                params={"scope": scopes}, auth=(alice.name, alice.password),
            )  # fmt: skip
        except httpx.TransportError:
            self.tally.broken += 1
            return False
        if answer.status_code in NOT_NOW:
            return False
        if answer.status_code != HTTPStatus.OK:
            raise Wrong(f"alice cannot sign in: {answer.status_code} {answer.text[:300]}")
        self._headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        return True

    def path(self, rest: str) -> str:
        return f"/v2/{self.repository.name}/{rest}"
