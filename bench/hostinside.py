"""What work inside a container costs: the same work is done there, beside it, and below it.

Beside it is a directory of the pool in which the container's writable layer lies, on the very same
file system. So what is between the two is the container: its overlay, its limits, its groups and
namespaces. Below it is the file system in which the pool is a file; what is between pool and disk
(a loop device, btrfs, its quotas) is told apart.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.hostbed import SLEEPER, Bed, document, wait

WORKS = {
    "cpu": "busybox head -c {cpu}m /dev/zero | busybox sha256sum",
    "memory": "busybox dd if=/dev/zero of=/dev/null bs=64M count={memory}",
    "write": "busybox dd if=/dev/zero of={place}/file bs=1M count={file} conv=fsync",
    "read": "busybox cat {place}/file > /dev/null",
    "reread": "for i in 1 2 3 4 5 6 7 8; do busybox cat {place}/file > /dev/null; done",
    "files": "i=0; while [ $i -lt {files} ]; do : > {place}/$i; i=$((i+1)); done; "
    "busybox rm {place}/[0-9]*",
}
"""What is done, by the same busybox: a processor's work, memory touched, a file written to the
disk, read from there, and from memory, small files made and removed."""
ON_DISK = ("write", "read", "files")
"""What is done on the disk below, too."""
POOL = "writable.img"
"""The pool's file, in the agent's state."""
_AMOUNTS = {"cpu": 1500, "memory": 150, "file": 512, "files": 20000}

Do = Callable[[str], float]
"""Does work as a script says, and answers how many seconds it took."""


def inside(bed: Bed, *, quick: bool) -> dict[str, float]:
    """Ratios: the host's time over the container's, and the disk's over the pool's; medians."""
    share = 4 if quick else 1
    amounts = {name: each // share for name, each in _AMOUNTS.items()}
    set_id = bed.create(document({**SLEEPER, "cpu": "2", "mem": "2Gi"}))
    wait(lambda: bed.count("containers WHERE was_ready") == 1, 0.01)
    pool = bed.place.state / "disks"
    (upper,) = pool.glob("*/upper")
    with _directory(pool / ".bench") as beside, _directory(bed.place.state / ".bench") as below:
        sides: dict[str, tuple[Do, str, Path]] = {
            "container": (lambda script: _seconds(bed.run(set_id, script)), "/var", upper / "var"),
            "host": (_on_host, str(beside), beside),
            "disk": (_on_host, str(below), below),
        }
        rounds = []
        for number in range(3 if quick else 5):
            took: dict[str, dict[str, float]] = {name: {} for name in sides}
            order = sorted(sides, reverse=bool(number % 2))
            for name, work in WORKS.items():
                for side in order:
                    do, place, files = sides[side]
                    if side == "disk" and name not in ON_DISK:
                        continue
                    if name == "read":
                        _forget(files / "file", bed.place.state / POOL)
                    took[side][name] = do(_timed(work.format(place=place, **amounts)))
            rounds.append(took)
            for do, place, _ in sides.values():  # not below an overlay that is mounted
                do(_timed(f"busybox rm {place}/file"))
    bed.delete(set_id)
    wait(lambda: bed.count("sets") == 0, 0.01)
    return {
        **{f"ratio-{name}": _median(rounds, name, "host", "container") for name in WORKS},
        **{f"pool-{name}": _median(rounds, name, "disk", "host") for name in ON_DISK},
    }


def _median(rounds: list[dict[str, dict[str, float]]], work: str, over: str, under: str) -> float:
    return statistics.median(took[over][work] / took[under][work] for took in rounds)


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[Path]:
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _forget(*files: Path) -> None:
    """Have nothing of files be in memory, whoever has read or written them."""
    os.sync()
    for path in files:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def _on_host(script: str) -> float:
    command = ["busybox", "sh", "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")  # noqa: S603 - our own
    return _seconds(done.stdout)


def _timed(work: str) -> str:
    """A script that says how many seconds *work* took, by the machine's own clock."""
    clock = "read now rest < /proc/uptime"
    return (
        f"busybox sync; {clock}; began=$now; {{ {work}; }} > /dev/null 2>&1 || exit 1; {clock}; "
        "echo $began $now"
    )


def _seconds(said: str) -> float:
    began, now = map(float, said.split())
    return now - began
