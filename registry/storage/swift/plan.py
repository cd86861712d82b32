"""How an upload's segments become one object (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from registry.storage.records import Segment

MIB: Final = 1024 * 1024
PLAIN: Final = 8 * MIB
"""Up to so many bytes an upload is written anew as one plain object: a large object costs four
requests, which take as long, and its readers one request more."""
SMALL: Final = MIB
"""Swift reads segments below this one at a second, after the first ten
(``rate_limit_under_size``, ``rate_limit_after_segment``)."""
SMALL_ALLOWED: Final = 8
MERGED: Final = 64 * MIB
"""Bytes at which a run of small segments is long enough."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a large object: one segment as it is, or several that must be written as one."""

    segments: tuple[Segment, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(segment.size for segment in self.segments)

    @property
    def is_stored(self) -> bool:
        """Whether it lies in Swift as it is."""
        return len(self.segments) == 1 and not self.segments[0].content

    @property
    def is_plain(self) -> bool:
        """Whether it is better written as an object of its own than kept as a segment."""
        return len(self.segments) != 1 or self.size <= PLAIN


def parts(segments: Sequence[Segment]) -> list[Part]:
    """*segments* in order; where many are small, those are put together with their neighbours.

    All in one part: they are to be written as one plain object, unless it is one large segment.
    """
    if sum(segment.size for segment in segments) <= PLAIN:
        return [Part(tuple(segments))]
    few = sum(segment.size < SMALL for segment in segments) <= SMALL_ALLOWED
    runs: list[list[Segment]] = []
    size = 0
    """Bytes of the last run."""
    for segment in segments:
        small = segment.size < SMALL or size < SMALL
        if runs and small and not few and size < MERGED:
            runs[-1].append(segment)
            size += segment.size
        else:
            runs.append([segment])
            size = segment.size
    return [Part(tuple(run)) for run in runs]
