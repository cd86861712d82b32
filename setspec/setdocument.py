"""A set document of any version, read, checked and brought into its normal form."""

import base64
import ipaddress
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from setspec import form, sense, v2
from setspec.faults import DocumentInvalid, Fault, shown
from setspec.loose import objects
from setspec.normal import SetSpec, Workload
from setspec.secrets import NewReference, Secret, split
from setspec.shape import load
from setspec.strict import SET_BOUNDS, Bounds, JsonObject, copy, read
from setspec.units import Units

VERSIONS: Final = ("v2", "v3")

W = TypeVar("W", bound=Workload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a deployment says where a document says nothing."""

    units: Units = field(default_factory=Units)
    network: str = "default"
    """The network of a set whose document names none."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A good set document."""

    document: JsonObject
    """As it came, but for its secrets: to be kept."""
    spec: SetSpec
    secrets: tuple[Secret, ...]
    """To be kept apart, or to be hashed."""


def read_set(
    raw: bytes | str | JsonObject,
    new_reference: NewReference,
    defaults: Defaults = Defaults(),
    bounds: Bounds = SET_BOUNDS,
) -> Accepted:
    """The set that *raw* describes; its secrets are named by *new_reference*.

    Raises DocumentInvalid with all that is wrong.
    """
    document = copy(raw, bounds) if isinstance(raw, dict) else read(raw, bounds)
    version = document.get("version")
    if version not in VERSIONS:
        what = f"is {shown(version)}" if "version" in document else "is missing"
        fault = Fault(("version",), "version", what, "", 'Write "v2" or "v3"')
        raise DocumentInvalid([fault])
    faults = form.check(document, f"set-{version}.json")
    if version == "v2":
        converted = v2.convert(document, defaults.units)
        faults.extend(converted.faults)
        faults.extend(_moved(fault, converted) for fault in sense.check(converted.document))
        faults.refuse_if_any()
        return Accepted(document, spec_of(converted.document, defaults), ())
    faults.extend(sense.check(document))
    faults.refuse_if_any()
    parted = split(document, new_reference)
    return Accepted(parted.document, spec_of(parted.document, defaults), parted.secrets)


def spec_of(document: JsonObject, defaults: Defaults) -> SetSpec:
    """The normal form of *document*: v3, held against schema and sense, without secrets."""
    return _arranged(load(SetSpec, _completed(document, defaults)))


def _moved(fault: Fault, converted: v2.Converted) -> Fault:
    return replace(fault, path=converted.origin(fault.path))


def _completed(document: JsonObject, defaults: Defaults) -> JsonObject:
    """*document* with what depends on more than one field said, and one spelling for each thing."""
    whole = {**document}
    if not whole.get("host_network"):
        whole.setdefault("networks", [{"name": defaults.network}])
    whole.setdefault("networks", [])
    whole["networks"] = [
        {**each, "ip": str(ipaddress.ip_address(each["ip"]))} if "ip" in each else each
        for _, each in objects(whole, "networks")
    ]
    if "ssh" in whole:
        first = min(whole["containers"], key=lambda each: each["index"])
        whole["ssh"] = {"container": first["name"], **whole["ssh"]}
    whole["containers"] = [_workload(each) for each in whole["containers"]]
    if "infra" in whole:
        whole["infra"] = _workload(whole["infra"])
    return whole


def _workload(workload: JsonObject) -> JsonObject:
    whole = {**workload}
    if "cmd" in whole.get("command", {}):
        whole["command"] = {"args": [], **whole["command"]}
    whole["files"] = [_file(each) for _, each in objects(whole, "files")]
    return whole


def _file(file: JsonObject) -> JsonObject:
    whole = {**file, "mode": file.get("mode", "0644").rjust(4, "0")}
    encoded = whole.get("content_base64")
    if isinstance(encoded, str):
        data = base64.b64decode(encoded)
        try:
            whole["content"] = data.decode()
            del whole["content_base64"]
        except UnicodeDecodeError:
            whole["content_base64"] = base64.b64encode(data).decode()
    return whole


def _arranged(spec: SetSpec) -> SetSpec:
    """*spec* with its lists in the one order that means the same."""
    return replace(
        spec,
        infra=spec.infra and _sorted(spec.infra),
        volumes=tuple(sorted(spec.volumes, key=lambda volume: volume.name)),
        containers=tuple(
            sorted(map(_sorted, spec.containers), key=lambda container: container.index)
        ),
    )


def _sorted(workload: W) -> W:
    return replace(
        workload,
        files=tuple(sorted(workload.files, key=lambda file: file.path)),
        mounts=tuple(sorted(workload.mounts, key=lambda mount: mount.path)),
    )
