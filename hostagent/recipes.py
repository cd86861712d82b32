"""What a container is made of: two equal recipes need no new container (pure)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from hostagent.ports import Json
from hostagent.records import Attempt, ContainerRow, SetRow, parsed
from runspec.limits import Limits
from setspec.canonical import digest
from setspec.desired import DesiredSet
from setspec.normal import Container, Infra, Ssh, Workload
from setspec.shape import dump, load
from sshd.bundle import workload

SSH: Final = "_ssh"
"""The row of sshd beside a container; no container is called so."""
_LIVE = ("cpu", "mem", "restart", "readiness", "stop", "image", "index")
"""What is changed without a new container; an image counts by its digest."""

Containers = Mapping[str, ContainerRow]
"""A set's, by name."""
Attempts = Mapping[str, Attempt]
"""A set's, by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A container's image and document."""

    workload: Workload
    spec: str
    """JSON of *workload*."""
    image: str
    """JSON of the image's config."""
    digest: str
    fingerprint: str
    disk: str | None = None
    is_rollback: bool = False
    """It is what the container was, not what the document says."""


def wanted(
    desired: DesiredSet, row: SetRow, containers: Containers, name: str, known: Attempts
) -> Recipe | None:
    """What a container should be made of now; None while its image is not here.

    A generation that has failed for one container is made of no other: each is as it was before.
    """
    fresh = _in_document(desired, row, name)
    container = containers.get(name)
    if container is None or not has_failed(row, containers.values()):
        return fresh
    own = _own(row, container, known)
    return fresh if own is None or _is_of(own, fresh) else _again(own)


def anew(
    desired: DesiredSet, row: SetRow, containers: Containers, name: str, known: Attempts
) -> Recipe | None:
    """What a container of which nothing is left is made of, where nothing stands in its place.

    In a set that runs that is what it was: only a gray update, which has a way back, changes it.
    """
    recipe = wanted(desired, row, containers, name, known)
    container = containers.get(name)
    if container is None or not (container.was_ready or container.next):
        return recipe
    own = _own(row, container, known)
    return recipe if own is None or _is_of(own, recipe) else _again(own)


def has_failed(row: SetRow, containers: Iterable[ContainerRow]) -> bool:
    """Whether a set's generation has failed for any container: then it is tried for none."""
    return any(each.failed_generation == row.generation for each in containers)


def _own(row: SetRow, container: ContainerRow, known: Attempts) -> Attempt | None:
    """What a container is, or what it was before this generation failed for it."""
    current, good = known.get(container.current or ""), known.get(container.good or "")
    is_failed = container.failed_generation == row.generation
    return (good or current) if is_failed else (current or good)


def _is_of(attempt: Attempt, recipe: Recipe | None) -> bool:
    return recipe is not None and recipe.fingerprint == attempt.recipe


def _again(attempt: Attempt) -> Recipe:
    return replace(recipe_of(attempt), disk=attempt.disk, is_rollback=True)


def _in_document(desired: DesiredSet, row: SetRow, name: str) -> Recipe | None:
    """What the document says, once its images are here."""
    workload = dict(desired.spec.workloads()).get(name)
    prepared = parsed(row.prepared)
    if workload is None or prepared.get("generation") != row.generation:
        return None
    ready = prepared["images"][name]
    spec = _spelled(workload)
    image = json.dumps(ready["image"])
    return Recipe(
        workload=workload,
        spec=spec,
        image=image,
        digest=ready["digest"],
        fingerprint=_fingerprint(spec, ready["digest"]),
    )


def login_recipe(ssh: Ssh, target: Attempt) -> Recipe:
    """What sshd beside *target* is made of; with each run of the container it is another one."""
    spec = json.dumps(dump(workload(workload_of(target.spec))))
    return Recipe(
        workload=workload_of(spec),
        spec=spec,
        image="{}",
        digest=target.digest,
        fingerprint=digest({"beside": target.id, "ssh": dump(ssh)}),
    )


def recipe_of(attempt: Attempt) -> Recipe:
    """What an attempt was made of."""
    return Recipe(
        workload=workload_of(attempt.spec),
        spec=attempt.spec,
        image=attempt.image,
        digest=attempt.digest,
        fingerprint=attempt.recipe,
    )


@lru_cache(maxsize=4096)
def _spelled(workload: Workload) -> str:
    return json.dumps(dump(workload))


@lru_cache(maxsize=4096)
def workload_of(spec: str) -> Workload:
    """The workload that an attempt's JSON is."""
    value: Json = json.loads(spec)
    return load(Container, value) if "index" in value else load(Infra, value)


def limits_in(text: str) -> Limits:
    """The limits that an attempt's JSON says."""
    return Limits(**json.loads(text))


@lru_cache(maxsize=4096)
def _fingerprint(spec: str, image: str) -> str:
    value: Json = json.loads(spec)
    lasting = {name: what for name, what in value.items() if name not in _LIVE}
    limits = {name: what for name, what in value["limits"].items() if name != "pids"}
    return digest({**lasting, "limits": limits, "digest": image})
