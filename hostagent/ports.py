"""The ports of a host: what runs containers, connects them, and keeps their volumes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hostbase.execution import Ended
from hostbase.process import Known
from runspec.limits import Limits
from setspec.desired import DesiredSet, PlacedVolume, Port
from setspec.status import VolumeStatus

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is needed to make a container."""

    set: str
    attempt: str
    """Its id at the runtime."""
    bundle: Path
    """A directory with config.json, which its pid goes to, too."""
    log: Path
    """The file that its output is appended to."""
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Made:
    """A container that was made: its first process, and what watches that."""

    init: Known
    monitor: Known


class Runtime(Protocol):
    """What runs containers.

    A container's life: create -> start -> it ends, by itself or by a signal -> delete. It is known
    by its attempt's id, and is never started twice. Containers and their monitors live on when the
    agent does not. Any method may raise RuntimeFailed.
    """

    def annotations(self, seccomp: Json | None) -> dict[str, str]:
        """What config.json says to this runtime alone, in a container with that profile."""
        ...

    def create(self, launch: Launch) -> Made:
        """Make a container, all but the application's first instruction."""
        ...

    def start(self, attempt: str) -> None:
        """Run a container that was made; nothing where it runs or has run."""
        ...

    def status(self, attempt: str) -> str | None:
        """``created``, ``running``, ``paused`` or ``stopped``; None where there is none."""
        ...

    def delete(self, set_id: str, attempt: str) -> None:
        """Kill what there is of an attempt, and leave nothing of it; nothing where none is."""
        ...

    def exit_code(self, attempt: str) -> int | None:
        """How it ended, as its monitor wrote it down; None where it has not."""
        ...

    def forget_exit(self, attempt: str) -> None:
        """Remove what the monitor wrote down."""
        ...

    def update(self, set_id: str, attempt: str, limits: Limits) -> None:
        """Change a container's limits, whole. Raises LimitRefused where it uses more already."""
        ...

    def run(self, attempt: str, process: Json, seconds: float, stdin: bytes = b"") -> Ended:
        """Run a program in a running container; it is killed after *seconds*."""
        ...

    def freeze(self, set_id: str) -> None:
        """Stop all of a set's processes where they stand."""
        ...

    def thaw(self, set_id: str) -> None:
        """Let a set's processes go on."""
        ...

    def is_frozen(self, set_id: str) -> bool:
        """Whether a set's processes were stopped where they stand."""
        ...

    def memory_used(self, set_id: str, attempt: str) -> int | None:
        """Bytes; None where nothing runs."""
        ...

    def ran_out(self, set_id: str, attempt: str) -> bool:
        """Whether something of an attempt has ended for lack of memory; until it is deleted."""
        ...

    def remove_set(self, set_id: str) -> None:
        """Leave nothing of a set of which no attempt is left."""
        ...


class Network(Protocol):
    """What connects a set's network namespace. Any method may raise NetworkFailed."""

    def attach(self, port: Port, namespace: Path) -> None:
        """Make *port* in *namespace* as it is described; nothing where it is so."""
        ...

    def is_attached(self, port: Port) -> bool:
        """Whether the host's end of a port is there, up and where it belongs; asks nobody."""
        ...

    def detach(self, port: Port) -> None:
        """Remove a port; nothing where it is not."""
        ...


class Volumes(Protocol):
    """Disk that outlives containers and sets. Any method may raise StepFailed."""

    def make(self, desired: DesiredSet) -> dict[str, str]:
        """Make a set's volumes, or find them; answer the directories to mount, by name."""
        ...

    def are_open(self, desired: DesiredSet) -> bool:
        """Whether a set's volumes were made, and can be mounted as they are."""
        ...

    def objections(self, desired: DesiredSet) -> Iterable[tuple[int, str]]:
        """Which of the document's volumes cannot be as it says, and why."""
        ...

    def dismantle(self, desired: DesiredSet, *, purge: bool) -> list[str]:
        """Leave nothing mounted of a set's volumes, or (*purge*) nothing at all; which are kept."""
        ...

    def sets(self) -> dict[str, str]:
        """By volume, the set that has it or was the last to have it."""
        ...

    def retire(self, volume_id: str) -> None:
        """Have a volume be gone at once. Raises NotHere where there is none."""
        ...

    def sweep(self) -> None:
        """Delete the bytes of volumes that are gone; slow."""
        ...

    def all(self) -> list[Json]:
        """All volumes there are, the oldest first."""
        ...

    def pools(self) -> list[Json]:
        """Local storage: what there is, is used, and was promised."""
        ...

    def status(self, placed: Sequence[PlacedVolume]) -> tuple[VolumeStatus, ...]:
        """What those of *placed* that there are hold."""
        ...


@dataclass(frozen=True, slots=True)
class ReadyImage:
    """An image whose layers are all on this host."""

    digest: str
    """The manifest's."""
    config: Json = field(repr=False)
    """The image's config, as in image-spec, config.md."""


class Images(Protocol):
    """The images on this host, and root filesystems made of them."""

    def ensure(
        self, set_id: str, generation: int, reference: str, secret: str | None
    ) -> ReadyImage:
        """Pull an image as far as it is not here, and pin it for a set's generation.

        *reference* carries a digest where it is known. Raises StepFailed.
        """
        ...

    def prepare(self, disk: str, digest: str, most: int) -> Path:
        """The root filesystem *disk* on an image, mounted; made where it is not.

        It takes *most* bytes beside the image's.
        """
        ...

    def release(self, disk: str) -> None:
        """Unmount a root filesystem; its bytes stay."""
        ...

    def remove(self, disk: str) -> None:
        """Remove a root filesystem and its bytes; nothing where it is not."""
        ...

    def progress(self, set_id: str) -> tuple[int, int] | None:
        """Bytes that are here, and in all, of what is pulled for a set; None where nothing is."""
        ...

    def unpin(self, set_id: str, generation: int | None) -> None:
        """Let go of the images of a set's generations up to this one; None: of all."""
        ...
