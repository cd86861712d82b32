"""What can go wrong on a host; each says what, why, and what to do."""

from http import HTTPStatus
from pathlib import Path


class HostError(Exception):
    """Told to the caller in one sentence; *status* is its answer over HTTP."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR


class NotHere(HostError):
    """There is no such set, container or operation on this host."""

    status = HTTPStatus.NOT_FOUND


class Conflict(HostError):
    """What is asked does not fit to what is: a stale generation, a key used for something else."""

    status = HTTPStatus.CONFLICT


class Lost(Conflict):
    """A file of the agent's own is gone or damaged; *remedy* makes it anew."""

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        super().__init__(f"the agent's own {path} cannot be read: {why}; {remedy}")


class Refused(HostError):
    """What this host does not do."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class DiskFailed(HostError):
    """The agent's own disk does not take what must be written: nothing was changed."""

    status = HTTPStatus.INSUFFICIENT_STORAGE

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"the agent cannot write: {error}; nothing was changed: free space at agent.state, "
            "and do it again"
        )


class StepFailed(HostError):
    """A step could not be done; it is tried again after a while."""


class CannotBe(StepFailed):
    """What is asked for cannot be, however often it is tried; an operation has failed then."""


class RuntimeFailed(StepFailed):
    """The OCI runtime or its monitor said no."""


class NetworkFailed(StepFailed):
    """The kernel's network said no."""


class LimitRefused(StepFailed):
    """A limit cannot be had while a container runs, as where it uses more than that already."""
