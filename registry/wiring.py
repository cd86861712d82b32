"""Builds everything from the configuration; the one module that knows the adapters."""

import asyncio
import itertools
import logging
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from registry import agreement, people, stores, workers
from registry.api.quota import QuotaApi
from registry.api.trash import TrashApi
from registry.catalogue import imageapi
from registry.catalogue.reconciler import Report
from registry.config import Config
from registry.gc.policy import DAY, HOUR, Rules
from registry.keeping import Keeper
from registry.logs import log_as_json
from registry.oci.errors import RegistryError
from registry.push import PushRules
from registry.storage.ledger.garbage import SqlCollection
from registry.storage.ports.projection import Lag
from registry.storage.storage import Storage
from registry.tending import Arrival
from registry.v2api import health, token
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from registry.v2api.protocol import BoundedHttpProtocol
from settings.files import read
from settings.reading import ConfigError

FOLD_AT = 256 * 1024 * 1024
"""Bytes of the journal that are folded by themselves, hourly."""
PATIENCE = 30.0
"""Seconds for which a starting worker waits for stores that do not answer."""
CONFIG_VARIABLE = "BERTH_CONFIG"
"""Names the configuration file, for worker processes and for people."""
_log = logging.getLogger("berth")


def load_config() -> Config:
    """The configuration that the environment names; raises ConfigError."""
    environment = dict(os.environ)
    path = environment.pop(CONFIG_VARIABLE, None)
    return Config.load(Path(path) if path else None, environment)


def loaded(path: Path | None) -> Config:
    """The configuration for a command; what is wrong with it is told, and ends the command."""
    if path is not None:
        os.environ[CONFIG_VARIABLE] = str(path)
    try:
        return load_config()
    except ConfigError as error:
        sys.stderr.write(f"berth: {error}\n")
        raise SystemExit(2) from error


def rules(config: Config) -> Rules:
    """What counts as garbage."""
    gc = config.gc
    return Rules(
        grace=gc.grace_hours * HOUR,
        uploads=gc.upload_hours * HOUR,
        trash=gc.trash_days * DAY,
        untagged=None if gc.untagged_days is None else gc.untagged_days * DAY,
    )


def hold_certificate(config: Config) -> None:
    """Read the certificate and its key as the workers will; raises ConfigError."""
    chain, key = config.http.tls_certificate, config.http.tls_key
    if chain is None or key is None:
        return
    for path in (chain, key):
        try:
            read(path)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    try:  # a passphrase would be asked for in each worker
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"{chain} and {key} cannot be used: give a chain of certificates and its own key, "
            "in PEM and without a passphrase"
        ) from error


async def prepare(config: Config) -> None:
    """Make the stores ready before any worker starts; raises StorageUnavailable, ConfigError."""
    hold_certificate(config)
    people.hold_people(config)
    async with stores.opened(config) as storage:
        if storage.redirects is not None:
            await storage.redirects.check()
        await people.make_allowances(config).close()
        await agreement.settle(storage)
        if storage.disagreement is not None:
            sys.stderr.write(f"berth: nothing is changed or denied: {storage.disagreement}\n")


async def rebuild(config: Config, progress: Callable[[int, int], None]) -> int:
    """Replay the journal; answer the number of lines. *progress* gets lines done and in all."""
    async with stores.opened_used(config, anew=True) as storage:
        total = sum((await storage.journal.heads()).values())
        return await agreement.rebuild(
            storage.journal, storage.ledger, lambda done: progress(done, total)
        )


async def compact(config: Config) -> int | None:
    """Fold the journal; answer the lines that are left of what was folded, None if nothing was."""
    async with stores.opened_used(config) as storage:
        return await storage.journal.fold(since=time.time() - rules(config).trash)


async def sync_images(
    config: Config, *, everything: bool, progress: Callable[[Lag], None]
) -> tuple[Lag, Report]:
    """Send what waits, refused records too, or all; then look once at what people did there.

    Raises StorageUnavailable.
    """
    async with stores.opened_used_whole(config) as opened:
        await agreement.require(opened.storage)
        async with stores.opened_tender(config, opened) as tender:
            await tender.outbox.unpark()
            if everything:
                await tender.outbox.mark_all()
            lag = await tender.projector.drain(progress)
            return lag, await tender.reconciler.sweep()


