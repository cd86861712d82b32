"""A registry of two replicas on a real cloud, in this process, with weather before each service."""

import asyncio
import contextlib
import os
import random
import shutil
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from registry import people, receive, stores, wiring
from registry.auth.keystone.client import Keystone
from registry.config import Config
from registry.storage import cloud as cloud_session
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.storage import Storage
from registry.storage.swift import (
    SwiftAccount,
    SwiftJournal,
    account,
    assembly,
    blobs,
    large,
    layouts,
    plan,
    segments,
)
from support.ledgers import Template
from support.openstack import OpenStack
from support.server import Settings, berth_toml, service_variables
from support.weather import GLANCE, KEYSTONE, SWIFT, Weather
from support.weatherproxy import WeatherProxy

KIB = 1024
PATIENCE = 2.5
"""Seconds for which the registry waits for a service that says nothing."""
LEASE = 0.5
"""Seconds until an upload can be taken over."""


@contextlib.contextmanager
def adapted(*, small: bool) -> Iterator[pytest.MonkeyPatch]:
    """The registry waits less; *small*: kilobytes go the ways that megabytes go."""
    with pytest.MonkeyPatch.context() as patch:
        for built, named in (
            (SwiftAccount, {"seconds": PATIENCE}),
            (SwiftJournal, {"founding_pause": 0.05}),
            (Keystone, {"timeout": PATIENCE}),
        ):
            for name, value in named.items():
                defaults: Any = built.__init__.__kwdefaults__
                patch.setitem(defaults, name, value)
        patch.setattr(cloud_session, "TIMEOUT", PATIENCE)
        patch.setattr(account, "PAUSES", (0.0, 0.05, 0.1))
        patch.setattr(account, "EXPECT", 0.5)
        patch.setattr(receive, "LEASE", LEASE)
        patch.setattr(wiring, "log_as_json", lambda: None)
        if small:
            _shrink(patch)
        yield patch


def _shrink(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receive, "PIECE", 2 * KIB)
    patch.setattr(receive, "RECORD_EVERY", 16 * KIB)
    patch.setattr(plan, "PLAIN", 8 * KIB)
    patch.setattr(plan, "SMALL", KIB)
    patch.setattr(plan, "SMALL_ALLOWED", 2)
    patch.setattr(plan, "MERGED", 16 * KIB)
    for module in (segments, blobs, assembly):
        patch.setattr(module, "HELD", 2 * KIB)
    patch.setattr(blobs, "LARGEST", 64 * KIB)
    patch.setattr(blobs, "SEGMENTS", (16 * KIB, 64 * KIB))
    for module in (layouts, blobs):
        patch.setattr(module, "SPLIT", 16 * KIB)
    patch.setattr(layouts, "STEP", KIB)
    patch.setattr(large, "MOST", 3)


class _Server(uvicorn.Server):
    """One among others in a process: signals are not for it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Replica:
    """One registry that serves."""

    url: str
    storage: Storage
    guard: Any
    server: _Server
    serving: asyncio.Task[None]

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.serving


class World:
    """Two replicas over one ledger, a collector's own stores, and the weather."""

    def __init__(self, directory: Path, cloud: OpenStack, weather: Weather, prefix: str) -> None:
        self.directory = directory
        self.cloud = cloud
        self.weather = weather
        self.prefix = prefix
        self.proxies: dict[str, WeatherProxy] = {}
        self.replicas: list[Replica] = []
        self.config: Config = Config()

    async def restart(self, number: int) -> None:
        """Start a replica, or start it again: it remembers nothing."""
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
        self.replicas[number : number + 1] = [replica]

    @contextlib.asynccontextmanager
    async def collector(self) -> AsyncIterator[tuple[Storage, SqlCollection]]:
        """Stores as `berth gc` opens them."""
        opened = stores.Stores(self.config)
        collection = SqlCollection(self.config.ledger_url)
        try:
            yield opened.storage, collection
        finally:
            await collection.close()
            await opened.close()

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
    directory: Path, cloud: OpenStack, template: Template, weather: Weather, prefix: str
) -> AsyncIterator[World]:
    """A registry that was never used, in the containers of *prefix*."""
    made = World(directory, cloud, weather, prefix)
    targets = {
        KEYSTONE: cloud.identity_url,
        SWIFT: cloud.account_url("service"),
        GLANCE: cloud.image_url,
    }
    async with contextlib.AsyncExitStack() as stack:
        for service, target in targets.items():
            proxy = WeatherProxy.before(service, target, weather)
            made.proxies[service] = await stack.enter_async_context(proxy)
        url = await template.copy(directory / "ledger.db")
        told = Settings(cloud=cloud, prefix=made.prefix, ledger=url,
                        http={"access_log": False}, extra="[gc]\nevery_minutes = 0")  # fmt: skip
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
                shutil.rmtree(directory)


def chance_of(*words: object) -> random.Random:
    """Chance that is the same each time for the same words."""
    return random.Random(":".join(map(str, words)))
