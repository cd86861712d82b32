"""A whole host agent in this process, on a place of its own, with busybox for images."""

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hostagent import points
from hostagent.adopt import Adopted, adopt
from hostagent.bridge import Bridge, BridgeNetwork
from hostagent.config import AgentConfig
from hostagent.files import seccomp_of
from hostagent.host import Host, Layout
from hostagent.intake import take_set, take_tombstone
from hostagent.keeper import Keeper
from hostagent.namespaces import Namespaces
from hostagent.oci_runtime import OciRuntime
from hostagent.readings import Readings
from hostagent.records import Attempt, AttemptState, ContainerRow, GoneRow, OperationRow, SetRow
from hostagent.store import Store
from hostagent.volumes import HostVolumes
from hostagent.watch import Watch
from runspec.bundle import program
from setspec.canonical import fingerprint
from setspec.desired import (
    Allocation,
    DesiredSet,
    Level,
    Operation,
    PlacedImage,
    PlacedVolume,
    Port,
    Tombstone,
)
from setspec.normal import Exec
from setspec.secrets import Secret, SecretKind
from setspec.setdocument import read_set
from sshd.password import hashed
from support.environment import tool, wait_until
from support.hostplaces import HostPlace
from support.hostroots import DirectoryImages, openssh_files
from volumes.btrfs import BtrfsQuota
from volumes.disks import Disks
from volumes.driver import DirectoryDriver, Driver
from volumes.kept import Volumes
from volumes.loop import LoopDriver
from volumes.opening import Storage
from volumes.pool import mount_pool
from volumes.quota import PlainQuota, Quota

ALLOWED = frozenset({"privileged", "host_path", "host_network"})


POOL = 256 << 20
"""Bytes for writable layers, where their limits are held."""


def storage_of(place: HostPlace, *, held: bool) -> Storage:
    """Local disk whose limits are held as on any host without quotas, or (faster) are not."""
    disks, kept = place.directory / "disks", place.directory / "kept"
    disks.mkdir(exist_ok=True)
    driver: Driver = DirectoryDriver(PlainQuota())
    quota: Quota = PlainQuota()
    if held:
        mount_pool(place.directory / "pool.img", disks, POOL)
        driver, quota = LoopDriver(points.reach), BtrfsQuota()
    volumes = Volumes(kept, driver, reach=points.reach)
    return Storage(Disks(disks, quota, points.reach), volumes, disks)


def images_of(place: HostPlace, quota: Quota) -> DirectoryImages:
    """Images that tests use: two editions of a shop, and the talk's."""
    images = DirectoryImages(place.directory / "disks", quota)
    run = (
        "#!/bin/sh\ntrap 'echo bye; exit 0' TERM\necho run by $0\nwhile true; do sleep 0.1; done\n"
    )
    images.add("hulk.test-prod", "sha256:" + "a" * 64, {"config": {"WorkingDir": "/"}}, {
        "run.sh": run, "bin/run.sh": run,
    })  # fmt: skip
    for edition in ("1", "2"):
        images.add(f"shop:{edition}", "sha256:" + edition * 64,
                   {"config": {"Cmd": ["/bin/run.sh"]}},
                   {"bin/run.sh": run, "edition": edition})  # fmt: skip
    images.add("sshd:1", "sha256:" + "d" * 64, {"config": {"Cmd": ["/bin/run.sh"]}},
               {**openssh_files(), "bin/run.sh": run})  # fmt: skip
    images.add("closed:1", "sha256:" + "e" * 64, {"config": {"Cmd": ["/bin/run.sh"]}},
               {"etc/passwd": "root:x:0:0::/:/sbin/nologin\n", "bin/run.sh": run})  # fmt: skip
    images.add("bad:1", "sha256:" + "b" * 64, {"config": {"Cmd": ["/bin/false"]}}, {})
    images.add("missing:1", "sha256:" + "c" * 64, {"config": {"Cmd": ["/bin/nothing"]}}, {})
    return images


