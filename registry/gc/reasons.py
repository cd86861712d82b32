"""Why a digest stays, or when it goes, in words (pure)."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from registry.gc.policy import Rules
from registry.oci.names import RepositoryName
from registry.storage.ports.collection import Facts, Standing
from registry.storage.records import StoredObject

NOTHING = (
    "nothing here has this digest, neither a blob nor a manifest; an upload that is still open is "
    "not known by digest"
)


def explain(
    facts: Facts, rules: Rules, now: float, where: RepositoryName | None = None
) -> list[str]:
    """A line for each reason; of the repository *where* alone, if given."""
    if where is None:
        return _all(facts, rules, now)
    here = _within(facts, where)
    if here.links or here.manifests or here.holders or here.trash:
        return _all(here, rules, now)
    others = {str(name) for name, _ in facts.links}
    others |= {str(each.repository) for each in facts.manifests}
    told = f"{where} has nothing of this digest"
    return [f"{told}; it is in {', '.join(sorted(others))}" if others else told]


def explain_strays(strays: Sequence[StoredObject], rules: Rules, now: float) -> list[str]:
    """The same for objects that lie in the store and that no row knows."""
    lines = []
    for each in strays:
        told = f"object {each.name} of {each.size} bytes lies in the store and no row knows it"
        until = each.made_at + rules.grace
        fate = f"until {_moment(until)}" if until > now else "for the next orphan sweep to remove"
        lines.append(f"{told}: there {fate}")
    return lines


def _all(facts: Facts, rules: Rules, now: float) -> list[str]:
    lines = [
        *_as_manifest(facts, rules, now),
        *_as_subject(facts),
        *_as_blob(facts, rules, now),
    ]
    if not lines and facts.leaving:
        lines = ["its blob was collected; the object is on its way out of the store"]
    elif facts.leaving:
        lines.append("an earlier object of it is on its way out of the store")
    return lines or [NOTHING]


def _within(facts: Facts, where: RepositoryName) -> Facts:
    return replace(
        facts,
        links=tuple(each for each in facts.links if each[0] == where),
        manifests=tuple(each for each in facts.manifests if each.repository == where),
        holders=tuple(each for each in facts.holders if each.by.repository == where),
        trash=tuple(each for each in facts.trash if each[0] == where),
        more_holders=0,
    )


def _as_blob(facts: Facts, rules: Rules, now: float) -> Iterator[str]:
    if facts.blob is None:
        if any(holder.kind == "blob" for holder in facts.holders):
            yield "missing: manifests name it as a blob, and there is none; push it again"
        return
    yield f"blob of {facts.blob.size} bytes, object {facts.blob.object}"
    if facts.bad:
        yield "its bytes were found to be others, or gone: it is absent until it is pushed again"
    for holder in facts.holders:
        if holder.kind == "blob":
            by = holder.by
            yield f"stays: {by.repository} names it in {by.digest}, {_fate(by, rules, now)}"
    if facts.more_holders:
        yield f"and {facts.more_holders} more name it"
    yield from _as_trash(facts, rules, now, "blob")
    yield from _as_promise(facts, rules, now)


def _as_promise(facts: Facts, rules: Rules, now: float) -> Iterator[str]:
    needed = {holder.by.repository for holder in facts.holders if holder.kind == "blob"}
    needed |= {name for name, at, kind in facts.trash if kind == "blob" and at + rules.trash > now}
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
        until = facts.came_at + rules.grace
        when = f"after {_moment(until)}" if until > now else "with the next run"
        yield f"goes {when}: no repository is linked to it"


def _as_manifest(facts: Facts, rules: Rules, now: float) -> Iterator[str]:
    for each in facts.manifests:
        yield f"manifest in {each.repository}, pushed {_moment(each.pushed_at)}"
        fate = _fate(each, rules, now)
        yield f"{'goes' if _goes(each, rules, now) else 'stays'}: {fate}"
    yield from _as_trash(facts, rules, now, "manifest")


def _as_subject(facts: Facts) -> Iterator[str]:
    for holder in facts.holders:
        if holder.kind == "subject" and not facts.manifests:
            yield f"not here, but {holder.by.digest} in {holder.by.repository} is about it"
        elif holder.kind == "subject":
            yield f"{holder.by.digest} in {holder.by.repository} is about it, and stays with it"


def _as_trash(facts: Facts, rules: Rules, now: float, wanted: str) -> Iterator[str]:
    for repository, deleted, kind in facts.trash:
        if kind != wanted:
            continue
        until = deleted + rules.trash
        if until <= now:
            yield (
                f"in the trash of {repository}, whose term ended at {_moment(until)}: "
                "the next run forgets it"
            )
        elif kind == "blob":
            yield f"stays: the trash of {repository} names it, until {_moment(until)}"
        else:
            yield f"in the trash of {repository} since {_moment(deleted)}, until {_moment(until)}"


def _fate(each: Standing, rules: Rules, now: float) -> str:
    """What holds a manifest, or how long nothing need."""
    if each.tags:
        return f"tagged {', '.join(each.tags)}"
    if each.indexes:
        index = next((i for i in each.indexes if not _goes(i, rules, now)), each.indexes[0])
        return f"which the index {index.digest} names, {_fate(index, rules, now)}"
    if each.subject is not None:
        return f"which is about {each.subject}, that is here"
    if each.thrown_at is not None and each.thrown_at + rules.trash > now:
        return f"untagged, but kept for the trash until {_moment(each.thrown_at + rules.trash)}"
    if rules.untagged is None:
        return "untagged; such manifests are kept (gc.untagged_days)"
    until = each.pushed_at + rules.untagged
    if until > now:
        return f"untagged, until {_moment(until)}"
    return "untagged for long enough: it goes to the trash with the next run"


def _goes(each: Standing, rules: Rules, now: float) -> bool:
    held = each.tags or each.indexes or each.subject is not None
    kept = each.thrown_at is not None and each.thrown_at + rules.trash > now
    young = rules.untagged is None or each.pushed_at + rules.untagged > now
    return not (held or kept or young)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
