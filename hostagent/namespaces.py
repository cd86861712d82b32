"""What the containers of a set share: net, IPC and UTS namespaces, and /dev/shm.

They are pinned as files, with no process in them, so no container's death ends them.
"""

import contextlib
import os
import socket
from functools import cache
from pathlib import Path
from typing import Final

from hostagent.errors import StepFailed
from hostbase.namespaces import checked, pin, set_up
from hostbase.process import libc

KINDS: Final = {"network": "net", "ipc": "ipc", "uts": "uts"}
"""The runtime-spec's names of the kinds, and the kernel's."""
_DETACH: Final = 2
_ANNOUNCED: Final = ("all", "default")
"""A set that starts announces its addresses, so that nobody asks where it was before."""


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
        return {kind: self.path(set_id, kind) for kind in self._kinds(host_network=host_network)}

    @staticmethod
    def _kinds(*, host_network: bool) -> list[str]:
        return [kind for kind in KINDS if kind != "network" or not host_network]

    def is_pinned(self, set_id: str, *, host_network: bool) -> bool:
        """Whether all that the set's containers share is there."""
        home = f"{self._root}/{set_id}"
        kinds = [KINDS[kind] for kind in self._kinds(host_network=host_network)]
        own = _device(home)
        shared = all(_device(f"{home}/{kind}") == _nsfs() for kind in kinds)
        return shared and _device(f"{home}/shm") not in {None, own}

    def pin(self, set_id: str, hostname: str, shm_bytes: int, *, host_network: bool) -> None:
        """Make what is shared. Only while no container of the set is there."""
        self.drop(set_id)
        home = self._root / set_id
        home.mkdir(mode=0o700, parents=True)
        paths = self.all(set_id, host_network=host_network)
        for path in paths.values():
            path.touch(mode=0o600)

        def prepare() -> None:
            socket.sethostname(hostname)
            if not host_network:
                for each in _ANNOUNCED:
                    Path(f"/proc/sys/net/ipv4/conf/{each}/arp_notify").write_text("1")
                set_up("lo")

        shm = self.shm(set_id)
        options = f"size={shm_bytes},mode=1777".encode()
        try:
            pin({KINDS[kind]: path for kind, path in paths.items()}, prepare)
            shm.mkdir(mode=0o700)
            checked(libc().mount(b"shm", os.fsencode(shm), b"tmpfs", 2 | 4 | 8, options))
        except OSError as error:
            raise StepFailed(f"no namespaces or /dev/shm can be made: {error}") from error

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


def _device(path: str) -> int | None:
    """The file system that a file is of; None where there is none."""
    try:
        return os.stat(path).st_dev  # noqa: PTH116 - looked at very often
    except FileNotFoundError:
        return None


@cache
def _nsfs() -> int | None:
    """The file system of all namespaces."""
    return _device("/proc/self/ns/net")
