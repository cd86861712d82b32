"""A place for a host agent on this machine, and a look at what it has left there."""

import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hostagent.cgroups import Cgroups
from hostbase.process import Known
from support.environment import temporary_directory, wait_until

CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class HostPlace:
    """Directories, a cgroup and names of interfaces that nobody else has."""

    directory: Path
    name: str
    """Eight characters."""

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def run(self) -> Path:
        return self.directory / "run"

    @property
    def cgroup(self) -> str:
        return f"/berth-{self.name}"

    @property
    def prefix(self) -> str:
        """Of interfaces."""
        return f"t{self.name[:4]}"

    @property
    def bridge(self) -> str:
        return f"b{self.name}"

    def cgroups(self) -> Cgroups:
        return Cgroups(self.cgroup)

    def processes(self) -> dict[int, str]:
        """Processes in this place's groups, or that speak of its directory."""
        found = {}
        for path in Path("/proc").iterdir():
            if not path.name.isdecimal() or int(path.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                words = (
                    (path / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
                groups = (path / "cgroup").read_text()
                if Known.of(int(path.name)) is None:  # only its remains, which process 1 collects
                    continue
                if f"{self.cgroup}/" in groups or str(self.directory) in words:
                    found[int(path.name)] = words.strip()
        return found

    def groups(self) -> list[str]:
        """Groups of this place, in every hierarchy."""
        return sorted(
            str(path)
            for top in CGROUPS.glob(f"*{self.cgroup}")
            for path in (top, *top.rglob("*/"))
            if path.is_dir()
        )

    def mounts(self) -> list[str]:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [
            line.split()[4] for line in lines if line.split()[4].startswith(f"{self.directory}/")
        ]

    def links(self) -> list[str]:
        """Interfaces of sets on the host."""
        return [
            path.name
            for path in Path("/sys/class/net").iterdir()
            if path.name.startswith(self.prefix)
        ]

    def leftovers(self) -> dict[str, object]:
        """All that is left of sets; empty where they are gone without a trace."""
        files = [
            str(path.relative_to(self.directory))
            for sub in (
                "state/sets", "state/exits", "state/volumes", "run/sets", "run/runtime",
                "run/sockets", "run/secrets", "run/ssh", "disks",
                "state/disks",
            )
            for path in (self.directory / sub).glob("[!.]*")
        ]  # fmt: skip
        groups = [
            each for each in self.groups() if each.count("/sets/") or each.count("/monitors/")
        ]
        found: dict[str, object] = {
            "processes": self.processes(),
            "groups": groups,
            "mounts": [path for path in self.mounts() if not path.endswith("/disks")],
            "links": self.links(),
            "files": files,
        }
        return {name: what for name, what in found.items() if what}

    def clear(self) -> None:
        """End and remove all that there is, whatever state it is in."""
        for group in self.groups():
            with contextlib.suppress(OSError):
                (Path(group) / "freezer.state").write_text("THAWED")
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for mount in sorted(self.mounts(), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        for link in (*self.links(), self.bridge):
            subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
        wait_until(self._without_groups, "the end of the groups")

    def _without_groups(self) -> bool:
        for group in sorted(self.groups(), key=len, reverse=True):
            with contextlib.suppress(OSError):
                Path(group).rmdir()
        return not self.groups()


@contextlib.contextmanager
def host_place(within: Path | None = None) -> Iterator[HostPlace]:
    """Yield a place, *within* a directory if one is named; at the end nothing of it is there."""
    with temporary_directory("host", within) as directory:
        place = HostPlace(directory, uuid.uuid4().hex[:8])
        for path in (place.state, place.run):
            path.mkdir(mode=0o700)
        try:
            yield place
        finally:
            place.clear()
