"""May a host take a desired state after the one that it has? Absence is never a deletion."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from setspec.desired import DesiredState, Epoch
from setspec.items import Reading

_DROP_LEAST: Final = 3
_DROP_SHARE: Final = 10
"""Percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The desired state that a host has taken last."""

    shim: str
    epoch: Epoch
    rev: int

    @classmethod
    def of(cls, state: DesiredState) -> Self:
        """Where a host stands when it has taken *state*."""
        return cls(shim=state.shim, epoch=state.epoch, rev=state.rev)


class Objection(StrEnum):
    """Why a host does not take a document; the value is a sentence."""

    OTHER_HOST = "the desired state is another host's"
    OTHER_SHIM = "the desired state is another shim's than the host has joined"
    OLDER_EPOCH = "the desired state is of an older epoch: the shim's database was set back"
    OLDER_REV = "the desired state is older than the one that the host has"
    GAP = "the desired state builds on one that the host has not: a complete one is needed"


def objection(state: DesiredState, host: str, taken: Position | None) -> Objection | None:
    """Why *host*, which has taken *taken*, must not take *state*; None if it may.

    A new epoch must begin with a complete document.
    """
    if state.host != host:
        return Objection.OTHER_HOST
    if taken is None:
        return None if state.complete else Objection.GAP
    if state.shim != taken.shim:
        return Objection.OTHER_SHIM
    if state.epoch < taken.epoch:
        return Objection.OLDER_EPOCH
    is_same_epoch = state.epoch == taken.epoch
    if is_same_epoch and state.rev < taken.rev:
        return Objection.OLDER_REV
    if not state.complete and not (is_same_epoch and state.since == taken.rev):
        return Objection.GAP
    return None


@dataclass(frozen=True, slots=True)
class Missing:
    """Sets that a host has and a complete document does not speak of. They run on."""

    sets: tuple[str, ...]
    alarm: bool
    """So many that nothing is to be collected, and an operator told."""


def missing(known: Collection[str], reading: Reading[DesiredState]) -> Missing:
    """Which of the *known* sets a complete document leaves out; a refused one is not left out."""
    document = reading.document
    spoken = {each.set for each in document.sets} | {each.set for each in document.tombstones}
    spoken |= {each.id for each in reading.refused if each.id is not None}
    lost = tuple(sorted(set(known) - spoken))
    is_many = len(lost) >= _DROP_LEAST and len(lost) * 100 > len(set(known)) * _DROP_SHARE
    return Missing(lost, is_many)
