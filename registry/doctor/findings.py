"""What was looked at, and what was found."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

APART: Final = 30.0
"""Seconds by which clocks may differ: tokens are believed for twice as much."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. Nothing found is secret."""

    what: str
    good: bool | None
    """None: it could not be looked at, or is not used."""
    found: str
    mend: str = ""
    """What to do about it."""


class Unwell(Exception):
    """A check that cannot go on: what was found, and what to do."""

    def __init__(self, found: str, mend: str) -> None:
        super().__init__(found)
        self.found = found
        self.mend = mend


def looked(what: str, look: Callable[[], str], mend: str = "") -> Finding:
    """What *look* found, in words; where it raised Unwell, that, and what to do (else *mend*)."""
    try:
        return Finding(what, good=True, found=look())
    except Unwell as error:
        return Finding(what, good=False, found=error.found, mend=error.mend or mend)


def compare_clock(whose: str, theirs: float) -> Finding:
    """*theirs* is their time (seconds since the epoch) as of now."""
    ahead = theirs - time.time()
    found = f"{abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
    mend = "let both machines follow the same time servers (chrony, systemd-timesyncd)"
    return Finding(f"clock of {whose}", abs(ahead) <= APART, found, mend)


def compare_date(whose: str, header: str | None) -> Finding:
    """The same, by an answer's Date header."""
    if header is None:
        return Finding(f"clock of {whose}", None, "the answer has no Date")
    return compare_clock(whose, parsedate_to_datetime(header).timestamp())
