"""What is wrong with a document: where, what, why, and what to do."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Path = tuple[str | int, ...]
"""The way from a document's root to a value: names of fields and places in lists."""

FAULT_LIMIT: Final = 50
"""So many faults are told at once; a hostile document may have millions."""

_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. *path* is the field's, also where the field is missing."""

    path: Path
    rule: str
    """The rule that is broken: a JSON Schema keyword, or the name of a rule of ours."""
    what: str
    why: str
    fix: str

    @property
    def pointer(self) -> str:
        """The field as an RFC 6901 JSON pointer."""
        return pointer(self.path)

    def as_json(self) -> dict[str, str]:
        """What an API answers."""
        return {
            "pointer": self.pointer,
            "rule": self.rule,
            "what": self.what,
            "why": self.why,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        where = json.dumps(self.pointer)[1:-1] or "the document"
        told = (f"{where} {self.what}", self.why, self.fix)
        return ". ".join(part.rstrip(".") for part in told if part)


class DocumentInvalid(Exception):
    """A document is refused. *more*: it has further faults than those that are told."""

    def __init__(self, faults: Iterable[Fault], *, more: bool = False) -> None:
        self.faults = tuple(faults)
        self.more = more
        super().__init__(self.faults, more)

    def as_json(self) -> dict[str, object]:
        """What an API answers."""
        return {"faults": [fault.as_json() for fault in self.faults], "more": self.more}

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults]
        return "\n".join([*lines, "and more"] if self.more else lines)


class Faults:
    """One fault for each field, up to FAULT_LIMIT; then only that there are more."""

    def __init__(self) -> None:
        self._found: dict[Path, Fault] = {}
        self.more = False

    def add(self, fault: Fault) -> None:
        """Keep *fault*, unless its field has one already, or there are enough."""
        if fault.path in self._found:
            return
        if len(self._found) < FAULT_LIMIT:
            self._found[fault.path] = fault
        else:
            self.more = True

    def extend(self, faults: Iterable[Fault]) -> None:
        """Keep *faults*; the iterable is left as soon as there are enough."""
        for fault in faults:
            self.add(fault)
            if self.more:
                return

    def found(self) -> tuple[Fault, ...]:
        """All that was kept, in the document's order as far as names and places give one."""
        return tuple(sorted(self._found.values(), key=_order))

    def refuse_if_any(self) -> None:
        """Raise DocumentInvalid unless nothing was found."""
        if self._found:
            raise DocumentInvalid(self.found(), more=self.more)


def pointer(path: Path) -> str:
    """*path* as an RFC 6901 JSON pointer; the document itself is the empty string."""
    return "".join(f"/{_escaped(str(step))}" for step in path)


def shown(value: object) -> str:
    """*value* as JSON in ASCII, shortened, for a sentence."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def sentence(text: str) -> str:
    """*text* with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def _order(fault: Fault) -> tuple[tuple[int, str], ...]:
    return tuple((step, "") if isinstance(step, int) else (-1, step) for step in fault.path)
