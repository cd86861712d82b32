"""What can be changed while a container runs, and why a container cannot be run."""

from dataclasses import dataclass


class CannotRun(Exception):
    """An image and a document that do not make a container: what is missing, and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, millicores, processes."""

    mem: int
    cpu: int
    pids: int