def server_config(config: Config) -> uvicorn.Config:
    """How uvicorn runs `application`, in this process or in several."""
    http = config.http
    return uvicorn.Config(
        f"{__name__}:{'application' if http.workers == 1 else 'worker'}",
        factory=True,
        workers=http.workers,
        loop="uvloop",
        http=BoundedHttpProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(http.trusted_proxies),
        forwarded_allow_ips=list(http.trusted_proxies),
        ssl_certfile=http.tls_certificate,
        ssl_keyfile=http.tls_key,
        ssl_version=ssl.PROTOCOL_TLS_SERVER,
        timeout_graceful_shutdown=http.shutdown_grace,
        timeout_keep_alive=75,
    )


def worker() -> Application:
    """What one of several processes serves."""
    workers.end_with_parent()
    return application()


def application() -> Application:
    """What every process serves."""
    config = load_config()
    log_as_json()
    opened = stores.Stores(config)
    storage = opened.storage
    guard = people.make_guard(config, storage)
    storage.allowances = people.make_allowances(config)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watch = agreement.Watch(storage)
        await _begin(watch, storage, guard)
        works = [
            asyncio.create_task(_watch(config, watch, storage, guard)),
            asyncio.create_task(_keep(config, storage)),
        ]
        if config.glance.enabled:
            works.append(asyncio.create_task(_tend(config, opened)))
        yield
        await served.ended()
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await guard.close()
        await storage.allowances.close()
        await opened.close()

    settings = Settings(
        manifest_limit=config.push.manifest_limit,
        body_timeout=config.http.body_timeout,
        metrics_from=health.parse_networks(config.http.metrics_from),
        push=PushRules(require_references=config.push.require_references),
        arrived=Arrival(opened.ledger.outbox, config.glance.wait) if config.glance.wait else None,
    )
    others = [
        *health.routes,
        *token.routes,
        *imageapi.routes,
        *QuotaApi(opened.ledger.quotas).routes,
        *TrashApi(opened.ledger.trash, rules(config).trash).routes,
    ]
    access_log = sys.stdout.fileno() if config.http.access_log else None
    served = Application(storage, guard, settings, others, lifespan, access_log)
    return served


async def _begin(watch: agreement.Watch, storage: Storage, guard: Guard) -> None:
    """Compare store and ledger, and take up the keys; services that are away have PATIENCE."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            await watch.look()
            if guard.tokens is not None:
                identity = await storage.journal.identity()
                await guard.tokens.start("" if identity is None else identity.store)
        except RegistryError as error:
            if time.monotonic() > until:
                raise
            _log.warning("not yet: %s", error)
            await asyncio.sleep(1)
        else:
            return


async def _keep(config: Config, storage: Storage) -> None:
    """Look after the stores, with connections of its own."""
    collection = SqlCollection(config.ledger_url, projecting=config.glance.enabled)
    gc = config.gc
    keeper = Keeper(
        storage=storage,
        collection=collection,
        rules=rules(config),
        every=gc.every_minutes * 60,
        verify=gc.verify_days * DAY,
        rate=gc.verify_rate * 1024 * 1024,
    )
    try:
        await keeper.run()
    finally:
        await collection.close()


async def _tend(config: Config, opened: stores.Stores) -> None:
    async with stores.opened_tender(config, opened) as tender:
        await tender.run()


async def _watch(config: Config, watch: agreement.Watch, storage: Storage, guard: Guard) -> None:
    """Every second: do store and ledger still, or again, fit together? Every hour: keys, journal.

    After an interruption at once, since nothing is changed until it is known.
    """
    for second in itertools.count(1):
        for _ in range(10):
            await asyncio.sleep(0.1)
            if watch.is_in_doubt:
                break
        try:
            if await watch.look():
                _log.info("store and ledger fit together")
                if guard.tokens is not None:
                    await guard.tokens.rotate()  # another ledger may have had other keys
            if second % 3600 == 0:
                if guard.tokens is not None:
                    await guard.tokens.rotate()
                since = time.time() - rules(config).trash
                await storage.journal.fold(at_least=FOLD_AT, since=since)
        except RegistryError as error:
            _log.warning("not now: %s", error)
