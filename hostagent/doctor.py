"""What a host lacks, and what was picked where there is a choice."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hostagent.cgroups import Cgroups, program
from hostagent.config import Config
from hostagent.files import answers, boot_of, hold_authorities, hold_places, seccomp_of
from hostagent.wiring import own_capabilities, runtime_of
from hosthealth.port import PortTaken, bound
from settings.reading import ConfigError
from sshd import kit
from volumes.opening import explain, explain_volumes

_LEAST = 10 << 30
"""Bytes of room for images and sets."""
_NEEDED = (
    ("conmon", "conmon"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
)
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_MKNOD", "CAP_SETFCAP")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    good: bool
    what: str


def examine(config: Config) -> Iterator[Finding]:
    """Look at everything that an agent needs; changes nothing."""
    yield Finding(os.geteuid() == 0, f"the agent runs as root (it is uid {os.geteuid()})")
    runtime = runtime_of(config)
    yield Finding(program(runtime) is not None, f"the OCI runtime is {runtime}")
    for name, package in _NEEDED:
        yield Finding(program(name) is not None, f"{name} is there (Debian: {package})")
    missing = [each for each in _CAPABILITIES if each not in own_capabilities()]
    yield Finding(not missing, f"no capability is missing: {', '.join(missing) or 'none is'}")
    yield from _kernel(config)
    yield from _named(config)
    if config.agent.state.exists() and not config.agent.state.is_dir():
        return
    yield Finding(*explain(config.agent.state, config.storage))
    yield Finding(good=True, what=explain_volumes(config.agent.state, config.storage))
    yield Finding(good=True, what=_ssh())
    room = shutil.disk_usage(_existing(config.agent.state)).free
    yield Finding(room >= _LEAST, f"{room >> 30} GiB are free at {config.agent.state}")


def _ssh() -> str:
    try:
        return f"ssh into images without an sshd is {kit.program()}'s"
    except kit.KitMissing as missing:
        return str(missing)


def _kernel(config: Config) -> Iterator[Finding]:
    cgroups = Cgroups(config.agent.cgroup)
    yield Finding(good=True, what=f"control groups are v{cgroups.version}")
    for name in ("overlay", "tmpfs"):
        known = Path("/proc/filesystems").read_text().split()
        yield Finding(name in known, f"the kernel has {name}")
    for kind in ("net", "ipc", "uts", "pid", "cgroup"):
        yield Finding(Path(f"/proc/self/ns/{kind}").exists(), f"the kernel has {kind} namespaces")
    most = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    yield Finding(most >= 1, f"inotify instances: {most}, of which an agent needs one")


def _named(config: Config) -> Iterator[Finding]:
    """What the configuration names beside the agent itself."""
    agent = config.agent
    yield _held(lambda: seccomp_of(agent.seccomp), f"{agent.seccomp} is a seccomp profile")
    yield _held(lambda: boot_of(agent.boot_id), f"{agent.boot_id} tells boots apart")
    if config.images.ca_file is not None:
        what = f"{config.images.ca_file} has certificates of authorities"
        yield _held(lambda: hold_authorities(config.images), what)
    places = _held(lambda: hold_places(agent), f"{agent.address} is where the API is")
    yield places
    if places.good:
        for path in (agent.state, agent.run):
            yield _private(path)
    if agent.health is not None:
        yield _health(agent.health, is_own=answers(agent.address))


def _held(look: Callable[[], object], what: str) -> Finding:
    try:
        look()
    except ConfigError as error:
        return Finding(good=False, what=str(error))
    return Finding(good=True, what=what)


def _health(address: str, *, is_own: bool) -> Finding:
    try:
        bound(address).close()
    except PortTaken as error:
        if error.is_taken and is_own:
            return Finding(good=True, what=f"{address} is answered: an agent runs")
        return Finding(good=False, what=f"agent.health: {error}")
    return Finding(good=True, what=f"{address} is free for /healthz and /metrics")


def _private(path: Path) -> Finding:
    if not path.exists():
        return Finding(good=True, what=f"{path} is to be made")
    mode = path.stat().st_mode & 0o777
    return Finding(mode & 0o077 == 0, f"{path} is closed to others (mode {mode:04o})")


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.absolute().parents) if each.exists())
