"""Network on Linux bridges: a pair of interfaces for each port, named after the port.

iproute2 is told everything in batches. An interface's other end is made in the set's namespace
by the same call, so there is never one that is nobody's.
"""

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hostagent.errors import NetworkFailed
from programs.bounded import OutOfTime, call
from setspec.desired import Port

_UP: Final = 1
"""netdevice(7): IFF_UP."""
_PATIENCE: Final = 30.0
"""Seconds for one batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge:
    """A network on this host."""

    bridge: str
    """The interface; it is made where it is not there."""
    address: str | None = None
    """The host's own in this network, with its length, given where the bridge is made."""


class BridgeNetwork:
    """Network of bridges by the networks' names; *prefix* begins the interfaces' names."""

    def __init__(self, bridges: Mapping[str, Bridge], prefix: str = "bt") -> None:
        self._bridges = dict(bridges)
        self._prefix = prefix

    def attach(self, port: Port, namespace: Path) -> None:
        bridge = self._bridges.get(port.network)
        if bridge is None:
            raise NetworkFailed(
                f"this host has no network {port.network!r}; it has "
                f"{', '.join(sorted(self._bridges)) or 'none'}: add it to the agent's configuration"
            )
        if port.vlan is not None:
            raise NetworkFailed(f"network {port.network!r} is a bridge, and has no VLANs")
        self._make(bridge)
        name = self.interface(port)
        pair = (
            f"link add {name} mtu {port.mtu} type veth peer name {port.device} "
            f"address {port.mac} mtu {port.mtu} netns {namespace}"
        )
        up = f"link set {name} master {bridge.bridge} up"
        _batch(*((up,) if _exists(name) else (pair, up)))
        _batch(*_inside(port), namespace=namespace)

    def is_attached(self, port: Port) -> bool:
        bridge = self._bridges.get(port.network)
        end = Path("/sys/class/net", self.interface(port))
        try:
            is_up = int((end / "flags").read_text(), 16) & _UP
            return (
                bridge is not None
                and bool(is_up)
                and (end / "master").readlink().name == bridge.bridge
            )
        except OSError:
            return False

    def detach(self, port: Port) -> None:
        name = self.interface(port)
        if _exists(name):
            _batch(f"link delete {name}")

    def interface(self, port: Port) -> str:
        """The name of the host's end; at most 15 characters (IFNAMSIZ)."""
        return f"{self._prefix}{hashlib.sha256(port.id.encode()).hexdigest()[:11]}"[:15]

    @staticmethod
    def _make(bridge: Bridge) -> None:
        if _exists(bridge.bridge):
            return
        lines = [f"link add {bridge.bridge} type bridge forward_delay 0"]
        if bridge.address is not None:
            lines.append(f"addr replace {bridge.address} dev {bridge.bridge}")
        _batch(*lines, f"link set {bridge.bridge} up")


def _inside(port: Port) -> list[str]:
    """What is said in the namespace; all of it can be said again."""
    lines = [f"addr replace {each} dev {port.device}{_nodad(each)}" for each in port.addresses]
    lines.append(f"link set {port.device} up")
    lines += [f"route replace default via {each} dev {port.device}" for each in port.gateways]
    lines += [f"route replace {each.to} via {each.via} dev {port.device}" for each in port.routes]
    return lines


def _nodad(address: str) -> str:
    """An address of IPv6 can be used at once; who has it was settled elsewhere."""
    return " nodad" if ipaddress.ip_interface(address).version == 6 else ""


def _exists(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def _batch(*lines: str, namespace: Path | None = None) -> None:
    inside = ["nsenter", f"--net={namespace}"] if namespace is not None else []
    try:
        told = "".join(f"{line}\n" for line in lines)
        done = call([*inside, "ip", "-batch", "-"], seconds=_PATIENCE, given=told)
    except OutOfTime as error:
        raise NetworkFailed(f"{'; '.join(lines)}: {error}") from None
    if done.code:
        raise NetworkFailed(f"{'; '.join(lines)}: {done.said}")