class Agent:
    """What a daemon would be, in this process."""

    def __init__(
        self, place: HostPlace, *, program: str = "crun", boot: str = "boot-1",
        autostart: bool = False, start: bool = True, held: bool = False,
    ) -> None:  # fmt: skip
        self.place = place
        layout = Layout(place.state, place.run)
        layout.make()
        cgroups = place.cgroups()
        storage = storage_of(place, held=held)
        self.images = images_of(place, storage.disks.quota)
        self.watch = Watch(layout.exits, self._wake)
        self.host = Host(
            layout=layout,
            store=Store(layout.database),
            runtime=OciRuntime(tool(program), tool("conmon"), cgroups, place.run, layout.exits),
            network=BridgeNetwork({"default": Bridge(bridge=place.bridge)}, place.prefix),
            volumes=HostVolumes(storage, {"shim": "test"}),
            images=self.images,
            namespaces=Namespaces(place.run),
            watch=self.watch,
            readings=Readings(),
            cgroup=place.cgroup,
            boot=boot,
            seccomp=seccomp_of(AgentConfig().seccomp),
            allowed=ALLOWED,
            owner={"shim": "test"},
        )
        self.keeper = Keeper(self.host, workers=4)
        self.adopted: Adopted = adopt(self.host, list(cgroups.attempts()), autostart=autostart)
        if start:
            self.keeper.start()

    def _wake(self, set_id: str) -> None:
        self.keeper.wake(set_id)

    def close(self) -> None:
        """End the agent; containers run on."""
        self.keeper.close()
        self.watch.close()
        self.host.store.close()

    def take(self, desired: DesiredSet) -> None:
        take_set(self.host, desired)
        self.keeper.wake(desired.set)

    def take_secret(self, desired: DesiredSet, reference: str, value: str) -> None:
        """Take a set with one more secret."""
        self.take(replace(desired, secrets=((reference, value),)))

    def run_in(self, desired: DesiredSet, name: str, *words: str) -> str:
        """What a program in a container says."""
        attempt = self.current(desired, name)
        process = program(self.host.process(attempt), Exec(cmd=words[0], args=words[1:]))
        return self.host.runtime.run(attempt.id, process, 30).output.decode()

    def delete_soon(self, desired: DesiredSet, *, purge: bool = False) -> None:
        take_tombstone(
            self.host, Tombstone(set=desired.set, generation=desired.generation, purge=purge)
        )
        self.keeper.wake(desired.set)

    def delete(self, desired: DesiredSet, *, purge: bool = False) -> None:
        self.delete_soon(desired, purge=purge)
        wait_until(lambda: not self.host.store.rows(SetRow, set=desired.set), "the set's end")
        assert self.host.store.rows(GoneRow, set=desired.set)

    def row(self, desired: DesiredSet) -> SetRow:
        return self.host.store.find(SetRow, set=desired.set)

    def container(self, desired: DesiredSet, name: str) -> ContainerRow:
        return self.host.store.find(ContainerRow, set=desired.set, name=name)

    def current(self, desired: DesiredSet, name: str) -> Attempt:
        """The attempt that is the container now."""
        return self.host.store.find(Attempt, id=self.container(desired, name).current)

    def attempts(self, desired: DesiredSet) -> list[Attempt]:
        return [each for each in self.host.store.rows(Attempt, set=desired.set) if each.exists]

    def states(self, desired: DesiredSet) -> dict[str, str]:
        return {each.container: each.state for each in self.attempts(desired)}

    def wait_running(self, desired: DesiredSet, seconds: float = 60) -> None:
        """Wait until every container of the set is ready."""
        wait_until(lambda: self.is_running(desired), "a running set", seconds)

    def is_running(self, desired: DesiredSet) -> bool:
        names = [name for name, _ in desired.spec.workloads()]
        with contextlib.suppress(Exception):
            found = [self.current(desired, name) for name in names]
            rows = [self.container(desired, name) for name in names]
            return all(
                each.state is AttemptState.STARTED and each.ready_at is not None for each in found
            ) and not any(row.next for row in rows)
        return False

    def wait_state(self, desired: DesiredSet, name: str, state: AttemptState) -> Attempt:
        def has() -> bool:
            with contextlib.suppress(Exception):
                return self.current(desired, name).state is state
            return False

        wait_until(has, f"{name} {state}", 60)
        return self.current(desired, name)

    def is_crashing(self, desired: DesiredSet, name: str, times: int) -> bool:
        """Whether a container has crashed so often, and waits."""
        with contextlib.suppress(Exception):
            ended = self.current(desired, name).state is AttemptState.ENDED
            return ended and self.container(desired, name).crashes >= times
        return False

    def wait_operation(self, operation: str) -> OperationRow:
        def ended() -> bool:
            return self.host.store.find(OperationRow, id=operation).ended is not None

        wait_until(ended, "the operation's end", 60)
        return self.host.store.find(OperationRow, id=operation)

    def log(self, desired: DesiredSet, name: str) -> str:
        path = self.host.layout.log(desired.set, name)
        return path.read_text() if path.exists() else ""

    def root(self, desired: DesiredSet, name: str) -> Path:
        return self.place.directory / "disks" / self.current(desired, name).disk


