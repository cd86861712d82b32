"""What a host lacks, and what was picked where there is a choice."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostagent.cgroups import Cgroups, program
from hostagent.config import Config
from hostagent.wiring import own_capabilities, runtime_of
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
    yield Finding(config.agent.seccomp.exists(), f"{config.agent.seccomp} is there")
    missing = [each for each in _CAPABILITIES if each not in own_capabilities()]
    yield Finding(not missing, f"no capability is missing: {', '.join(missing) or 'none is'}")
    yield from _kernel(config)
    for path in (config.agent.state, config.agent.run):
        yield _private(path)
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
    boot = config.agent.boot_id
    yield Finding(boot.exists() and bool(boot.read_text().strip()), f"{boot} tells boots apart")


def _private(path: Path) -> Finding:
    if not path.exists():
        return Finding(good=True, what=f"{path} is to be made")
    mode = path.stat().st_mode & 0o777
    return Finding(mode & 0o077 == 0, f"{path} is closed to others (mode {mode:04o})")


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.absolute().parents) if each.exists())
