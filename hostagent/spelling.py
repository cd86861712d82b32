"""How places, addresses and names in the agent's configuration are written (pure).

What the kernel, its tools or the agent's own would refuse or misread later is refused here, by a
ValueError that names the key and says what to write.
"""

import ipaddress
import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hostimages.errors import ReferenceInvalid
from hostimages.reference import ImageReference

_SOCKET: Final = 107
"""Bytes of a unix socket's path (unix(7))."""
_LONGEST: Final = 200
"""Bytes of *state* and *run*: what lies below takes three times as many (PATH_MAX is 4096), and a
monitor's own socket is found from within its directory."""
_COMPONENT: Final = 255
_GROUPS: Final = 1024
_LEAST: Final = 4
"""Addresses of a network: itself, the host's, one set's, and that of all."""
_HOST: Final = r"[\w.-]+|\[[0-9A-Fa-f:.]+\]"


def hold_place(key: str, path: Path) -> None:
    """Where files of the agent's own lie, and overlays, whose options know some signs."""
    text = str(path)
    if not path.is_absolute() or ".." in path.parts or path == Path("/"):
        raise ValueError(f"{key} must be a path from /, without .., as in /var/lib/berth-agent")
    if re.search(r"[,:\\]", text) or not text.isprintable():
        raise ValueError(f"{key} must have no comma, colon, backslash or control character")
    if len(os.fsencode(text)) > _LONGEST:
        raise ValueError(f"{key} must have at most {_LONGEST} bytes")


def hold_socket(path: Path) -> None:
    """Where the API is."""
    if not path.is_absolute() or len(os.fsencode(path)) > _SOCKET:
        raise ValueError(
            f"agent.socket must be a path from / of at most {_SOCKET} bytes (it is {path}; "
            "else it is agent.sock in agent.run)"
        )


def hold_cgroup(path: str) -> None:
    """Below which all groups are."""
    good = re.fullmatch(r"(/(?!\.{1,2}(/|$))[^/\s]+)+", path) and path.isprintable()
    longest = max(len(os.fsencode(each)) for each in path.split("/"))
    if not good or longest > _COMPONENT or len(os.fsencode(path)) > _GROUPS:
        raise ValueError("agent.cgroup must be a path below /, as in /berth")


def hold_health(address: str) -> None:
    """An address or a name, and a port that can be asked."""
    host, _, port = address.rpartition(":")
    named = re.fullmatch(_HOST, host, re.ASCII) and re.fullmatch(r"[0-9]{1,5}", port)
    if not named or not 0 < int(port) < 1 << 16:
        raise ValueError("agent.health must be an address and a port, as in 127.0.0.1:9317")
    if "[" in host:
        try:
            ipaddress.IPv6Address(host.strip("[]"))
        except ValueError as error:
            raise ValueError(f"agent.health: {error}") from error


def hold_registry(prefix: str) -> None:
    """What goes before an image without a registry."""
    try:
        ImageReference.parse(f"{prefix}/image")
    except ReferenceInvalid:
        raise ValueError(
            "agent.registry must be a registry's host and port, perhaps with a path, as in "
            f"registry.example:5000/library (it is {prefix!r})"
        ) from None


def hold_plain_http(registries: tuple[str, ...]) -> None:
    """Registries by host and port, as references name them."""
    for each in registries:
        try:
            named = ImageReference.parse(f"{each}/image").registry == each
        except ReferenceInvalid:
            named = False
        if not named:
            raise ValueError(
                f"images.plain_http names {each!r}, and must name hosts and ports, as in "
                "registry.example:5000"
            )


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
