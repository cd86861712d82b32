"""The agent as a daemon: its socket, open to root alone, until it is told to end."""

import gc
import os
import socket
import struct
from asyncio import Transport
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvicorn

from hostagent.api import create_app
from hostagent.config import Config
from hostagent.files import answers, hold_places
from hostagent.local import Local
from hostagent.measures import complaint, count
from hostagent.wiring import Agent, running
from hosthealth.agent import figures
from hosthealth.port import PortTaken, answering
from hosthealth.port import create_app as health_app
from lingering.bounded import BoundedHttpProtocol
from settings.reading import ConfigError

_AT_ONCE: Final = 512
"""Connections, of which many may follow output; further ones are told to come later."""


class _RootsOnly(BoundedHttpProtocol):
    """HTTP with whoever is root, or who the agent is (unix(7), SO_PEERCRED); nobody else."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        link = transport.get_extra_info("socket")
        peer = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", peer)[1] not in {0, os.geteuid()}:
            transport.close()


def serve(config: Config) -> None:
    """Run an agent until SIGTERM or Ctrl-C; containers run on. Raises ConfigError."""
    hold_places(config.agent)
    with (
        _listening(config.agent.address) as listener,
        running(config) as agent,
        _told(config, agent),
    ):
        local = Local(agent.host, agent.keeper, config)
        options: dict[str, Any] = {
            "http": _RootsOnly, "log_level": "warning", "access_log": False,
            "limit_concurrency": _AT_ONCE,
        }  # fmt: skip
        app = create_app(local, agent.images)
        gc.collect()
        gc.freeze()  # what is here by now stays, and need not be looked through again and again
        server = uvicorn.Config(app, timeout_graceful_shutdown=5, **options)
        uvicorn.Server(server).run(sockets=[listener])


@contextmanager
def _told(config: Config, agent: Agent) -> Iterator[None]:
    """Health and figures on a TCP port, where the configuration has one."""
    if config.agent.health is None:
        yield
        return
    host, images = agent.host, agent.images
    app = health_app(partial(complaint, host), lambda: figures(count(host, images)))
    try:
        with answering(config.agent.health, app):
            yield
    except PortTaken as error:
        raise ConfigError(f"agent.health: {error}") from None


def _listening(path: Path) -> socket.socket:
    if answers(path):
        raise ConfigError(f"another agent listens on {path}: set agent.socket and agent.state")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        _bind(listener, path)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}") from None
    return listener


def _bind(listener: socket.socket, path: Path) -> None:
    """Open to root alone from its first moment."""
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
