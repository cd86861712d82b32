"""The talk's set on one host, told as it goes; the agent is killed in the middle of it."""

import json
import signal
import time
from collections.abc import Callable

from support.daemons import Daemon, busybox_layer, daemon_of, shop_image
from support.environment import Process, wait_until
from support.hostplaces import host_place
from support.server import running_server

NAME = "com.sankuai.inf.hulk.test"
TALK = """{"version": "v2", "id": 1, "appkey": "com.sankuai.inf.hulk.test",
 "containers": [{"index": 0, "image": "hulk.test-prod",
   "options": {"name": "test", "cpu": 80, "mem": 20,
     "volumes": [{"path": "/opt/logs", "quota": 100}],
     "command": {"cmd": "/bin/bash", "args": ["-c", "run.sh"]}}}]}"""


def tell(text: str) -> None:
    """One line of the story."""
    print(text, flush=True)  # noqa: T201 - this is what a demonstration is for


def main() -> None:
    """The whole story; raises AssertionError where it does not come true."""
    with running_server() as registry, host_place() as place:
        base = busybox_layer()
        for tag, repository in (("latest", "hulk.test-prod"), ("2", "hulk.test-prod")):
            reference = shop_image(tag, base).push(registry, f"library/{repository}", tag)
            tell(f"pushed {reference}")
        daemon = daemon_of(place, registry)
        process = daemon.start()
        try:
            process = _story(daemon, process)
        finally:
            process.stop()
        left = place.leftovers()
        assert not left, left
        tell("nothing is left: no process, group, mount, namespace, interface or file of the set")


def _story(daemon: Daemon, process: Process) -> Process:
    took = _timed(lambda: daemon.climg("set-create", "--wait", "-", stdin=TALK))
    found = daemon.show(NAME)
    tell(f"created: {found['state']} at {found['addresses'][0]} after {took:.1f} s")
    began = time.monotonic()
    daemon.climg("set-update-image", NAME, "test", "hulk.test-prod:2")
    time.sleep(0.3)
    assert process.kill() == -signal.SIGKILL
    tell("gray update begun, and the agent killed in the middle of it")
    process = daemon.start()
    wait_until(lambda: _edition(daemon) == "2", "the second edition", 120)
    wait_until(lambda: daemon.show(NAME)["state"] == "running", "running", 60)
    again = daemon.show(NAME)
    assert again["addresses"] == found["addresses"]
    tell(f"started again: edition 2 runs, address kept, {time.monotonic() - began:.1f} s in all")
    daemon.climg("set-suspend", NAME, "--wait")
    daemon.climg("set-resume", NAME, "--wait")
    tell("suspended and resumed: the same process" if _pid(daemon) == _pid_of(again) else "?")
    assert _pid(daemon) == _pid_of(again)
    layers = json.loads(daemon.climg("image-cache", "--json").stdout)["layers"]
    tell(f"image cache: {len(layers)} layers, {sum(each['bytes'] for each in layers)} bytes")
    took = _timed(lambda: daemon.climg("set-delete", NAME, "--yes", "--purge", "--wait"))
    tell(f"deleted after {took:.1f} s")
    return process


def _edition(daemon: Daemon) -> str:
    done = daemon.climg("set-exec", NAME, "--", "cat", "/edition", check=False)
    return str(done.stdout).strip()


def _pid(daemon: Daemon) -> int:
    return _pid_of(daemon.show(NAME))


def _pid_of(found: dict[str, list[dict[str, int]]]) -> int:
    return found["containers"][0]["pid"]


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
