"""What a container is made of: two equal recipes need no new container (pure)."""

import json
from collections.abc import Mapping
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


def wanted(
    desired: DesiredSet, row: SetRow, container: ContainerRow, known: Mapping[str, Attempt]
) -> Recipe | None:
    """What a container should be made of now; None while its image is not here.

    A generation that has failed is not made again: the one before it is.
    """
    own = known.get(container.good or "") or known.get(container.current or "")
    if container.failed_generation == row.generation and own is not None:
        return replace(recipe_of(own), is_rollback=True)
    workload = dict(desired.spec.workloads()).get(container.name)
    prepared = parsed(row.prepared)
    if workload is None or prepared.get("generation") != row.generation:
        return None
    ready = prepared["images"][container.name]
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
