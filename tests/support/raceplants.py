"""Faults put into the collector on purpose: the race that stays green on one is no good."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Self

from sqlalchemy import ColumnElement, Connection, Select, true

from registry.oci.digest import Digest
from registry.storage import filesystem
from registry.storage.ledger import condemning, founding, links
from registry.storage.ledger.prepared import Rows


class Unlocking(Select[Any]):
    """A SELECT that locks nothing."""

    inherit_cache = True

    def with_for_update(self, **_: Any) -> Self:
        return self


def nothing_is_locked() -> None:
    """Condemnation takes neither the project's row nor the blobs'."""

    def unlocked(connection: Connection, name: str) -> None:
        del connection, name

    module: Any = condemning
    module.lock_project = unlocked
    module.select = Unlocking


def nothing_is_looked_at_again() -> None:
    """Whatever the plan says goes."""

    def condemned(before: float) -> ColumnElement[bool]:
        del before
        return true()

    module: Any = condemning
    module.is_unneeded = condemned


def an_object_name_is_used_again() -> None:
    """A deletion that comes late then hits what was pushed since."""

    def same(digest: Digest) -> str:
        return f"{digest.algorithm}/{digest.encoded}/00000000-0000-0000-0000-000000000001"

    module: Any = filesystem
    module.new_object_name = same


def a_rebuilt_ledger_knows_objects_that_are_gone() -> None:
    """Whoever pushes a blob that was collected before is given the object of that time.

    Two rules guard against it: a ledger forgets at its rebuild what nobody is linked to, and a
    push believes no row of such a blob. Each has a test of its own; here both are away.
    """
    module: Any = founding
    module.forget_unlinked = lambda _: None
    module = links
    real = module._FIND_BLOB

    def find(connection: Connection, **wanted: object) -> Rows:
        rows: Rows = real(connection, **wanted)
        linked = [SimpleNamespace(**{**row._asdict(), "linked": True}) for row in rows]
        return replace(rows, found=linked)

    module._FIND_BLOB = find


PLANTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (
        nothing_is_locked,
        nothing_is_looked_at_again,
        an_object_name_is_used_again,
        a_rebuilt_ledger_knows_objects_that_are_gone,
    )
}
