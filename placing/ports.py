"""Which interfaces and addresses a set gets in the networks of its host (pure)."""

import ipaddress
import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

from setspec.desired import Port
from setspec.faults import DocumentInvalid, Fault, shown
from setspec.normal import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_VENDOR: Final = (0xFA, 0x16, 0x3E)
"""What the MAC addresses of a cloud's machines begin with."""


def ports(
    wanted: Sequence[Network],
    known: Sequence[Port],
    networks: Mapping[str, str],
    used: Collection[Address],
) -> tuple[Port, ...]:
    """Ports for the networks of a document; those that are *known* stay as they are.

    *networks* are the host's, by name, each with its own address there (10.88.0.1/16); *used* are
    the addresses of all sets. Raises DocumentInvalid for what cannot be had.
    """
    former = {port.network: port for port in known}
    made = []
    for place, network in enumerate(wanted):
        own = former.get(network.name or "")
        if own is None or (network.ip is not None and network.ip not in _addresses(own)):
            own = _port(place, network, networks, used)
        made.append(replace(own, device=f"eth{place}"))
    return tuple(made)


def _addresses(port: Port) -> list[str]:
    return [each.partition("/")[0] for each in port.addresses]


def _port(
    place: int, network: Network, networks: Mapping[str, str], used: Collection[Address]
) -> Port:
    if network.vlan is not None:
        why = "The networks of this host are bridges: they have no VLANs"
        raise _fault(place, "vlan", network.vlan, why, f"Name one of {_names(networks)}")
    name = network.name or ""
    if name not in networks:
        why = f"This host has no network {name!r}, but {_names(networks)}"
        fix = f'Add [networks.{name}] to the agent\'s configuration, or write "networks": [] (v3)'
        raise _fault(place, "name", name, why, fix)
    own = ipaddress.ip_interface(networks[name])
    taken = {own.ip, *used}
    if network.ip is not None:
        free = ipaddress.ip_address(network.ip)
        if free not in own.network:
            why = f"Network {name} has the addresses of {own.network}"
            raise _fault(place, "ip", network.ip, why, "Choose one of them, or none")
        if free in taken:
            whose = "the host's own" if free == own.ip else "another set's"
            raise _fault(place, "ip", network.ip, f"It is {whose}", "Choose another, or none")
    else:
        chosen = next((each for each in own.network.hosts() if each not in taken), None)
        if chosen is None:
            why = f"Network {name} ({own.network}) has no address left"
            raise _fault(
                place, "name", name, why, "Delete sets that nobody needs, or add a network"
            )
        free = chosen
    return Port(
        id=str(uuid.uuid4()),
        device="",
        network=name,
        mac=":".join(f"{byte:02x}" for byte in (*_VENDOR, *secrets.token_bytes(3))),
        addresses=(f"{free}/{own.network.prefixlen}",),
        gateways=(str(own.ip),),
    )


def _names(networks: Mapping[str, str]) -> str:
    return ", ".join(sorted(networks)) or "none"


def _fault(place: int, field: str, value: object, why: str, fix: str) -> DocumentInvalid:
    path = ("networks", place, field)
    return DocumentInvalid([Fault(path, "unavailable", f"is {shown(value)}", why, fix)])
