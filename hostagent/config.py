"""The agent's configuration: one TOML file, checked, into frozen dataclasses."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hostagent import spelling
from hostimages import naming
from placing import networks
from setspec.privileges import Privilege
from setspec.units import Units
from volumes.settings import StorageSettings

_WORKERS: Final = 256
"""Threads, of which each holds files and starts programs."""


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
        if not 1 <= self.workers <= _WORKERS:
            raise ValueError(f"agent.workers must lie between 1 and {_WORKERS}")
        for name in ("state", "run"):
            spelling.hold_place(f"agent.{name}", getattr(self, name))
        if self.state == self.run:
            raise ValueError("agent.state outlives boots, and agent.run does not: name two places")
        spelling.hold_socket(self.address)
        spelling.hold_cgroup(self.cgroup)
        if self.health is not None:
            spelling.hold_health(self.health)
        if self.registry is not None:
            naming.hold_registry(self.registry)

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
        networks.hold_address(self.address)
        networks.hold_bridge(self.bridge)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesConfig:
    """[images]"""

    plain_http: tuple[str, ...] = ()
    """Registries (host:port) asked without TLS; those on the loopback are so in any case."""
    ca_file: Path | None = None
    """Certificates of authorities, in PEM, beside the system's own."""

    def __post_init__(self) -> None:
        naming.hold_plain_http(self.plain_http)


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

    def __post_init__(self) -> None:
        networks.hold_apart({name: each.address for name, each in self.networks.items()})