@contextlib.contextmanager
def running_agent(place: HostPlace, **how: Any) -> Iterator[Agent]:
    """Yield an agent that ends, and whose containers do not."""
    agent = Agent(place, **how)
    try:
        yield agent
    finally:
        agent.close()


def shop(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A set document of the shop's containers; without any, of one."""
    each = containers or ({},)
    return {
        "version": "v3",
        "appkey": "shop",
        "networks": [],
        "containers": [
            {"name": f"c{n}", "index": n, "image": "shop:1", "cpu": "0.5", "mem": "32Mi",
             "readiness": {"min_ready_s": 0}, "stop": {"grace_s": 3}, **what}
            for n, what in enumerate(each)
        ],
        **more,
    }  # fmt: skip


def placed(document: dict[str, Any], *, set_id: str | None = None, octet: int = 2) -> DesiredSet:
    """A set of *document*, with an allocation."""
    accepted = read_set(json.dumps(document), lambda _where, _what: str(uuid.uuid4()))
    spec = accepted.spec
    allocation = Allocation(
        hostname=f"h{octet}",
        ports=tuple(
            Port(
                id=str(uuid.uuid4()), device=f"eth{n}", network=network.name or "",
                mac=f"fa:16:3e:00:{n:02x}:{octet:02x}", addresses=(f"10.211.{n}.{octet}/24",),
            )
            for n, network in enumerate(spec.networks)
        ),
        volumes=tuple(
            PlacedVolume(name=volume.name, id=str(uuid.uuid4())) for volume in spec.volumes
        ),
        images=tuple(
            PlacedImage(container=name, reference=workload.image)
            for name, workload in spec.workloads()
        ),
    )  # fmt: skip
    return DesiredSet(
        set=set_id or str(uuid.uuid4()), generation=1, project="p", level=Level.RUNNING,
        fingerprint=fingerprint(spec), spec=spec, allocation=allocation,
        secrets=tuple((secret.reference, _kept(secret)) for secret in accepted.secrets),
    )  # fmt: skip


def _kept(secret: Secret) -> str:
    return hashed(secret.value) if secret.kind is SecretKind.PASSWORD else secret.value


def changed(desired: DesiredSet, document: dict[str, Any]) -> DesiredSet:
    """The next generation of a set, with another document and the same allocation."""
    fresh = placed(document, set_id=desired.set)
    allocation = replace(
        desired.allocation, images=fresh.allocation.images,
        volumes=desired.allocation.volumes or fresh.allocation.volumes,
    )  # fmt: skip
    return replace(
        fresh, generation=desired.generation + 1, allocation=allocation, level=desired.level
    )


def at(desired: DesiredSet, level: Level) -> DesiredSet:
    """The same set, at another level."""
    return replace(desired, level=level, operations=())


def operated(desired: DesiredSet, args: Any) -> tuple[DesiredSet, str]:
    """The same set with an operation, and the operation's id."""
    operation = Operation(id=str(uuid.uuid4()), args=args)
    return replace(desired, operations=(operation,)), operation.id


def stays(true: Callable[[], bool], seconds: float) -> bool:
    """Whether something holds for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not true():
            return False
        time.sleep(0.05)
    return True
