"""What counts as garbage (pure): the whole policy."""

from dataclasses import dataclass

from registry.storage.ports.collection import Totals

HOUR = 3600.0
DAY = 24 * HOUR
BRAKE_FROM = 100
"""Blobs below which no brake holds: of ten blobs, six may well be garbage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Terms in seconds."""

    grace: float = DAY
    """How long a blob is left alone after it was promised: uploaded, mounted, or looked at."""
    uploads: float = DAY
    """After which an upload that nobody writes to is given up."""
    trash: float = 14 * DAY
    """For which what was deleted can be taken back."""
    untagged: float | None = None
    """After which a manifest that nothing holds goes to the trash; None: it stays."""
    brake: float = 0.5
    """The share of all bytes over which nothing is swept without being told to."""


def is_braked(rules: Rules, doomed: Totals, all_: Totals) -> bool:
    """Whether so much would go that somebody should look first."""
    return doomed.blobs >= BRAKE_FROM and doomed.bytes > rules.brake * all_.bytes
