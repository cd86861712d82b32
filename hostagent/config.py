"""The agent's configuration: one TOML file, checked, into frozen dataclasses."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from setspec.privileges import Privilege
from setspec.units import Units
from volumes.settings import StorageSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """[agent]"""

    state: Path = Path("/var/lib/berth-agent")
    """What outlives boots: the store, bundles, labels, images, volumes. 0700."""
    run: Path = Path("/run/berth-agent")
    """What a boot ends: namespaces, the runtime's state, secrets. 0700, on a tmpfs."""
    socket: Path | None = None
    """Where the API is; else agent.sock in *run*. 0600."""
    cgroup: str = "/berth"
    """The path below which all groups are."""
    prefix: str = "bt"
    """What the names of interfaces begin with; at most 4 letters and digits."""
    runtime: str = "auto"
    """``crun``, ``runc``, or ``auto``: crun where it is installed."""
    boot_id: Path = Path("/proc/sys/kernel/random/boot_id")
    """A file whose text is another one after each boot."""
    seccomp: Path = Path("/usr/share/containers/seccomp.json")
    """The profile for what is not privileged."""
    health: str | None = None
    """Where ``/healthz`` and ``/metrics`` are, as in 127.0.0.1:9317; nowhere without it."""
    registry: str | None = None
    """What goes before an image without a registry, as in registry.example:5000/library."""
    workers: int = 8
    """Sets that are worked on at once."""
    autostart: bool = False
    """After a reboot sets start without the shim's word."""
    allow_privileged: bool = False
    allow_host_network: bool = False
    allow_host_path: bool = False
    allow_vlan: bool = False

    def __post_init__(self) -> None:
        if self.runtime not in {"auto", "crun", "runc"}:
            raise ValueError('agent.runtime must be "auto", "crun" or "runc"')
        if not re.fullmatch(r"[A-Za-z0-9]{1,4}", self.prefix):
            raise ValueError("agent.prefix must be 1 to 4 letters and digits")
        if self.health is not None and not re.fullmatch(r"[^\s\0]+:\d{1,5}", self.health):
            raise ValueError("agent.health must be an address and a port, as in 127.0.0.1:9317")
        if self.workers < 1:
            raise ValueError("agent.workers must be at least 1")
        if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[^/\s\0]+)+", self.cgroup):
            raise ValueError("agent.cgroup must be a path below /, as in /berth")

    @property
    def address(self) -> Path:
        """The API's socket."""
        return self.socket or self.run / "agent.sock"

    @property
    def allowed(self) -> frozenset[str]:
        """The privileges that this host lends."""
        return frozenset(each for each in Privilege if getattr(self, f"allow_{each}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """[networks.NAME]: a network on a Linux bridge."""

    bridge: str
    """The interface; made where it is not there."""
    address: str
    """The host's own address and the network's length, as in 10.88.0.1/16: the sets' gateway."""

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_interface(self.address)
        except ValueError as error:
            raise ValueError(f"networks.….address: {error}") from error
        if not re.fullmatch(r"(?!\.{1,2}$)[^/:\s\0]{1,15}", self.bridge):  # as the kernel has it
            raise ValueError("networks.….bridge must have 1 to 15 characters, no space, / or :")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesConfig:
    """[images]"""

    plain_http: tuple[str, ...] = ()
    """Registries (host:port) asked without TLS; those on the loopback are so in any case."""
    ca_file: Path | None = None
    """Certificates of authorities, in PEM, beside the system's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetConfig:
    """[set]"""

    units: Units = field(default_factory=Units)
    """[set.units]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it."""

    agent: AgentConfig = field(default_factory=AgentConfig)
    images: ImagesConfig = field(default_factory=ImagesConfig)
    storage: StorageSettings = field(default_factory=StorageSettings)
    networks: Mapping[str, NetworkConfig] = field(default_factory=dict)
    set: SetConfig = field(default_factory=SetConfig)
