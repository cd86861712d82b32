"""A cold pull of a real image, ours beside podman, docker and containerd; prints ratios of time.

Each on a fresh ext4 of its own on a loop device, with `sync` inside the timed part; daemons run
before the clock does. One registry (ours, on the loopback) serves all of them.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
# Instead of bench/, where registry.py would pass for the package `registry`.
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from bench.disks import fresh_disk  # noqa: E402
from hostimages.images import Images  # noqa: E402
from hostimages.settings import ImageSettings  # noqa: E402
from support.clients import (  # noqa: E402
    CommandLine,
    Podman,
    Skopeo,
    running_containerd,
    running_docker,
)
from support.environment import CACHE, temporary_directory  # noqa: E402
from support.images import Layout, debian_tar  # noqa: E402
from support.server import running_server  # noqa: E402

REPOSITORY = "library/bench"
ACCOUNTS = Path("/sys/fs/cgroup/cpuacct")
STEPS = ("openssh-server iproute2", "python3 nginx-light", "gcc perl vim")
"""What is installed, a layer each, over a minimal Debian."""
INSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends {}"
    " && apt-get clean"
)
Pull = Callable[[str], None]


def image() -> Layout:
    """A Debian with some tools: four layers, made once on this machine."""
    home = CACHE / "bench-image"
    home.mkdir(parents=True, exist_ok=True)
    layout = home / "oci"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (layout / "index.json").exists():
            with temporary_directory("bench") as place:
                build(place, layout)
    return Layout(layout)


def build(place: Path, layout: Path) -> None:
    """Install step by step, and write the layout."""
    buildah = CommandLine("buildah")
    buildah._command += ["--root", str(place / "root"), "--runroot", str(place / "run")]  # noqa: SLF001
    buildah._command += ["--storage-driver", "vfs"]  # noqa: SLF001
    container = buildah.run("from", "scratch").strip()
    buildah.run("add", "--quiet", container, str(debian_tar(place)), "/")
    buildah.run("commit", "--quiet", container, "step")
    for number, step in enumerate(STEPS):
        container = buildah.run("from", "step").strip()
        first = "" if number else "apt-get update -q && "
        words = ["sh", "-c", first + INSTALL.format(step)]
        buildah.run("run", "--isolation", "chroot", "--network", "host", container, *words)
        buildah.run("commit", "--quiet", container, "step")
    buildah.run("push", "--quiet", "step", f"oci:{layout}:1")


@contextlib.contextmanager
def berth(disk: Path) -> Iterator[Pull]:
    """Ours, in this process, as it is in the agent's."""
    loop = asyncio.new_event_loop()
    opened = Images.open(ImageSettings(directory=disk / "cache"))
    images = loop.run_until_complete(opened.__aenter__())

    def pull(reference: str) -> None:
        loop.run_until_complete(images.ensure(reference, set_id="bench", generation=1))

    yield pull
    loop.run_until_complete(opened.__aexit__(None, None, None))
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@contextlib.contextmanager
def podman(disk: Path) -> Iterator[Pull]:
    """That of podman, which has no daemon."""
    client = Podman(disk)
    yield lambda reference: _ran(client.run("pull", "--quiet", "--tls-verify=false", reference))


@contextlib.contextmanager
def docker(disk: Path) -> Iterator[Pull]:
    """A dockerd, on overlay2."""
    with running_docker(disk) as client:
        yield lambda reference: _ran(client.run("pull", "--quiet", reference))


@contextlib.contextmanager
def containerd(disk: Path) -> Iterator[Pull]:
    """A containerd on its overlay snapshotter, asked by ctr."""
    with running_containerd(disk) as client:
        yield lambda reference: _ran(client.run("images", "pull", "--plain-http", reference))


def _ran(_output: str) -> None:
    pass


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


PULLERS = {"berth": berth, "podman": podman, "docker": docker, "containerd": containerd}


@contextlib.contextmanager
def counted() -> Iterator[Callable[[], float]]:
    """While this lasts, this process and those it starts are counted; yields their CPU seconds."""
    group = ACCOUNTS / f"berth-bench-{os.getpid()}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield lambda: int((group / "cpuacct.usage").read_text()) / 1e9
    finally:
        for process in (group / "cgroup.procs").read_text().split():
            (ACCOUNTS / "cgroup.procs").write_text(process)
        group.rmdir()


def measure(name: str, reference: str, place: Path) -> tuple[float, float]:
    """Seconds from the order to pull until all is on the disk: of the clock, of processors."""
    with fresh_disk(place) as disk, counted() as cpu, PULLERS[name](disk) as pull:
        os.sync()
        began, used = time.monotonic(), cpu()
        pull(reference)
        os.sync()
        return time.monotonic() - began, cpu() - used


def main() -> None:
    """Measure in turns, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=sorted(PULLERS))
    given = parser.parse_args()
    names = given.only or list(PULLERS)
    layout = image()
    layers = layout.read(layout.digest)["layers"]
    size = sum(each["size"] for each in layers)
    _say(f"image: {len(layers)} layers, {size / 1e6:.0f} MB compressed")
    clock: dict[str, list[float]] = {each: [] for each in names}
    cpu: dict[str, list[float]] = {each: [] for each in names}
    with running_server() as server, temporary_directory("pull") as place:
        reference = f"{server.address}/{REPOSITORY}:1"
        (place / "skopeo").mkdir()
        Skopeo(place / "skopeo").push(layout, reference)
        for round_ in range(given.rounds):
            for name in names[round_ % len(names) :] + names[: round_ % len(names)]:
                passed, used = measure(name, reference, place)
                clock[name].append(passed)
                cpu[name].append(used)
                _say(f"{name}: {passed:.2f} s, {used:.2f} s of processors")
        shutil.rmtree(place / "m", ignore_errors=True)
    for name in names:
        _say(f"median {name}: {median(clock[name]):.2f} s, {median(cpu[name]):.2f} s of processors")
    for name in names:
        if name != "berth" and "berth" in names:
            _say(f"ratio host-pull-vs-{name} {median(clock[name]) / median(clock['berth']):.2f}")
            _say(f"ratio cpu/host-pull-vs-{name} {median(cpu[name]) / median(cpu['berth']):.2f}")


if __name__ == "__main__":
    main()
