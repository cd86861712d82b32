"""Clients who push, move, delete and look, and remember what was acknowledged to them."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field

import httpx

from registry.oci.descriptor import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from registry.oci.digest import Digest
from support.builders import LAYER, descriptor

POOL = 24
"""Layers that all images are made of, so that clients meet at the same blobs."""
TAGS = 4
"""Of each client."""
ATTEMPTS = 200


class Unexpected(Exception):
    """An answer that no collection explains."""


@dataclass(slots=True)
class Tally:
    """What happened, all clients together."""

    pushed: int = 0
    """Manifests acknowledged."""
    deleted: int = 0
    verified: int = 0
    retried: int = 0
    """Pushes that were told that a blob or manifest had been collected, and began again."""
    lost: list[str] = field(default_factory=list)
    """What was acknowledged and did not resolve whole."""
    seconds: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    """Of manifest PUTs alone, without collections and beside them."""
    collecting: bool = False


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest as it must be found, with the blobs and manifests that it names."""

    content: bytes
    media_type: str
    blobs: tuple[bytes, ...] = ()
    children: tuple["Pushed", ...] = ()

    @property
    def digest(self) -> str:
        return str(Digest.of(self.content))


def layer(number: int) -> bytes:
    """One of the pool."""
    chance = random.Random(number)  # noqa: S311 - the same each time
    return chance.randbytes(2048 + 1024 * (number % 16))


def image(chance: random.Random, name: str) -> Pushed:
    """An image of its own, of shared layers."""
    layers = [layer(chance.randrange(POOL)) for _ in range(chance.randint(1, 3))]
    config = json.dumps({"of": name, "at": time.time_ns(), "by": chance.random()}).encode()
    named = {
        "config": descriptor(OCI_CONFIG, config),
        "layers": [descriptor(LAYER, each) for each in layers],
    }
    content = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, **named}).encode()
    return Pushed(content, OCI_MANIFEST, (config, *layers))


def index(images: list[Pushed]) -> Pushed:
    """An index of *images*."""
    named = [descriptor(OCI_MANIFEST, each.content) for each in images]
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": named}
    return Pushed(json.dumps(body).encode(), OCI_INDEX, (), tuple(images))


