"""What the containers of a set share: net, IPC and UTS namespaces, and /dev/shm.

They are pinned as files, with no process in them, so no container's death ends them.
"""

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path
from typing import Final

from hostagent.errors import StepFailed
from hostagent.process import libc

KINDS: Final = {"network": "net", "ipc": "ipc", "uts": "uts"}
"""The runtime-spec's names of the kinds, and unshare's."""
_MAGIC: Final = 0x6E736673
"""statfs(2): NSFS_MAGIC."""
_DETACH: Final = 2
_PREPARE: Final = (
    'printf %s "$1" > /proc/sys/kernel/hostname; '
    # A set that starts announces its addresses, so that nobody asks where it was before.
    "echo 1 > /proc/sys/net/ipv4/conf/all/arp_notify; "
    "echo 1 > /proc/sys/net/ipv4/conf/default/arp_notify; "
    "ip link set lo up"
)
_PREPARE_HOST: Final = 'printf %s "$1" > /proc/sys/kernel/hostname'


class Namespaces:
    """One directory for each set below *run*."""

    def __init__(self, run: Path) -> None:
        self._root = run / "sets"
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, set_id: str, kind: str) -> Path:
        """The file that pins a namespace, by the runtime-spec's name of its kind."""
        return self._root / set_id / KINDS[kind]

    def shm(self, set_id: str) -> Path:
        """What /dev/shm is in the set's containers."""
        return self._root / set_id / "shm"

    def all(self, set_id: str, *, host_network: bool) -> dict[str, Path]:
        """What a container of the set joins, by the runtime-spec's names."""
        kinds = [kind for kind in KINDS if kind != "network" or not host_network]
        return {kind: self.path(set_id, kind) for kind in kinds}

    def is_pinned(self, set_id: str, *, host_network: bool) -> bool:
        """Whether all that the set's containers share is there."""
        shared = self.all(set_id, host_network=host_network).values()
        return all(map(_is_namespace, shared)) and self.shm(set_id).is_mount()

    def pin(self, set_id: str, hostname: str, shm_bytes: int, *, host_network: bool) -> None:
        """Make what is shared. Only while no container of the set is there."""
        self.drop(set_id)
        home = self._root / set_id
        home.mkdir(mode=0o700, parents=True)
        paths = self.all(set_id, host_network=host_network)
        for path in paths.values():
            path.touch(mode=0o600)
        flags = [f"--{KINDS[kind]}={path}" for kind, path in paths.items()]
        script = _PREPARE_HOST if host_network else _PREPARE
        done = subprocess.run(
            ["unshare", *flags, "/bin/sh", "-ec", script, "sh", hostname],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            raise StepFailed(f"no namespaces can be made: {done.stderr.strip()[-500:]}")
        shm = self.shm(set_id)
        shm.mkdir(mode=0o700)
        options = f"size={shm_bytes},mode=1777".encode()
        _checked(
            libc().mount(b"shm", os.fsencode(shm), b"tmpfs", 2 | 4 | 8, options),
            "/dev/shm cannot be made",  # noqa: S108 - the containers' own
        )

    def drop(self, set_id: str) -> None:
        """Leave nothing of what is shared; nothing where nothing is."""
        home = self._root / set_id
        for path in (*(home / name for name in KINDS.values()), self.shm(set_id)):
            while libc().umount2(os.fsencode(path), _DETACH) == 0:
                continue
            with contextlib.suppress(FileNotFoundError):
                path.rmdir() if path == self.shm(set_id) else path.unlink()
        with contextlib.suppress(FileNotFoundError):
            home.rmdir()

    def sets(self) -> list[str]:
        """The sets of which something is pinned."""
        return sorted(path.name for path in self._root.iterdir())


def _is_namespace(path: Path) -> bool:
    """Whether a namespace is pinned here (a file's filesystem is nsfs)."""
    buffer = ctypes.create_string_buffer(256)
    if libc().statfs(os.fsencode(path), buffer) != 0:
        return False
    return ctypes.c_long.from_buffer(buffer).value == _MAGIC


def _checked(status: int, what: str) -> None:
    if status:
        raise StepFailed(f"{what}: {os.strerror(ctypes.get_errno())}")
