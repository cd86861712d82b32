"""How networks of a host are written (pure); ValueError says what to write."""

import ipaddress
import itertools
import re
from collections.abc import Mapping
from typing import Final

_LEAST: Final = 4
"""Addresses of a network: itself, the host's, one set's, and that of all."""


def hold_bridge(name: str) -> None:
    """An interface's name as the kernel has it; % would be a number that it chooses."""
    if not re.fullmatch(r"(?![.-])[A-Za-z0-9_.-]{1,15}", name):
        raise ValueError(
            "networks.….bridge must have 1 to 15 of letters, digits, -, _ and ., and begin with "
            "none of - and ."
        )


def hold_address(text: str) -> None:
    """A host's own address in a network that has room for sets."""
    try:
        own = ipaddress.ip_interface(text)
    except ValueError as error:
        raise ValueError(f"networks.….address: {error}") from error
    net, ends = own.network, {own.network.network_address, own.network.broadcast_address}
    odd = own.is_multicast or own.is_loopback or own.is_unspecified or "%" in text
    if net.num_addresses < _LEAST or own.ip in ends or odd:
        raise ValueError(
            f"networks.….address is {text}, and must be one host's address with its network's "
            "length, as in 10.88.0.1/16: sets get the others"
        )


def hold_apart(addresses: Mapping[str, str]) -> None:
    """Networks of one host, by their addresses: of two that overlap one would not be reached."""
    read = [(name, ipaddress.ip_interface(text).network) for name, text in addresses.items()]
    for (one, first), (other, second) in itertools.combinations(read, 2):
        if first.version == second.version and first.overlaps(second):
            raise ValueError(
                f"networks.{one}.address and networks.{other}.address overlap ({first}, {second})"
            )
