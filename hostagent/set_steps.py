"""Steps of a set as a whole: its images, namespaces, ports, volumes, its freezing and its end."""

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from hostagent.errors import CannotBe
from hostagent.host import Host, moment
from hostagent.ports import ReadyImage
from hostagent.recipes import workload_of
from hostagent.records import (
    Attempt,
    AttemptState,
    ContainerRow,
    GoneRow,
    OperationRow,
    OperationState,
    SetRow,
    Trouble,
)
from hostagent.step import Step
from hostbase.private import remove_tree
from runspec.etc import texts
from setspec.desired import Deploy, DesiredSet, Port
from setspec.shape import dump, load
from volumes import kept, loop


def ports_in(network: str | None) -> tuple[Port, ...]:
    """The ports that a set's row speaks of."""
    said = json.loads(network) if network else {"ports": []}
    return tuple(load(Port, each) for each in said["ports"])


@lru_cache(maxsize=4096)
def spelled(ports: tuple[Port, ...], *, done: bool) -> str:
    """Ports for a set's row."""
    return json.dumps({"ports": [dump(port) for port in ports], "done": done}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Prepare(Step):
    """Pull all images of a generation; a set waits for the last one before anything starts."""

    def act(self, host: Host, _: None) -> str:
        desired = self.desired(host)
        secrets = host.secrets(self.set)
        images = {}
        here: dict[tuple[str, str | None], ReadyImage] = {}
        for placed in desired.allocation.images:
            named = placed.credential
            credential = secrets[named.secret_ref] if named is not None else None
            reference = placed.reference
            if placed.digest and "@" not in reference:
                reference = f"{reference}@{placed.digest}"
            ready = here.get((reference, credential)) or host.images.ensure(
                self.set, desired.generation, reference, credential
            )
            here[reference, credential] = ready
            inner = ready.config.get("config") or {}
            images[placed.container] = {"digest": ready.digest, "image": {"config": inner}}
        return json.dumps({"generation": desired.generation, "images": images})

    def confirm(self, host: Host, result: str) -> None:
        host.store.put(replace(self.row(host), prepared=result))


@dataclass(frozen=True, slots=True)
class ReleaseImages(Step):
    """The generation runs whole: nothing goes back to the images of those before it."""

    generation: int
    """The one that was seen so: another may have come since, and go back to this one."""

    def act(self, host: Host, _: None) -> None:
        host.images.unpin(self.set, self.generation - 1)

    def confirm(self, host: Host, _: None) -> None:
        row = self.row(host)
        prepared = json.loads(row.prepared or "{}")
        if row.generation == self.generation:
            host.store.put(replace(row, prepared=json.dumps({**prepared, "released": True})))


@dataclass(frozen=True, slots=True)
class PinNamespaces(Step):
    """Make what the containers of the set share; its ports are to be made anew then.

    Where some run, it is theirs that was unmounted, and it is mounted again.
    """

    def intend(self, host: Host) -> None:
        with host.store.transaction():
            row = self.row(host)
            host.store.put(replace(row, network=spelled(ports_in(row.network), done=False)))

    def act(self, host: Host, _: None) -> None:
        desired = self.desired(host)
        inits = (each.init for each in host.store.rows(Attempt, set=self.set))
        running = next((each for each in inits if each is not None and each.alive), None)
        host.namespaces.pin(
            self.set,
            desired.allocation.hostname,
            desired.spec.limits.shm,
            host_network=desired.spec.host_network,
            running=running,
        )


@dataclass(frozen=True, slots=True)
class AttachNetwork(Step):
    """Make the set's ports what they should be; ports that it has no more go."""

    def intend(self, host: Host) -> tuple[tuple[Port, ...], DesiredSet]:
        with host.store.transaction():
            row, desired = self.row(host), self.desired(host)
            wanted = desired.allocation.ports
            former = tuple(port for port in ports_in(row.network) if port not in wanted)
            host.store.put(replace(row, network=spelled((*former, *wanted), done=False)))
        return former, desired

    def act(self, host: Host, intent: tuple[tuple[Port, ...], DesiredSet]) -> tuple[Port, ...]:
        former, desired = intent  # of then: a later document is another step's
        for port in former:
            host.network.detach(port)
        for port in desired.allocation.ports:
            host.network.attach(port, host.namespaces.path(self.set, "network"))
        _write_in_place(host.layout.etc(self.set), texts(desired))
        return desired.allocation.ports

    def confirm(self, host: Host, result: tuple[Port, ...]) -> None:
        host.store.put(replace(self.row(host), network=spelled(result, done=True)))


def _write_in_place(directory: Path, wanted: dict[str, str]) -> None:
    """Containers have these very files mounted."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, text in wanted.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)


@dataclass(frozen=True, slots=True)
class MakeVolumes(Step):
    """Make the set's volumes, or find them."""

    inner: ClassVar = (loop.ALLOCATED, loop.FORMATTED, kept.MADE, kept.LABELLED)

    def act(self, host: Host, _: None) -> str:
        desired = self.desired(host)
        paths = host.volumes.make(desired)
        return json.dumps({"generation": desired.generation, "paths": paths})

    def confirm(self, host: Host, result: str) -> None:
        host.store.put(replace(self.row(host), volumes=result))


@dataclass(frozen=True, slots=True)
class Freeze(Step):
    """Stop the set's processes where they stand."""

    def act(self, host: Host, _: None) -> None:
        host.runtime.freeze(self.set)


@dataclass(frozen=True, slots=True)
class Thaw(Step):
    """Let the set's processes go on."""

    def act(self, host: Host, _: None) -> None:
        host.runtime.thaw(self.set)

    def confirm(self, host: Host, _: None) -> None:
        for each in host.store.rows(Attempt, set=self.set, state=AttemptState.STARTED):
            if each.ready_at is None:  # the time in which it stood still is not held against it
                host.store.put(replace(each, started_at=host.now()))


@dataclass(frozen=True, slots=True)
class Rest(Step):
    """The set is stopped: at its next start its containers start in order again."""

    def confirm(self, host: Host, _: None) -> None:
        for row in host.store.rows(ContainerRow, set=self.set):
            host.store.put(replace(row, was_ready=False, crashes=0))


@dataclass(frozen=True, slots=True)
class ForgetContainer(Step):
    """A container that the set has no more, and of which no attempt is left."""

    container: str

    @property
    def key(self) -> str:
        return f"{self.name()} {self.container}"

    def act(self, host: Host, _: None) -> None:
        for attempt in host.store.rows(Attempt, set=self.set, container=self.container):
            host.images.remove(attempt.disk)
        remove_tree(host.layout.set(self.set) / "containers" / self.container)

    def confirm(self, host: Host, _: None) -> None:
        host.store.remove(Attempt, set=self.set, container=self.container)
        host.store.remove(ContainerRow, set=self.set, name=self.container)


@dataclass(frozen=True, slots=True)
class Dismantle(Step):
    """Nothing runs any more: ports, namespaces and mounts go; with purge, the volumes too."""

    inner: ClassVar = (kept.PURGED,)

    def act(self, host: Host, _: None) -> list[str]:
        row = self.row(host)
        desired = host.desired(row)
        for port in {*ports_in(row.network), *desired.allocation.ports}:
            host.network.detach(port)
        host.namespaces.drop(self.set)
        for attempt in host.store.rows(Attempt, set=self.set):
            host.images.remove(attempt.disk)
        left = host.volumes.dismantle(desired, purge=row.purge)
        host.runtime.remove_set(self.set)
        return left

    def confirm(self, host: Host, result: list[str]) -> None:
        row = self.row(host)
        assert row.tombstone is not None
        kept = json.dumps(result)
        host.store.put(GoneRow(set=self.set, generation=row.tombstone, kept_volumes=kept))
        host.store.remove(Attempt, set=self.set)
        host.store.remove(ContainerRow, set=self.set)
        host.store.put(replace(row, network=None, volumes=None, prepared=None))


@dataclass(frozen=True, slots=True)
class Forget(Step):
    """The set is gone: its files, secrets and pins go, and then its row."""

    def act(self, host: Host, _: None) -> None:
        host.images.unpin(self.set, None)
        host.forget_secrets(self.set)
        remove_tree(host.layout.login(self.set).home)
        remove_tree(host.layout.set(self.set))

    def confirm(self, host: Host, _: None) -> None:
        for kind in (Trouble, OperationRow, SetRow):
            host.store.remove(kind, set=self.set)


@dataclass(frozen=True, slots=True)
class OperationStep(Step):
    """One thing that is done for an operation."""

    operation: str

    @property
    def key(self) -> str:
        return f"{self.name()} {self.operation}"

    def found(self, host: Host) -> OperationRow:
        """The operation's row."""
        return host.store.find(OperationRow, id=self.operation)

    def confirm(self, host: Host, result: str | None) -> None:
        """It has ended: with what failed, or well."""
        state = OperationState.FAILED if result else OperationState.DONE
        row, ended = self.found(host), moment()
        began = row.started or ended
        host.store.put(replace(row, state=state, reason=result, started=began, ended=ended))


@dataclass(frozen=True, slots=True)
class BeginOperation(OperationStep):
    """Write down what an operation begins with: so much of it is to be replaced, once."""

    targets: tuple[tuple[str, str | None], ...] = ()

    def confirm(self, host: Host, _: str | None) -> None:
        targets = json.dumps(dict(self.targets))
        running = OperationState.RUNNING
        row = replace(self.found(host), state=running, targets=targets, started=moment())
        host.store.put(row)


@dataclass(frozen=True, slots=True)
class DeployFiles(OperationStep):
    """Put an operation's files into a container, and into each that follows it."""

    def act(self, host: Host, _: None) -> str | None:
        args = load(Deploy, json.loads(self.found(host).args))
        rows = host.store.rows(ContainerRow, set=self.set, name=args.container)
        present = {each for row in rows for each in (row.current, row.next)}
        secrets = host.secrets(self.set)
        try:
            for attempt in host.store.rows(Attempt, set=self.set, container=args.container):
                if attempt.id in present:
                    most = workload_of(attempt.spec).limits.writable
                    root = host.images.prepare(attempt.disk, attempt.digest, most)
                    host.deploy(root, args.files, secrets)
        except CannotBe as error:
            return str(error)
        host.remember_files(self.set, args.container, args.files)
        return None


@dataclass(frozen=True, slots=True)
class EndOperation(OperationStep):
    """Write down what became of an operation."""

    failure: str | None = None

    def act(self, _: Host, __: None) -> str | None:
        """Only the row is written."""
        return self.failure
