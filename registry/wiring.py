"""Builds everything from the configuration; the one module that knows the adapters."""

import asyncio
import contextlib
import itertools
import logging
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from registry import agreement, metrics
from registry.auth.htpasswd import HtpasswdIdentity
from registry.auth.open import OpenIdentity
from registry.auth.tokens import Tokens
from registry.catalogue import imageapi
from registry.config import Config
from registry.logs import log_as_json
from registry.oci.errors import RegistryError, StorageUnavailable
from registry.push import PushRules
from registry.storage.filesystem import FilesystemBlobStore
from registry.storage.flusher import Flusher
from registry.storage.journal_file import FilesystemJournal
from registry.storage.ledger import SqlLedger
from registry.storage.storage import Storage
from registry.v2api import health, token
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from registry.v2api.protocol import BoundedHttpProtocol

FOLD_AT = 256 * 1024 * 1024
"""Bytes of the journal that are folded by themselves, hourly."""
CONFIG_VARIABLE = "BERTH_CONFIG"
"""Names the configuration file, for worker processes and for people."""
_log = logging.getLogger("berth")


def load_config() -> Config:
    """The configuration that the environment names; raises ConfigError."""
    environment = dict(os.environ)
    path = environment.pop(CONFIG_VARIABLE, None)
    return Config.load(Path(path) if path else None, environment)


@asynccontextmanager
async def open_storage(config: Config) -> AsyncIterator[Storage]:
    """The stores; they are let go of at the end. Raises StorageUnavailable."""
    directory = config.storage.directory
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageUnavailable(
            f"{error.strerror}: {directory.absolute()}; name another with storage.directory"
        ) from error
    ledger = await SqlLedger.open(config.ledger_url)
    try:
        journal = FilesystemJournal(directory)
        flusher = Flusher(ledger, journal)
        yield Storage(FilesystemBlobStore(directory), journal, ledger, flusher)
        await flusher.close()
    finally:
        await ledger.close()


async def prepare(config: Config) -> None:
    """Make the stores ready before any worker starts; raises StorageUnavailable."""
    if config.auth.htpasswd is not None:
        HtpasswdIdentity(config.auth.htpasswd, config.auth.projects)  # says what is wrong with it
    async with open_storage(config) as storage:
        await agreement.settle(storage)
        if storage.disagreement is not None:
            sys.stderr.write(f"berth: nothing is changed or denied: {storage.disagreement}\n")


async def rebuild(config: Config, progress: Callable[[int, int], None]) -> int:
    """Replay the journal; answer the number of lines. *progress* gets lines done and in all."""
    async with open_storage(config) as storage:
        total = sum((await storage.journal.heads()).values())
        return await agreement.rebuild(
            storage.journal, storage.ledger, lambda done: progress(done, total)
        )


async def compact(config: Config) -> int | None:
    """Fold the journal; answer the lines that are left of what was folded, None if nothing was."""
    async with open_storage(config) as storage:
        return await storage.journal.fold()


def server_config(config: Config) -> uvicorn.Config:
    """How uvicorn runs `application`, in this process or in several."""
    http = config.http
    return uvicorn.Config(
        "registry.wiring:application",
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


def application() -> Application:
    """What every worker process serves."""
    config = load_config()
    log_as_json()
    directory = config.storage.directory
    ledger = SqlLedger(config.ledger_url)
    journal = FilesystemJournal(directory)
    flusher = Flusher(ledger, journal, count=metrics.count_flush)
    storage = Storage(FilesystemBlobStore(directory), journal, ledger, flusher)
    guard = _guard(config, ledger)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await agreement.settle(storage)
        if guard.tokens is not None:
            identity = await journal.identity()
            await guard.tokens.start("" if identity is None else identity.store)
        watching = asyncio.create_task(_watch(storage, guard))
        yield
        await served.ended()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await storage.flusher.close()
        await ledger.close()

    settings = Settings(
        default_project=config.default_project,
        manifest_limit=config.push.manifest_limit,
        body_timeout=config.http.body_timeout,
        metrics_from=health.parse_networks(config.http.metrics_from),
        push=PushRules(require_references=config.push.require_references),
    )
    others = [
        *health.routes,
        *token.routes,
        *imageapi.routes,
    ]
    access_log = sys.stdout.fileno() if config.http.access_log else None
    served = Application(storage, guard, settings, others, lifespan, access_log)
    return served


def _guard(config: Config, ledger: SqlLedger) -> Guard:
    auth = config.auth
    if auth.kind == "none":
        return Guard(OpenIdentity())
    assert auth.htpasswd is not None
    return Guard(
        HtpasswdIdentity(auth.htpasswd, auth.projects),
        Tokens(ledger, service=auth.service, seconds=auth.token_seconds),
        service=auth.service,
        public_projects=auth.public_projects,
        public_url=config.http.public_url,
        default_project=config.default_project,
    )


async def _watch(storage: Storage, guard: Guard) -> None:
    """Every second: do store and ledger fit together again? Every hour: keys, and the journal."""
    for second in itertools.count(1):
        await asyncio.sleep(1)
        try:
            if storage.disagreement is not None:
                await agreement.settle(storage)
            if second % 3600 == 0:
                if guard.tokens is not None:
                    await guard.tokens.rotate()
                await storage.journal.fold(at_least=FOLD_AT)
        except RegistryError as error:
            _log.warning("not now: %s", error)
