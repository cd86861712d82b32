"""Rules of one set in a desired state that no schema can say."""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from setspec import paths, sense
from setspec.canonical import digest
from setspec.desired import Deploy, DesiredSet, SetPassword
from setspec.faults import Fault, Path
from setspec.secrets import CRYPT, DEPLOY, PASSWORD, SET, Places, SecretKind, references, split
from setspec.setdocument import Defaults, spec_of
from setspec.shape import dump, load
from setspec.strict import JsonObject

_OPERATIONS: Final[dict[str, Places]] = {Deploy.kind: DEPLOY, SetPassword.kind: PASSWORD}


def check(item: JsonObject) -> Iterator[Fault]:
    """What is wrong with *item*, a set whose form is right."""
    for rule in (_sense, _plain, _normal):  # each needs that those before it found nothing
        if found := [*rule(item)]:
            yield from found
            return
    loaded = load(DesiredSet, item)
    for check_loaded in _RULES:
        yield from check_loaded(loaded)
    yield from _secrets(item, loaded)


def _sense(item: JsonObject) -> Iterator[Fault]:
    for fault in sense.check(item["spec"]):
        yield replace(fault, path=("spec", *fault.path))


def _normal(item: JsonObject) -> Iterator[Fault]:
    """Both sides must read the same out of a spec, defaults included."""
    if dump(spec_of(item["spec"], Defaults())) != item["spec"]:
        why = "What it leaves out might mean something else here"
        fix = "Send the normal form, in which everything is said"
        yield Fault(("spec",), "normal", "is not in its normal form", why, fix)
    if digest(item["spec"]) != item["fingerprint"]:
        yield Fault(("fingerprint",), "fingerprint", "is not the spec's", "", "")


def _plain(item: JsonObject) -> Iterator[Fault]:
    for path, part, places in _parts(item):
        for secret in split(part, _no_name, places).secrets:
            what, fix = "is a secret", "Send a reference, and the secret in /secrets"
            yield Fault((*path, *secret.path), "secret", what, "It would be stored", fix)


def _images(item: DesiredSet) -> Iterator[Fault]:
    placed = [image.container for image in item.allocation.images]
    wanted = [name for name, _ in item.spec.workloads()]
    yield from _same(("allocation", "images"), placed, wanted, "one image for each container")


def _volumes(item: DesiredSet) -> Iterator[Fault]:
    placed = [volume.name for volume in item.allocation.volumes]
    wanted = [volume.name for volume in item.spec.volumes]
    where: Path = ("allocation", "volumes")
    yield from _same(where, placed, wanted, "one volume for each of the spec's")
    if len({volume.id for volume in item.allocation.volumes}) < len(placed):
        yield Fault(where, "twice", "have an id twice", "A volume has one name", "")


def _ports(item: DesiredSet) -> Iterator[Fault]:
    ports, networks = item.allocation.ports, item.spec.networks
    where: Path = ("allocation", "ports")
    devices = [port.device for port in ports]
    wanted = [f"eth{place}" for place in range(len(networks))]
    yield from _same(where, devices, wanted, "eth0, eth1 ..., one for each network of the spec")
    for place, (port, network) in enumerate(zip(ports, networks, strict=False)):
        if network.name not in (None, port.network):
            yield Fault((*where, place, "network"), "other", "is not the spec's", "", "")
        if network.vlan not in (None, port.vlan):
            yield Fault((*where, place, "vlan"), "other", "is not the spec's", "", "")
        addresses = [address.partition("/")[0] for address in port.addresses]
        if network.ip not in (None, *addresses):
            yield Fault((*where, place, "addresses"), "other", "lack the spec's ip", "", "")


def _operations(item: DesiredSet) -> Iterator[Fault]:
    names = {name for name, _ in item.spec.workloads()}
    seen = set()
    for place, operation in enumerate(item.operations):
        where: Path = ("operations", place)
        if operation.id in seen:
            why = "It is carried out once"
            yield Fault((*where, "id"), "twice", "stands there twice", why, "")
        seen.add(operation.id)
        if not names.issuperset(operation.containers):
            what = "names a container that the set has not"
            yield Fault((*where, "args"), "unknown", what, "", "")
        if isinstance(operation.args, Deploy):
            yield from paths.check(dump(operation.args), (*where, "args"))


_RULES: Final[tuple[Callable[[DesiredSet], Iterable[Fault]], ...]] = (
    _images,
    _volumes,
    _ports,
    _operations,
)


def _secrets(item: JsonObject, loaded: DesiredSet) -> Iterator[Fault]:
    """Every reference has its secret, of the kind that its place wants."""
    secrets = dict(loaded.secrets)
    credentials = (SecretKind.TEXT, ("allocation", "images", "*", "credential"))
    tokens = (SecretKind.TEXT, ("operations", "*", "args", "credential"))
    parts = [*_parts(item), ((), item, (credentials, tokens))]
    for path, part, places in parts:
        for kind, steps in places:
            for found, reference in references(part, ((kind, steps),)):
                reason = _unfit(kind, secrets.get(reference))
                if reason:
                    yield Fault((*path, *found), "secret", reason, "", "Say it in /secrets")


def _unfit(kind: SecretKind, value: str | None) -> str:
    if value is None:
        return "refers to a secret that is not said"
    if kind is SecretKind.PASSWORD and not CRYPT.fullmatch(value):
        return "refers to what is no crypt(5) hash"
    if kind is SecretKind.BASE64 and not _is_base64(value):
        return "refers to what is no base64"
    return ""


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return True


def _parts(item: JsonObject) -> Iterator[tuple[Path, JsonObject, Places]]:
    """What of *item* may refer to secrets, and where in it."""
    yield ("spec",), item["spec"], SET
    for place, operation in enumerate(item.get("operations", [])):
        yield (
            ("operations", place, "args"),
            operation["args"],
            _OPERATIONS.get(operation["kind"], ()),
        )


def _same(path: Path, placed: list[str], wanted: list[str], needed: str) -> Iterator[Fault]:
    if sorted(placed) != sorted(wanted):
        yield Fault(path, "other", f"are not {needed}", "", "")


def _no_name(pointer: str, value: str) -> str:  # noqa: ARG001 - a NewReference
    return "none"
