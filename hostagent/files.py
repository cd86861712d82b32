"""What the agent's configuration names and does not make: looked at, or refused by its key."""

import json
import platform
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from hostagent.config import AgentConfig, ImagesConfig
from hostagent.ports import Json
from hostimages.wire import trusting
from runspec.bundle import CAPABILITIES
from runspec.seccomp import profile
from settings.files import read
from settings.reading import ConfigError

_OWN: Final = ("sets", "secrets", "agent.db", "agent.sock")
"""Of which one lies in whatever an agent has made."""
_PROFILE: Final = 1 << 20
_BOOT: Final = 4096
"""Bytes."""


def seccomp_of(path: Path) -> Json:
    """The profile for this machine; raise ConfigError where there is none."""
    try:
        text = json.loads(read(path, _PROFILE))
        return profile(text, platform.machine(), platform.release(), CAPABILITIES)
    except (ValueError, RecursionError) as error:
        why = str(error).removeprefix(f"{path}: ")
        raise ConfigError(
            f"agent.seccomp: {path} cannot be used: {why}; on Debian, the package "
            "golang-github-containers-common has it"
        ) from error


def boot_of(path: Path) -> str:
    """What tells this boot from others; raise ConfigError where nothing does."""
    try:
        text = read(path, _BOOT).decode(errors="replace").strip()
    except ValueError as error:
        raise ConfigError(f"agent.boot_id: {error}; its text must tell boots apart") from error
    if not text:
        raise ConfigError(f"agent.boot_id: {path} is empty; its text must tell boots apart")
    return text


def hold_authorities(config: ImagesConfig) -> None:
    """Raise ConfigError where registries could not be asked."""
    try:
        trusting(config.ca_file)
    except ValueError as error:
        raise ConfigError(
            f"images.ca_file: {error}; give certificates of authorities in PEM, or leave it out"
        ) from error


def hold_places(config: AgentConfig) -> None:
    """Raise ConfigError where an agent's places are another's: they are closed to all but root."""
    for name, path in (("state", config.state), ("run", config.run)):
        _hold_directory(name, path)
        strangers = path.exists() and path.stat().st_mode & 0o077 and any(path.iterdir())
        if strangers and not any((path / each).exists() for each in _OWN):
            raise ConfigError(
                f"agent.{name}: {path} is open to others and has files that are no agent's, and "
                "would be closed: name a directory of the agent's own"
            )
    address = config.address
    if address.exists() and not address.is_socket():
        raise ConfigError(f"agent.socket: {address} is there and is no socket: name another place")
    _hold_directory("socket", address.parent)


def _hold_directory(name: str, path: Path) -> None:
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        raise ConfigError(f"agent.{name}: {there} is no directory: name another place")


def answers(path: Path) -> bool:
    """Whether an agent listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(str(path))
        return True
    return False
