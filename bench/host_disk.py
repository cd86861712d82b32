#!/usr/bin/env python3
"""Measure what holding the limits of writable layers costs: made, mounted, removed; and in memory.

    .venv/bin/python bench/host_disk.py [--layers N] [--volumes N] [--json F]

Run as root on an idle machine. Each layer is an overlay of its own on one image, with a limit of
10 GiB: in plain directories, which hold none, and in a pool.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "tests")]

from support.environment import temporary_directory  # noqa: E402 - needs the line above
from support.hostroots import make_root  # noqa: E402
from volumes.btrfs import BtrfsQuota  # noqa: E402
from volumes.disks import Disks  # noqa: E402
from volumes.kept import Volumes, Wanted  # noqa: E402
from volumes.loop import LoopDriver  # noqa: E402
from volumes.mounts import unmount  # noqa: E402
from volumes.pool import mount_pool  # noqa: E402
from volumes.quota import PlainQuota  # noqa: E402

T = TypeVar("T")
GIB = 1 << 30
PIECE = bytes(1 << 20)


def layers(disks: Disks, lower: Path, count: int) -> dict[str, float]:
    """Make and mount *count* layers, write a file into each, and remove them."""
    names = [f"disk-{number}" for number in range(count)]
    before = _available()
    made = _timed(lambda name: disks.prepare(name, [lower], 10 * GIB), names)
    used = before - _available()
    root = disks.prepare(names[0], [lower], 10 * GIB)
    written = _timed(lambda size: _write(root / "file", size), [256])
    removed = _timed(disks.remove, names)
    return {
        "layers": count,
        "made_ms": made * 1000 / count,
        "kib_each": used / count,
        "removed_ms": removed * 1000 / count,
        "written_mib_s": 256 / written,
    }


def volumes(root: Path, count: int) -> dict[str, float]:
    """Make and purge *count* volumes of 64 MiB."""
    own = Volumes(root, LoopDriver())
    wanted = [
        Wanted(id=f"v{number}", name="v", quota=64 << 20, set="s", project="p")
        for number in range(count)
    ]
    before = _available()
    made = _timed(own.make, wanted)
    used = before - _available()
    purged = _timed(own.purge, [each.id for each in wanted])
    return {
        "volumes": count,
        "made_ms": made * 1000 / count,
        "kib_each": used / count,
        "purged_ms": purged * 1000 / count,
    }


def _write(path: Path, mebibytes: int) -> None:
    with path.open("wb", buffering=0) as file:
        for _ in range(mebibytes):
            file.write(PIECE)
        os.fsync(file.fileno())


def _timed(work: Callable[[T], object], items: Iterable[T]) -> float:
    began = time.monotonic()
    for each in items:
        work(each)
    return time.monotonic() - began


def _available() -> int:
    """KiB of memory that could be had."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=1000)
    parser.add_argument("--volumes", type=int, default=20)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with temporary_directory("disks") as directory:
        lower = make_root(directory / "image")
        found["directory"] = layers(Disks(directory / "plain", PlainQuota()), lower, asked.layers)
        pool = directory / "pool"
        mount_pool(directory / "pool.img", pool, 2 * GIB)
        try:
            found["pool"] = layers(Disks(pool, BtrfsQuota()), lower, asked.layers)
        finally:
            unmount(pool)
        found["loop"] = volumes(directory / "volumes", asked.volumes)
    for name, figures in found.items():
        words = "  ".join(f"{key} {value:.2f}" for key, value in figures.items())
        print(f"{name}: {words}")  # noqa: T201 - the benchmark's answer
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
