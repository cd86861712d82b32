"""A registry of two replicas on a real cloud, in this process, with weather before each service."""

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn

from registry import people, stores, wiring
from registry.config import Config
from registry.oci.errors import RegistryError
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.storage import Storage
from support.faultledgers import FileLedger, ServerLedger
from support.faultmodel import Repository, Wrong
from support.faultsaid import PRIVATE, Seers, Spoken
from support.faultstage import Scene
from support.server import Settings, berth_toml, service_variables
from support.weather import GLANCE, KEYSTONE, SWIFT, Weather
from support.weatherproxy import WeatherProxy

REBUILDS = 60
"""Attempts at most; the last half of them in fair weather."""
SETTLED = 5.0
"""Seconds after which both replicas believe a ledger that was mended, and its keys."""
TURNS = 5
"""Of the loop, in which whoever was accepted is known to the server."""
EXTRA = """\
[gc]
every_minutes = 0
[glance]
enabled = true
every_minutes = 0.05
remember = 1
"""


class _Server(uvicorn.Server):
    """One among others in a process: signals are not for it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go whoever is being accepted too, of whom asyncio would leave a socket open."""
        for listener in sockets or ():
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        await super().shutdown(sockets)


@dataclass
class Replica:
    """One registry that serves."""

    url: str
    storage: Storage
    guard: Any
    server: _Server
    serving: asyncio.Task[None]

    async def stop(self) -> None:
        """End it; idempotent."""
        self.server.should_exit = True
        await self.serving


class World:
    """Two replicas over one ledger, a collector's own stores, and the weather."""

    def __init__(self, scene: Scene, weather: Weather, repositories: list[Repository]) -> None:
        self.scene = scene
        self.weather = weather
        self.repositories = repositories
        self.proxies: dict[str, WeatherProxy] = {}
        self.replicas: list[Replica] = []
        self.config: Config = Config()
        self.promise: float | None = None
        """What each replica's ``Storage.promise`` is, if not as usual."""
        self.losses = 0
        """Raised when the ledger begins to be an earlier one, and when it is mended."""
        self.mended_at = float("-inf")
        """When the ledger was mended last, by the clock that does not jump."""
        self.starting = asyncio.Lock()
        """Held by whoever starts replicas."""
        self.collecting = asyncio.Lock()
        """Held by whoever collects, and by whoever takes the ledger's file away."""
        self.said: dict[str, Spoken] = {}
        """Who sees an image, as its people said it at Berth and in Glance."""
        self.thrown: dict[str, Spoken] = {}
        """By name: what was said of an image that people deleted in Glance."""
        self.opened: set[str] = set()
        """Names of images that bob ever may have seen."""
        self.binned = 0
        """Images that people deleted."""

    @property
    def is_lost(self) -> bool:
        """Whether the ledger is an earlier one at this moment."""
        return self.losses % 2 == 1

    @property
    def is_settled(self) -> bool:
        """Whether the ledger was mended long enough ago for all replicas to know it."""
        return not self.is_lost and time.monotonic() > self.mended_at + SETTLED

    def spoken(self, image: str, name: str) -> Spoken:
        """What people said of the image of that name; of one that is new: nothing.

        It is private then. But what was said at Berth of one that was deleted in Glance, and had
        not arrived there, may hold for the next of its name.
        """
        if image not in self.said:
            thrown = self.thrown.get(name)
            self.said[image] = Spoken(PRIVATE | thrown.now if thrown else PRIVATE)
        return self.said[image]

    def attempt(self, name: str, image: str, after: Seers, *, here: bool) -> None:
        """Somebody is about to have *after* see the image of that name; *here*: at Berth."""
        self.spoken(image, name).attempt(after, here=here)
        if after.may_be_open_to(self.scene.far.place.id):
            self.opened.add(name)

    async def restart(self, number: int) -> None:
        """Start a replica, or start it again: it remembers nothing."""
        async with self.starting:
            await self._restart(number)

    async def _restart(self, number: int) -> None:
        if number < len(self.replicas):
            await self.replicas[number].stop()
        opened: list[Any] = []
        with pytest.MonkeyPatch.context() as patch:
            for module, name in ((stores, "Stores"), (people, "make_guard")):
                patch.setattr(module, name, _noted(getattr(module, name), opened))
            listener = socket.socket(proto=socket.IPPROTO_TCP)  # so that it is not waited for more
            listener.bind(("127.0.0.1", 0))
            server = _Server(wiring.server_config(self.config))
            serving = asyncio.create_task(server.serve([listener]))
            while not server.started:
                assert not serving.done(), "a replica did not start"
                await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        replica = Replica(url, opened[0].storage, opened[1], server, serving)
        if self.promise is not None:
            replica.storage.promise = self.promise
        self.replicas[number : number + 1] = [replica]

    @contextlib.asynccontextmanager
    async def collector(self) -> AsyncIterator[tuple[Storage, SqlCollection]]:
        """Stores as `berth gc` opens them."""
        opened = stores.Stores(self.config)
        collection = SqlCollection(self.config.ledger_url, projecting=True)
        try:
            yield opened.storage, collection
        finally:
            await collection.close()
            await opened.close()

    async def rebuild(self) -> None:
        """As `berth rebuild` does, again and again until it succeeds."""
        why = ""
        for attempt in range(REBUILDS):
            with self.fair() if attempt > REBUILDS // 2 else contextlib.nullcontext():
                try:
                    await wiring.rebuild(self.config, lambda *_: None)
                except RegistryError as error:
                    why = str(error)
                else:
                    return
            await asyncio.sleep(0.2)
        raise Wrong(f"the ledger cannot be rebuilt: {why}")

    async def lose(self) -> None:
        """The ledger is an empty one now, and made anew out of the journal."""
        ledger = self.scene.ledger
        with self._losing():
            if isinstance(ledger, ServerLedger):
                await ledger.empty()
            else:
                await self._lose_file(ledger)
            await self.rebuild()

    async def put_back(self) -> None:
        """The ledger is an earlier one now, and mended by the journal."""
        ledger = self.scene.ledger
        assert isinstance(ledger, ServerLedger)
        with self._losing():
            await ledger.put_back()
            await self.rebuild()

    async def _lose_file(self, ledger: FileLedger) -> None:
        async with self.starting, self.collecting:
            for replica in self.replicas:
                await replica.stop()
            await ledger.empty()
            with self.fair():
                for number in range(len(self.replicas)):
                    await self._restart(number)

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        """What was not in the journal may not be so any more."""
        self.losses += 1
        try:
            yield
        finally:
            self.losses += 1
            self.mended_at = time.monotonic()
            for each in self.repositories:
                each.forget()

    @contextlib.contextmanager
    def fair(self) -> Iterator[None]:
        """No faults meanwhile."""
        rained, self.weather.rains = self.weather.rains, False
        try:
            yield
        finally:
            self.weather.rains = rained

    async def calm(self) -> None:
        """Let the weather end, and whatever it put off happen."""
        self.weather.rains = False
        for proxy in self.proxies.values():
            await proxy.clear_up()