class Client:
    """One client with tags of its own; what it holds true nobody else changes."""

    def __init__(
        self, http: httpx.AsyncClient, tally: Tally, number: int, repositories: list[str]
    ) -> None:
        self._http = http
        self._tally = tally
        self._name = f"client-{number}"
        self._chance = random.Random(number)  # noqa: S311 - no secret
        self._repositories = repositories
        self.held: dict[tuple[str, str], Pushed] = {}

    async def live(self, until: float) -> None:
        """Go on until that moment (monotonic)."""
        while time.monotonic() < until:
            repository = self._chance.choice(self._repositories)
            tag = f"{self._name}-{self._chance.randrange(TAGS)}"
            await self.verify(repository, tag)
            what = self._chance.random()
            if what < 0.6:
                await self.push(repository, tag, image(self._chance, self._name))
            elif what < 0.75:
                images = [image(self._chance, self._name) for _ in range(2)]
                await self.push(repository, tag, index(images))
            else:
                await self.delete(repository, tag, whole=what > 0.9)

    async def push(self, repository: str, tag: str, pushed: Pushed) -> None:
        """Until it is acknowledged; whoever is told that something was collected begins anew."""
        for _ in range(ATTEMPTS):
            if await self._attempt(repository, tag, pushed):
                self.held[repository, tag] = pushed
                return
            self._tally.retried += 1
        raise Unexpected(f"{repository}:{tag} cannot be pushed in {ATTEMPTS} attempts")

    async def _attempt(self, repository: str, tag: str, pushed: Pushed) -> bool:
        for child in pushed.children:
            if not await self._attempt(repository, child.digest, child):
                return False
        for blob in pushed.blobs:
            digest = Digest.of(blob)
            answer = await self._http.head(f"/v2/{repository}/blobs/{digest}")
            if answer.status_code == 200:
                continue
            expect(answer, 404)
            if not await self._upload(repository, digest, blob):
                return False
        return await self.put(repository, tag, pushed)

    async def put(self, repository: str, reference: str, pushed: Pushed) -> bool:
        """A manifest PUT alone; False where something that it names was collected."""
        answer = await self._http.put(
            f"/v2/{repository}/manifests/{reference}",
            content=pushed.content,
            headers={"Content-Type": pushed.media_type},
        )
        if answer.status_code == 201:
            self._tally.pushed += 1
            return True
        expect(answer, 400)
        if "MANIFEST_BLOB_UNKNOWN" not in answer.text:
            raise Unexpected(answer.text)
        return False

    async def _upload(self, repository: str, digest: Digest, blob: bytes) -> bool:
        base = f"/v2/{repository}/blobs/uploads/"
        how = self._chance.random()
        if how < 0.5:
            answer = await self._http.post(f"{base}?digest={digest}", content=blob)
            expect(answer, 201)
            return True
        others = [each for each in self._repositories if each != repository]
        mount = f"?mount={digest}&from={others[0]}" if how < 0.7 and others else ""
        answer = await self._http.post(f"{base}{mount}")
        if answer.status_code == 201:
            return True
        expect(answer, 202)
        answer = await self._http.patch(answer.headers["Location"], content=blob)
        if answer.status_code == 404:
            return False  # given up, for this client was slow
        expect(answer, 202)
        place = answer.headers["Location"]
        joint = "&" if "?" in place else "?"
        answer = await self._http.put(f"{place}{joint}digest={digest}")
        if answer.status_code == 404:
            return False
        expect(answer, 201)
        return True

    async def delete(self, repository: str, tag: str, *, whole: bool) -> None:
        """A tag, or its manifest, which no other tag has."""
        held = self.held.pop((repository, tag), None)
        if held is None:
            return
        reference = held.digest if whole else tag
        expect(await self._http.delete(f"/v2/{repository}/manifests/{reference}"), 202)
        self._tally.deleted += 1

    async def verify(self, repository: str, tag: str) -> None:
        """What is held under a tag resolves whole."""
        held = self.held.get((repository, tag))
        if held is not None:
            await self._resolve(repository, tag, held)
            self._tally.verified += 1

    async def verify_all(self) -> None:
        """All that is held."""
        for repository, tag in self.held:
            await self.verify(repository, tag)

    async def _resolve(self, repository: str, reference: str, held: Pushed) -> None:
        answer = await self._http.get(f"/v2/{repository}/manifests/{reference}")
        self._hold(answer, held.content, f"{repository}:{reference}")
        for child in held.children:
            await self._resolve(repository, child.digest, child)
        for blob in held.blobs:
            digest = Digest.of(blob)
            answer = await self._http.get(f"/v2/{repository}/blobs/{digest}")
            self._hold(answer, blob, f"{digest} of {repository}:{reference}")

    def _hold(self, answer: httpx.Response, content: bytes, what: str) -> None:
        if answer.status_code != 200 or answer.content != content:
            self._tally.lost.append(f"{what}: {answer.status_code} {answer.text[:200]}")


async def time_puts(client: Client, tally: Tally, repository: str, until: float) -> None:
    """Put one manifest under ever new tags, and write down how long each takes."""
    chance = random.Random(0)  # noqa: S311 - no secret
    steady = image(chance, "steady")
    await client.push(repository, "steady", steady)
    number = 0
    while time.monotonic() < until:
        number += 1
        mode = tally.collecting
        began = time.monotonic()
        if not await client.put(repository, f"steady-{number % 50}", steady):
            raise Unexpected("a tagged image lost its blobs")
        if mode == tally.collecting:
            tally.seconds[mode].append(time.monotonic() - began)
        await asyncio.sleep(0.02)


def expect(answer: httpx.Response, status: int) -> None:
    """Raise Unexpected for any other status."""
    if answer.status_code != status:
        where = f"{answer.request.method} {answer.request.url.path}"
        raise Unexpected(f"{where}: {answer.status_code} {answer.text[:300]}")
