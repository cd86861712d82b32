"""A host agent to be measured: the daemon itself, with a real registry and real images.

It is told what to do through its socket, as anybody would; what it has done is looked up from
outside, in its rows and in the kernel.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from bench.disks import fresh_disk
from support.daemons import Daemon, busybox_layer, daemon_of
from support.environment import Process, temporary_directory
from support.hostimages import Handmade, member, tar_of
from support.hostplaces import HostPlace, host_place
from support.server import running_server

SERVE = b"""#!/bin/sh
trap 'kill $!; exit 0' TERM
httpd -f -p 8080 -h / &
wait
"""
SLEEPER = {"command": {"cmd": "/bin/sleep", "args": ["100000"]}, "stop": {"grace_s": 0}}
_PATIENCE = 3600.0


def document(*containers: dict[str, Any], network: bool = False) -> str:
    """A set of containers that are ready as soon as they run, and end as soon as they are told."""
    return json.dumps(
        {
            "version": "v3",
            "appkey": "bench",
            "networks": [{"name": "default"}] if network else [],
            "containers": [
                {
                    "name": f"c{place}",
                    "index": place,
                    "image": "busybox:1",
                    "cpu": "0.5",
                    "mem": "32Mi",
                    "readiness": {"min_ready_s": 0},
                    **(each or SLEEPER),
                }
                for place, each in enumerate(containers)
            ],
        }
    )


class Bed:
    """One daemon that can be killed, and started again over what it left."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.place = daemon.place
        self._process: Process | None = None
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(daemon.socket)), base_url="http://agent",
            timeout=120,
        )  # fmt: skip
        self._rows: sqlite3.Connection | None = None

    def start(self) -> None:
        """Start the daemon; return when its socket answers."""
        self._process = process = self._daemon.begin()

        def ready() -> bool:
            assert process.status is None, self._daemon.tail()
            return self._answers()

        wait(ready, 0.005)

    def kill(self) -> None:
        """Kill the daemon as it stands."""
        assert self._process is not None
        self._process.kill()

    def close(self) -> None:
        """End the daemon as an operator would."""
        if self._process is not None:
            self._process.stop()
        if self._rows is not None:
            self._rows.close()
        self._client.close()

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self._client.get("/healthz").status_code == 200
        return False

    def create(self, text: str) -> str:
        """Have a set made; answer its uuid."""
        return str(self._json("POST", "/sets", content=text)["set"])

    def delete(self, set_id: str) -> None:
        """Have a set be gone."""
        self._json("DELETE", f"/sets/{set_id}")

    def change_image(self, set_id: str, container: str, image: str) -> None:
        """Begin a gray update."""
        self._json("POST", f"/sets/{set_id}/image", json={"container": container, "image": image})

    def sets(self) -> list[dict[str, Any]]:
        """All sets as the agent tells them."""
        found: list[dict[str, Any]] = self._json("GET", "/sets")
        return found

    def run(self, set_id: str, script: str) -> str:
        """What a script says inside of a set's only container."""
        body = {"cmd": "/bin/sh", "args": ["-c", script]}
        answer = self._client.post(f"/sets/{set_id}/exec", json=body, timeout=_PATIENCE)
        assert answer.headers["exit-code"] == "0", answer.text
        return answer.text

    def count(self, question: str, *values: object) -> int:
        """A number out of the agent's rows; nobody is asked for it."""
        if self._rows is None:
            path = self.place.state / "agent.db"
            self._rows = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        return int(self._rows.execute(f"SELECT count(*) FROM {question}", values).fetchone()[0])  # noqa: S608 - ours

    def started(self) -> int:
        """Containers that were started, all in all."""
        return self.count("attempts WHERE state = 'started'")

    def pids(self) -> dict[str, int]:
        """The first processes of all containers, by attempt; each of them alive."""
        groups = Path("/sys/fs/cgroup/freezer", self.place.cgroup.strip("/"), "sets")
        if not groups.exists():
            groups = Path("/sys/fs/cgroup", self.place.cgroup.strip("/"), "sets")
        return {
            path.parent.name: int(path.read_text().split()[0])
            for path in groups.glob("*/*/cgroup.procs")
        }

    def _json(self, method: str, path: str, **more: Any) -> Any:
        answer = self._client.request(method, path, **more)
        assert answer.status_code < 400, answer.text
        return answer.json()


def wait(true: Callable[[], bool], poll: float) -> None:
    """Wait for something, looking every *poll* seconds."""
    end = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(poll)


@contextlib.contextmanager
def bed(**agent: Any) -> Iterator[Bed]:
    """Yield a daemon; its registry has busybox, and two web servers. At the end nothing is left."""
    with (
        running_server() as registry,
        temporary_directory("bed") as where,
        fresh_disk(where) as disk,
        host_place(disk) as place,
    ):
        base = busybox_layer()
        Handmade.of([base]).push(registry, "library/busybox", "1")
        for edition in ("1", "2"):
            upper = tar_of((member("bin/serve", mode=0o755), SERVE))
            served = tar_of((member("edition"), edition.encode()))
            Handmade.of([base, upper, served], config={"Cmd": ["/bin/serve"]}).push(
                registry, "library/serve", edition
            )
        made = Bed(daemon_of(place, registry, pool="3Gi", **agent))
        made.start()
        try:
            yield made
        finally:
            made.close()
        left = place.leftovers()
        assert not left, left


def free_kib() -> int:
    """KiB of memory that could be had."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def link_of(place: HostPlace, set_id: str) -> int:
    """The inode of a set's network namespace."""
    return (place.run / "sets" / set_id / "net").stat().st_ino
