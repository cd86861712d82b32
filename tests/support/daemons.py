"""`berth agent` as a daemon with real images of busybox, and `climg` to speak to it."""

import contextlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.environment import ROOT, Process, temporary_directory
from support.hostimages import Handmade, member, tar_of
from support.hostplaces import HostPlace
from support.hostroots import make_root
from support.server import Server

BIN = ROOT / ".venv" / "bin"


def busybox_layer() -> bytes:
    """A tar of a small root filesystem."""
    with temporary_directory("layer") as directory:
        root = make_root(directory / "root")
        entries: list[tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]] = []
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_symlink():
                entries.append(member(name, tarfile.SYMTYPE, linkname=str(path.readlink())))
            elif path.is_dir():
                entries.append(member(name, tarfile.DIRTYPE))
            else:
                mode = path.stat().st_mode & 0o777
                entries.append((member(name, mode=mode), path.read_bytes()))
        return tar_of(*entries)


RUN = b"""#!/bin/sh
trap 'echo bye; exit 0' TERM
echo edition $(cat /edition)
while true; do sleep 0.1; done
"""


def shop_image(edition: str, base: bytes, cmd: str = "/bin/run.sh") -> Handmade:
    """An image of two layers and an empty one: a program, and which edition it is."""
    upper = tar_of(
        (member("bin/run.sh", mode=0o755), RUN),
        (member("run.sh", mode=0o755), RUN),
        (member("edition"), f"{edition}\n".encode()),
    )
    return Handmade.of([base, upper, tar_of()], config={"Cmd": [cmd], "WorkingDir": "/"})


@dataclass(frozen=True, slots=True)
class Daemon:
    """An agent that can be killed, and started again over what it left."""

    place: HostPlace
    config: Path
    log: Path

    @property
    def socket(self) -> Path:
        return self.place.run / "agent.sock"

    def begin(self, *before: str) -> Process:
        """Start it, and do not wait; by a program that comes *before*, if one is named."""
        return Process([*before, BIN / "berth", "agent", "--config", self.config], self.log)

    def start(self, *before: str) -> Process:
        process = self.begin(*before)
        process.wait_ready(lambda: self.climg("set-list", check=False).returncode == 0)
        return process

    def climg(self, *words: str, stdin: str = "", check: bool = True) -> Any:
        """Run `climg`; what it printed and how it ended."""
        done = subprocess.run(
            [BIN / "climg", "--agent", f"unix:{self.socket}", *words],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}\n{self.tail()}"
        return done

    def show(self, name: str) -> dict[str, Any]:
        """A set as JSON."""
        found: dict[str, Any] = json.loads(self.climg("set-show", name, "--json").stdout)
        return found

    def tail(self) -> str:
        return self.log.read_text()[-4000:] if self.log.exists() else ""


def daemon_of(place: HostPlace, registry: Server, pool: str = "256Mi", **more: Any) -> Daemon:
    """A daemon's configuration in *place*, with images out of *registry*.

    *pool* is how much there is for writable layers.
    """
    settings = {
        "state": str(place.state), "run": str(place.run), "cgroup": place.cgroup,
        "prefix": place.prefix[:4], "registry": f"{registry.address}/library", **more,
    }  # fmt: skip
    lines = ["[agent]", *(f"{name} = {json.dumps(value)}" for name, value in settings.items())]
    lines += ["[networks.default]", f'bridge = "{place.bridge}"', 'address = "10.212.0.1/24"']
    lines += ["[storage]", f'pool = "{pool}"', "[set.units]", 'quota = "MiB"']
    config = place.directory / "agent.toml"
    config.write_text("\n".join(lines) + "\n")
    return Daemon(place, config, place.directory / "agent.log")


@contextlib.contextmanager
def running_daemon(daemon: Daemon) -> Iterator[Process]:
    """Yield the daemon's process; it ends as an operator would end it."""
    process = daemon.start()
    try:
        yield process
    finally:
        process.stop()
