"""Sets as an agent may see them, made up: what a plan is made from, without a host."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any

from hostagent.host import document_of
from hostagent.recipes import SSH, Recipe, login_recipe
from hostagent.reconcile import plan
from hostagent.records import (
    Attempt,
    AttemptState,
    OperationRow,
    OperationState,
    SetRow,
    Trouble,
)
from hostagent.seen import Seen
from hostagent.set_steps import spelled
from runspec.bundle import limits_of
from setspec.desired import DesiredSet, Level
from support.agents import changed, placed, shop

NOW = 1000.0
CREATED, STARTED, ENDED = AttemptState.CREATED, AttemptState.STARTED, AttemptState.ENDED
INTENDED, REMOVED = AttemptState.INTENDED, AttemptState.REMOVED
NETWORK = [{"name": "default"}]
LOGIN = {"container": "c0", "password": "correct horse"}
ONE_SECOND = {"readiness": {"min_ready_s": 1}}


class Sight:
    """One set: begin with what is wanted, add what there is; ``seen`` is all of it.

    Attempts are called ``a0`` for the container c0, ``n0`` for what is to replace it.
    """

    def __init__(self, *containers: dict[str, Any], **more: Any) -> None:
        self.document = shop(*(containers or ({}, {})), **more)
        self.desired: DesiredSet = placed(self.document)
        self.seen = self._empty()

    def _empty(self) -> Seen:
        desired = self.desired
        images = {
            name: {"digest": f"sha256:{'1' * 64}", "image": {"config": {}}}
            for name, _ in desired.spec.workloads()
        }
        row = SetRow(
            set=desired.set,
            generation=1,
            level=desired.level,
            document=document_of(desired),
            prepared=json.dumps({"generation": 1, "images": images}),
            network=spelled(desired.allocation.ports, done=True),
            volumes=json.dumps({"generation": 1, "paths": {}}),
        )
        return Seen(
            row=row, desired=desired, containers={}, attempts={}, alive=frozenset(),
            monitored=frozenset(), exits=frozenset(), readings={}, is_pinned=True,
            is_elsewhere=False, has_links=True,
            has_open_volumes=True, is_frozen=False, operations=(), troubles={},
            is_dismantled=False, now=NOW,
        )  # fmt: skip

    def but(self, **fields: Any) -> "Sight":
        """With other fields of what is seen."""
        self.seen = replace(self.seen, **fields)
        return self

    def row(self, **fields: Any) -> "Sight":
        """With other fields of the set's row."""
        return self.but(row=replace(self.seen.row, **fields))

    def container(self, name: str, **fields: Any) -> "Sight":
        """With other fields of a container's row."""
        rows = {**self.seen.containers, name: replace(self.seen.container(name), **fields)}
        return self.but(containers=rows)

    def level(self, level: Level) -> "Sight":
        """The set shall be at *level*."""
        self.desired = replace(self.desired, level=level)
        return self.row(level=level, document=document_of(self.desired)).but(desired=self.desired)

    def wants(self, *containers: dict[str, Any], **more: Any) -> "Sight":
        """Another generation of the document, whose images are here; what there is stays."""
        self.document = shop(*containers, **more)
        fresh = changed(self.desired, self.document)
        generation = self.seen.row.generation + 1
        self.desired = replace(fresh, generation=generation, allocation=replace(
            fresh.allocation, ports=self.desired.allocation.ports))  # fmt: skip
        images = {
            name: {"digest": f"sha256:{workload.image[-1] * 64}", "image": {"config": {}}}
            for name, workload in self.desired.spec.workloads()
        }
        return self.row(
            generation=generation,
            document=document_of(self.desired),
            prepared=json.dumps({"generation": generation, "images": images}),
            volumes=json.dumps({"generation": generation, "paths": {}}),
        ).but(desired=self.desired)

    def attempt(
        self, name: str, state: AttemptState, *, role: str = "current", alive: bool | None = None,
        **fields: Any,
    ) -> "Sight":  # fmt: skip
        """With an attempt of a container; alive and monitored where its state says so."""
        number = name.removeprefix("c")
        id_ = f"{'n' if role == 'next' else 'a'}{number}"
        recipe = self._recipe(name)
        runs = state in {CREATED, STARTED} if alive is None else alive
        made = Attempt(
            **{
                "id": id_, "set": self.desired.set, "container": name,
                "generation": self.seen.row.generation, "disk": f"disk-{id_}",
                "digest": recipe.digest, "recipe": recipe.fingerprint, "spec": recipe.spec,
                "image": recipe.image, "boot": "b",
                "limits": json.dumps(asdict(limits_of(recipe.workload))), "state": state,
                "started_at": NOW - 100 if state in {STARTED, ENDED} else None,
                "ended_at": NOW - 50 if state is ENDED else None,
                "exit_code": 0 if state is ENDED else None, **fields,
            }
        )  # fmt: skip
        self.container(name, **{role: id_})
        return self.but(
            attempts={**self.seen.attempts, id_: made},
            alive=self.seen.alive | ({id_} if runs else set()),
            monitored=self.seen.monitored | ({id_} if runs else set()),
        )

    def ready(self, *names: str) -> "Sight":
        """With containers that run and are ready."""
        for name in names:
            self.attempt(name, STARTED, ready_at=NOW - 90)
            self.container(name, was_ready=True)
        return self

    def sshd(self, state: AttemptState, *, beside: str = "c0", **fields: Any) -> "Sight":
        """With sshd beside a container's attempt."""
        ssh, target = self.desired.spec.ssh, self.seen.current(beside)
        assert ssh is not None
        assert target is not None
        self._login = login_recipe(ssh, target)
        return self.attempt(SSH, state, **fields)

    def operation(
        self, kind: str, args: dict[str, Any] | None = None, *,
        targets: Iterable[str] | None = None,
    ) -> "Sight":  # fmt: skip
        """With an operation; with *targets*, one that has begun on these containers."""
        row = OperationRow(
            id="op", set=self.desired.set, kind=kind, args=json.dumps(args or {}),
            state=OperationState.PENDING if targets is None else OperationState.RUNNING,
            targets=None if targets is None else json.dumps(
                {name: self.seen.container(name).current for name in targets}
            ),
        )  # fmt: skip
        return self.but(operations=(row,))

    def trouble(self, step: str, *, count: int = 1, wait: float = 5) -> "Sight":
        """With a step that has failed."""
        row = Trouble(
            set=self.desired.set, step=step, text="it failed", count=count, retry_at=NOW + wait
        )
        return self.but(troubles={**self.seen.troubles, step: row})

    def _recipe(self, name: str) -> Recipe:
        if name == SSH:
            return self._login
        recipe = self.seen.wanted(name)
        assert recipe is not None
        return recipe


Case = tuple[Callable[[], Sight], list[str]]
"""What there is and should be, and what is done about it."""


def steps_for(sight: Sight) -> list[str]:
    """What is done about it, by the steps' keys."""
    return [step.key for step in plan(sight.seen).steps]
