"""What the containers of a set share: net, IPC and UTS namespaces, and /dev/shm.

They are pinned as files, with no process in them, so no container's death ends them.
"""

import contextlib
import socket
from pathlib import Path
from typing import Final

from hostagent.errors import StepFailed
from hostbase.namespaces import device, is_pin, mount_tmpfs, pin, pin_again, set_up, unmount
from hostbase.process import Known

KINDS: Final = {"network": "net", "ipc": "ipc", "uts": "uts"}
"""The runtime-spec's names of the kinds, and the kernel's."""
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
        """Whether all that the set's containers share is there, and nothing besides."""
        home = f"{self._root}/{set_id}"
        if host_network and self.has_network(set_id):
            return False
        kinds = [KINDS[kind] for kind in self._kinds(host_network=host_network)]
        shared = all(is_pin(f"{home}/{kind}") for kind in kinds)
        return shared and device(f"{home}/shm") not in {None, device(home)}

    def has_network(self, set_id: str) -> bool:
        """Whether a network of its own was made for the set, be it pinned still or not."""
        return self.path(set_id, "network").exists()

    def pin(
        self, set_id: str, hostname: str, shm_bytes: int, *, host_network: bool,
        running: Known | None = None,
    ) -> None:  # fmt: skip
        """Make what is shared; while a process of the set is *running*, that is what it has."""
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
        files = {KINDS[kind]: path for kind, path in paths.items()}
        try:
            shm.mkdir(mode=0o700)
            if running is not None:
                pin_again(files, running, "/dev/shm", shm)  # noqa: S108 - a container's
            else:
                pin(files, prepare)
                mount_tmpfs(shm, shm_bytes)
        except OSError as error:
            self.drop(set_id)
            raise StepFailed(f"no namespaces or /dev/shm can be made: {error}") from error

    def drop(self, set_id: str) -> None:
        """Leave nothing of what is shared; nothing where nothing is."""
        home = self._root / set_id
        for path in (*(home / name for name in KINDS.values()), self.shm(set_id)):
            unmount(path)
            with contextlib.suppress(FileNotFoundError):
                path.rmdir() if path == self.shm(set_id) else path.unlink()
        with contextlib.suppress(FileNotFoundError):
            home.rmdir()

    def sets(self) -> list[str]:
        """The sets of which something is pinned."""
        return sorted(path.name for path in self._root.iterdir())
