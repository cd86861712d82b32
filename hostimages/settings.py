"""What an operator may set about images: registries, patience, limits, watermarks."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """How registries are reached."""

    plain_http: frozenset[str] = frozenset()
    """Registries (host:port) asked without TLS; those on the loopback are so in any case."""
    ca_file: Path | None = None
    """Certificates of authorities, in PEM, beside the system's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a registry is borne with."""

    connect: timedelta = timedelta(seconds=10)
    window: timedelta = timedelta(seconds=30)
    """Over which the least rate is held; a silence of this length ends a request."""
    least_rate: int = 16 * 1024
    """Bytes a second while the agent waits for bytes; time spent unpacking does not count."""
    deadline: timedelta = timedelta(hours=1)
    """For one layer, from its first request to its last byte."""
    tries: int = 5
    """Of one request, when the registry is away, breaks off or says 429 or 503."""
    longest_wait: timedelta = timedelta(seconds=60)
    """The most that is waited between two tries, whatever Retry-After asks."""

    def __post_init__(self) -> None:
        if self.tries < 1 or self.least_rate < 0 or self.window <= timedelta(0):
            raise ValueError("tries and window must be positive, least_rate not negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLimits:
    """What one layer may come to, counted as it is written."""

    bytes: int = 64 * GIB
    entries: int = 2_000_000
    depth: int = 256
    """Components of a path."""
    time: timedelta = timedelta(hours=1)
    """From the first byte to the last, waiting for the network included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermarks:
    """When unneeded layers go: above *high* of the limit, until *low* of it is reached."""

    bytes: int = 100 * GIB
    inodes: int = 5_000_000
    free_bytes: int = 2 * GIB
    """Of the file system; less than this is above the mark, too."""
    free_inodes: int = 50_000
    high: float = 0.9
    low: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= 1:
            raise ValueError("watermarks: 0 < low <= high <= 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """[images]"""

    directory: Path
    """The cache: 0700, on one file system, made if absent. One agent at a time."""
    parallel_layers: int = 4
    """Fetched and unpacked at once."""
    registries: RegistrySettings = field(default_factory=RegistrySettings)
    patience: Patience = field(default_factory=Patience)
    layer: LayerLimits = field(default_factory=LayerLimits)
    watermarks: Watermarks = field(default_factory=Watermarks)

    def __post_init__(self) -> None:
        if self.parallel_layers < 1:
            raise ValueError("images.parallel_layers must be at least 1")
