"""A set as it is: rows, and what is alive of them; what a plan is made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from hostagent.host import Host
from hostagent.readings import Reading
from hostagent.recipes import Recipe, anew, login_recipe, wanted
from hostagent.records import (
    Attempt,
    AttemptState,
    ContainerRow,
    GoneRow,
    OperationRow,
    SetRow,
    Trouble,
    parsed,
)
from hostagent.set_steps import spelled
from hostbase.namespaces import is_in_own
from setspec.desired import DesiredSet
from setspec.normal import Workload

LIVE = (AttemptState.CREATED, AttemptState.STARTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One set at one moment."""

    row: SetRow
    desired: DesiredSet
    containers: Mapping[str, ContainerRow]
    attempts: Mapping[str, Attempt]
    alive: frozenset[str]
    """Attempts whose first process runs."""
    monitored: frozenset[str]
    """Attempts whose monitor runs."""
    exits: frozenset[str]
    """Attempts whose exit code was written down."""
    readings: Mapping[str, Reading]
    is_pinned: bool
    is_elsewhere: bool
    """It has another network than it should: its own, or else the host's."""
    has_links: bool
    """The host's ends of all its ports are there."""
    has_open_volumes: bool
    """Its volumes are there, and nobody has unmounted one."""
    is_frozen: bool
    operations: tuple[OperationRow, ...]
    troubles: Mapping[str, Trouble]
    is_dismantled: bool
    """Nothing of it is left but files."""
    now: float

    @property
    def is_gone(self) -> bool:
        """Whether it shall not be here."""
        return self.row.tombstone is not None

    @property
    def workloads(self) -> list[tuple[str, Workload]]:
        """Names and workloads of the document, in the order in which they start."""
        return list(self.desired.spec.workloads())

    def of(self, name: str) -> list[Attempt]:
        """The attempts of a container of which there is more than a disk, the oldest first."""
        return [each for each in self.attempts.values() if each.container == name and each.exists]

    def container(self, name: str) -> ContainerRow:
        """A container's row; an empty one where there is none yet."""
        return self.containers.get(name) or ContainerRow(set=self.row.set, name=name)

    def current(self, name: str) -> Attempt | None:
        """The attempt that is the container, if there is anything of it."""
        found = self.attempts.get(self.container(name).current or "")
        return found if found is not None and found.exists else None

    def next(self, name: str) -> Attempt | None:
        """The attempt that is to take its place."""
        return self.attempts.get(self.container(name).next or "")

    def runs(self, attempt: Attempt) -> bool:
        """Whether it was started, and its first process runs."""
        return attempt.state is AttemptState.STARTED and attempt.id in self.alive

    def failures(self, key: str) -> int:
        """How often a step has failed, one time after the other."""
        trouble = self.troubles.get(key)
        return trouble.count if trouble is not None else 0

    def wanted(self, name: str) -> Recipe | None:
        """What a container should be made of; None while its image is not here."""
        return wanted(self.desired, self.row, self.containers, name, self.attempts)

    def anew(self, name: str) -> Recipe | None:
        """What a container of which nothing is left is made of; None while that is not here."""
        return anew(self.desired, self.row, self.containers, name, self.attempts)

    @property
    def login(self) -> Recipe | None:
        """What sshd should be made of; None while its container does not run, or without one."""
        ssh = self.desired.spec.ssh
        target = self.current(ssh.container) if ssh is not None else None
        if ssh is None or target is None or not self.runs(target):
            return None
        return login_recipe(ssh, target)

    @property
    def is_prepared(self) -> bool:
        """Whether the generation's images are here."""
        return parsed(self.row.prepared).get("generation") == self.row.generation

    @property
    def is_released(self) -> bool:
        """Whether the images of former generations were let go of."""
        return bool(parsed(self.row.prepared).get("released"))

    @property
    def is_attached(self) -> bool:
        """Whether its ports are as they should be, and nobody took one away."""
        wanted = spelled(self.desired.allocation.ports, done=True)
        return self.has_links and self.row.network == wanted

    @property
    def has_volumes(self) -> bool:
        """Whether its volumes were made for this generation, and can be mounted."""
        made = parsed(self.row.volumes).get("generation")
        return self.has_open_volumes and made == self.row.generation


def look(host: Host, row: SetRow) -> Seen:
    """How a set is now. Nothing is asked that takes long."""
    store = host.store
    attempts = {each.id: each for each in store.rows(Attempt, set=row.set)}
    live = [each.id for each in attempts.values() if each.state in LIVE]
    desired = host.desired(row)
    readings = {name: host.readings.of(name) for name in live}
    is_own = not desired.spec.host_network
    # Before it is asked who is alive, so that the pids were surely theirs.
    pids = {name: attempts[name].init_pid or 0 for name in live if is_own}
    on_hosts = {name for name, pid in pids.items() if is_in_own(pid, "net")}
    alive = frozenset(each for each in live if host.watch.is_alive(each))
    return Seen(
        row=row,
        desired=desired,
        containers={each.name: each for each in store.rows(ContainerRow, set=row.set)},
        attempts=attempts,
        alive=alive,
        monitored=frozenset(each for each in live if host.watch.is_monitored(each)),
        exits=frozenset(each for each in live if host.runtime.exit_code(each) is not None),
        readings={name: reading for name, reading in readings.items() if reading is not None},
        is_pinned=host.namespaces.is_pinned(row.set, host_network=not is_own),
        is_elsewhere=bool(on_hosts & alive)
        or (not is_own and host.namespaces.has_network(row.set)),
        has_links=all(map(host.network.is_attached, desired.allocation.ports)),
        has_open_volumes=host.volumes.are_open(desired),
        is_frozen=host.runtime.is_frozen(row.set),
        operations=tuple(store.rows(OperationRow, set=row.set)),
        troubles={each.step: each for each in store.rows(Trouble, set=row.set)},
        is_dismantled=bool(store.rows(GoneRow, set=row.set)),
        now=host.now(),
    )
