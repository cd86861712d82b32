"""How places, addresses and names in the agent's configuration are written (pure).

What the kernel, its tools or the agent's own would refuse or misread later is refused here, by a
ValueError that names the key and says what to write.
"""

import ipaddress
import os
import re
from pathlib import Path
from typing import Final

_SOCKET: Final = 107
"""Bytes of a unix socket's path (unix(7))."""
_LONGEST: Final = 200
"""Bytes of *state* and *run*: what lies below takes three times as many (PATH_MAX is 4096), and a
monitor's own socket is found from within its directory."""
_COMPONENT: Final = 255
_GROUPS: Final = 1024
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