def _noted(make: Any, opened: list[Any]) -> Any:
    def noting(*given: Any) -> Any:
        opened.append(make(*given))
        return opened[-1]

    return noting


@contextlib.asynccontextmanager
async def world(
    scene: Scene, weather: Weather, repositories: list[Repository]
) -> AsyncIterator[World]:
    """A registry that was never used; alice alone changes her *repositories* there."""
    cloud, directory = scene.cloud, scene.directory
    made = World(scene, weather, repositories)
    targets = {
        KEYSTONE: cloud.identity_url,
        SWIFT: cloud.account_url("service"),
        GLANCE: cloud.image_url,
    }
    async with contextlib.AsyncExitStack() as stack:
        for service, target in targets.items():
            proxy = WeatherProxy.before(service, target, weather)
            made.proxies[service] = await stack.enter_async_context(proxy)
        told = Settings(cloud=cloud, prefix=scene.prefix, ledger=scene.ledger.url,
                        http={"access_log": False}, extra=EXTRA)  # fmt: skip
        path = directory / "berth.toml"
        path.write_text(berth_toml(directory, "127.0.0.1:0", told), "utf-8")
        variables = {
            **service_variables(cloud),
            "OS_AUTH_URL": made.proxies[KEYSTONE].url,
            "OS_OBJECT_STORE_ENDPOINT_OVERRIDE": made.proxies[SWIFT].url,
            "OS_IMAGE_ENDPOINT_OVERRIDE": made.proxies[GLANCE].url,
            wiring.CONFIG_VARIABLE: str(path),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setitem(os.environ, name, value)
            made.config = wiring.load_config()
            try:
                for number in range(2):
                    await made.restart(number)
                yield made
            finally:
                await made.calm()
                for replica in made.replicas:
                    await replica.stop()


def chance_of(*words: object) -> random.Random:
    """Chance that is the same each time for the same words."""
    return random.Random(":".join(map(str, words)))
