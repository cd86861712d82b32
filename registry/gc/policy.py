"""What counts as garbage (pure): the whole policy, and its reasons in words."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from registry.storage.collection import Facts, Totals

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


def explain(facts: Facts, rules: Rules, now: float) -> list[str]:
    """Why a digest stays, or when it goes: a line for each reason."""
    lines = [*_as_manifest(facts, rules, now), *_as_blob(facts, rules, now)]
    if not lines and facts.leaving:
        lines = ["its blob was collected; the object is on its way out of the store"]
    return lines or ["nothing here has this digest, neither a blob nor a manifest"]


def _as_blob(facts: Facts, rules: Rules, now: float) -> Iterator[str]:
    if facts.blob is None:
        return
    yield f"blob of {facts.blob.size} bytes, object {facts.blob.object}"
    if facts.bad:
        yield "its bytes were found to be others: it is absent until it is pushed again"
    for holder in facts.holders:
        if holder.kind == "blob":
            tags = f"tagged {', '.join(holder.tags)}" if holder.tags else "untagged"
            yield f"stays: {holder.repository} names it in {holder.digest}, {tags}"
    for repository, deleted, kind in facts.trash:
        if kind == "blob":
            until = _moment(deleted + rules.trash)
            yield f"stays: the trash of {repository} names it, until {until}"
    yield from _as_promise(facts, rules, now)


def _as_promise(facts: Facts, rules: Rules, now: float) -> Iterator[str]:
    needed = {holder.repository for holder in facts.holders if holder.kind == "blob"}
    needed |= {repository for repository, _, kind in facts.trash if kind == "blob"}
    for repository, touched in facts.links:
        until = touched + rules.grace
        if repository in needed:
            continue
        if until > now:
            yield f"stays: promised to {repository} until {_moment(until)}"
        else:
            yield (
                f"goes from {repository} with the next run: nothing there names it, "
                f"and it was promised until {_moment(until)} only"
            )
    if not facts.links:
        yield "goes with a run after its grace: no repository is linked to it"


def _as_manifest(facts: Facts, rules: Rules, now: float) -> Iterator[str]:
    for repository, pushed, tags in facts.manifests:
        yield f"manifest in {repository}, pushed {_moment(pushed)}"
        held = False
        if tags:
            held = True
            yield f"stays: tagged {', '.join(tags)}"
        for holder in facts.holders:
            if holder.repository == repository and holder.kind == "manifest":
                held = True
                yield f"stays: the index {holder.digest} names it"
        if held:
            continue
        if rules.untagged is None:
            yield "stays: nothing holds it, but untagged manifests are kept (gc.untagged_days)"
        elif pushed + rules.untagged > now:
            yield f"stays: untagged, until {_moment(pushed + rules.untagged)}"
        else:
            yield "goes to the trash with the next run, unless it is about a manifest that is here"
    for repository, deleted, kind in facts.trash:
        if kind == "manifest":
            until = _moment(deleted + rules.trash)
            yield f"in the trash of {repository} since {_moment(deleted)}, until {until}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
