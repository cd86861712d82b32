"""Sets of an agent without a shim: documents get their places here, out of the configuration."""

import hashlib
import ipaddress
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from hostagent.config import Config
from hostagent.errors import Conflict, NotHere, Refused
from hostagent.host import Host, own_file
from hostagent.intake import take_set, take_tombstone
from hostagent.keeper import Keeper
from hostagent.records import SetRow
from hostbase import private
from placing.names import hostname, refuse_twin, volumes
from placing.ports import ports
from placing.room import refuse_beyond
from setspec.canonical import fingerprint
from setspec.desired import (
    Allocation,
    Args,
    DesiredSet,
    Level,
    Operation,
    PlacedImage,
    Restart,
    SetPassword,
    Tombstone,
)
from setspec.normal import SecretRef
from setspec.secrets import Secret, SecretKind, reused
from setspec.setdocument import Accepted, Defaults, read_set
from setspec.shape import Texts
from sshd.password import PASSWORD, hashed, is_hash_of

PROJECT = "local"


@dataclass(frozen=True, slots=True)
class Local:
    """What a shim would do, for one host."""

    host: Host
    keeper: Keeper
    config: Config

    def read(self, raw: bytes, set_id: str = "") -> Accepted:
        """Check a set document, another one of *set_id* if that is said. Raises DocumentInvalid."""
        known = self.host.secrets(set_id)
        references = reused({name: known[name] for name in known if ":" not in name}, is_hash_of)
        return read_set(raw, references, Defaults(units=self.config.set.units))

    def create(self, raw: bytes, key: str | None) -> SetRow:
        """Make a set; the same *key* makes one once. Raises Conflict for a key used otherwise."""
        accepted = self.read(raw)
        body = hashlib.sha256(raw).hexdigest()
        name = f"key {key}"
        set_id = str(uuid.uuid4())
        with self._whole(set_id), self.host.store.transaction():
            known = self.host.store.meta(name) if key else None
            if known is not None:
                former, _, same = known.partition(" ")
                if former != body:
                    raise Conflict("this key made a set of another document: say another key")
                if not self.host.store.rows(SetRow, set=same):
                    raise Conflict(f"this key made set {same}, which is deleted: say another key")
                return self.host.store.find(SetRow, set=same)
            self._take(set_id, 1, Level.RUNNING, accepted, None)
            if key:
                self.host.store.put_meta(name, f"{body} {set_id}")
        self.keeper.wake(set_id)
        return self.host.store.find(SetRow, set=set_id)

    @contextmanager
    def _whole(self, set_id: str) -> Iterator[None]:
        """Of a new set that is refused nothing is left, which the next start would find."""
        try:
            yield
        except BaseException:
            private.remove_tree(self.host.layout.set(set_id))
            self.host.forget_secrets(set_id)
            raise

    def update(self, row: SetRow, raw: bytes, generation: int | None) -> SetRow:
        """Have a set be as another document; *generation* is the one that the caller has seen."""
        accepted = self.read(raw, row.set)
        with self.host.store.transaction():
            row = self.host.store.find(SetRow, set=row.set)
            if generation is not None and generation != row.generation:
                raise Conflict(f"the set is at generation {row.generation}, not {generation}")
            former = self.host.desired(row)
            self._take(row.set, row.generation + 1, former.level, accepted, former)
        self.keeper.wake(row.set)
        return self.host.store.find(SetRow, set=row.set)

    def change_image(self, row: SetRow, container: str, image: str) -> SetRow:
        """Have one container be of another image."""
        remedy = "send the whole document (set-update), which is kept then"
        document = own_file(self.host.layout.set(row.set) / "document.json", "containers", remedy)
        spec = self.host.desired(row).spec
        if container not in dict(spec.workloads()):
            raise NotHere(f"the set has no container {container!r}")
        for each in document["containers"]:
            name = each["name"] if document["version"] == "v3" else each["options"]["name"]
            if name == container:
                each["image"] = image
        if container == "infra" and "infra" in document:
            document["infra"]["image"] = image
        return self.update(row, json.dumps(document).encode(), row.generation)

    def set_level(self, row: SetRow, level: Level) -> SetRow:
        """Start, stop, suspend or resume a set; nothing where it is so."""
        with self.host.store.transaction():
            row = self.host.store.find(SetRow, set=row.set)
            former = self.host.desired(row)
            now = Level.STOPPED if row.held and former.level is Level.RUNNING else former.level
            if level is Level.SUSPENDED and now not in {Level.RUNNING, level}:
                raise Conflict(f"the set is {now}: only what runs can be suspended")
            take_set(self.host, replace(former, level=level))
        self.keeper.wake(row.set)
        return self.host.store.find(SetRow, set=row.set)

    def operate(self, row: SetRow, args: Args, secrets: Texts = ()) -> str:
        """Have an operation carried out once; answer its id."""
        operation = Operation(id=str(uuid.uuid4()), args=args)
        with self.host.store.transaction():
            row = self.host.store.find(SetRow, set=row.set)
            if row.held and isinstance(args, Restart):
                raise Conflict(f"{row.held}: start the set first")
            desired = replace(self.host.desired(row), operations=(operation,), secrets=secrets)
            take_set(self.host, desired, starts=False)
        self.keeper.wake(row.set)
        return operation.id

    def set_password(self, row: SetRow, password: str) -> str:
        """Have another password let root in; answer the operation's id. Raises Refused."""
        if not PASSWORD.fullmatch(password):
            raise Refused("a password has 8 to 128 characters, and no control characters")
        reference = str(uuid.uuid4())
        args = SetPassword(password=SecretRef(secret_ref=reference))
        return self.operate(row, args, ((reference, hashed(password)),))

    def delete(self, row: SetRow, *, purge: bool) -> None:
        """Have a set be gone."""
        tombstone = Tombstone(set=row.set, generation=row.generation, purge=purge)
        take_tombstone(self.host, tombstone)
        self.keeper.wake(row.set)

    def find(self, reference: str) -> SetRow:
        """The set of a uuid, the beginning of one, or an appkey, before one that is being deleted.

        Raises NotHere, Conflict.
        """
        rows = self.host.store.rows(SetRow)
        found = [row for row in rows if row.set == reference] or [
            row
            for row in rows
            if (len(reference) >= 4 and row.set.startswith(reference))
            or self.host.desired(row).spec.appkey == reference
        ]
        found = [row for row in found if row.tombstone is None] or found
        if not found:
            raise NotHere(f"there is no set {reference!r} on this host: see set-list")
        if len(found) > 1:
            raise Conflict(f"{reference!r} means {len(found)} sets: name one by its uuid")
        return found[0]

    def _take(
        self, set_id: str, generation: int, level: Level, new: Accepted, former: DesiredSet | None
    ) -> None:
        spec = new.spec
        known = former.allocation if former else None
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        refuse_beyond(spec, os.cpu_count() or 1, memory)
        # Of a thousand sets, only where something in the document could meet something of theirs.
        rows = self.host.store.rows(SetRow) if spec.id is not None or spec.networks else []
        others = [row for row in rows if row.set != set_id and row.tombstone is None]
        refuse_twin(spec, (self.host.desired(row).spec for row in others))
        allocation = Allocation(
            hostname=known.hostname if known else hostname(spec.appkey, set_id),
            ports=ports(
                spec.networks,
                known.ports if known else (),
                {name: each.address for name, each in self.config.networks.items()},
                {*self._addresses(rows)},
            ),
            volumes=volumes(spec.volumes, known.volumes if known else ()),
            images=tuple(
                PlacedImage(container=name, reference=self._reference(workload.image))
                for name, workload in spec.workloads()
            ),
        )
        desired = DesiredSet(
            set=set_id,
            generation=generation,
            project=PROJECT,
            level=level,
            fingerprint=fingerprint(spec),
            spec=spec,
            allocation=allocation,
            secrets=tuple((each.reference, _kept(each)) for each in new.secrets),
        )
        take_set(self.host, desired, starts=False)
        private.write(self.host.layout.set(set_id) / "document.json", new.document)

    def _reference(self, image: str) -> str:
        """An image's name with a registry: its own, or else the configured one."""
        first, slash, _ = image.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            return image
        if self.config.agent.registry is None:
            raise Refused(
                f"the image {image!r} names no registry: write host:port/repository:tag, "
                "or set registry in [agent]"
            )
        return f"{self.config.agent.registry}/{image}"

    def _addresses(
        self, rows: Iterable[SetRow]
    ) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        for row in rows:
            for port in self.host.desired(row).allocation.ports:
                for each in port.addresses:
                    yield ipaddress.ip_interface(each).ip


def _kept(secret: Secret) -> str:
    """What is kept of a secret: of a password, its hash alone."""
    return hashed(secret.value) if secret.kind is SecretKind.PASSWORD else secret.value
