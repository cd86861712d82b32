"""What of a set needs the admin role at the shim and the agent's own permission."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from setspec.faults import Path, pointer
from setspec.normal import INFRA, SetSpec


class Privilege(StrEnum):
    """Each is also a key of the agent's configuration, behind ``allow_``."""

    PRIVILEGED = "privileged"
    HOST_NETWORK = "host_network"
    VLAN = "vlan"
    HOST_PATH = "host_path"


@dataclass(frozen=True, slots=True)
class Needed:
    """A privilege, and where the normal form asks for it."""

    privilege: Privilege
    path: Path

    @property
    def pointer(self) -> str:
        """The place as an RFC 6901 JSON pointer."""
        return pointer(self.path)


def needed(spec: SetSpec) -> tuple[Needed, ...]:
    """All that *spec* asks for which nobody has by himself."""
    return tuple(_needed(spec))


def _needed(spec: SetSpec) -> Iterator[Needed]:
    if spec.infra is not None and spec.infra.privileged:
        yield Needed(Privilege.PRIVILEGED, (INFRA, "privileged"))
    if spec.host_network:
        yield Needed(Privilege.HOST_NETWORK, ("host_network",))
    for place, network in enumerate(spec.networks):
        if network.vlan is not None:
            yield Needed(Privilege.VLAN, ("networks", place, "vlan"))
    places: list[Path] = [("containers", place) for place in range(len(spec.containers))]
    if spec.infra is not None:
        places.insert(0, (INFRA,))
    for path, (_, workload) in zip(places, spec.workloads(), strict=True):
        for place, mount in enumerate(workload.mounts):
            if mount.host_path is not None:
                yield Needed(Privilege.HOST_PATH, (*path, "mounts", place, "host_path"))
