"""WWW-Authenticate and token scopes, written and read (RFC 6750; docker's token specification)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from registry.auth.ports import Action

CATALOGUE = "registry:catalog:*"
_ALL = frozenset(Action)
_PARAMETER = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked for in one repository. *name* is as the client spells it."""

    name: str
    actions: frozenset[Action]

    def __str__(self) -> str:
        return f"repository:{self.name}:{','.join(a for a in Action if a in self.actions)}"


def write(realm: str, service: str, scopes: Iterable[str], error: str | None = None) -> str:
    """One Bearer challenge, its parameters quoted, all scopes in one value.

    Clients look at one challenge and one scope only (the OCI suite takes the last).
    """
    parameters = {"realm": realm, "service": service}
    scope = " ".join(scopes)
    if scope:
        parameters["scope"] = scope
    if error is not None:
        parameters["error"] = error
    quoted = (f'{name}="{_escaped(value)}"' for name, value in parameters.items())
    return "Bearer " + ",".join(quoted)


def read(header: str) -> dict[str, str]:
    """The parameters of a Bearer challenge; empty if it is none."""
    kind, _, rest = header.partition(" ")
    if kind.lower() != "bearer":
        return {}
    return {
        name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
        for name, value in _PARAMETER.findall(rest)
    }


def parse_scopes(texts: Iterable[str]) -> tuple[list[Scope], bool]:
    """The repositories asked for, and whether the catalogue is; what is not understood is left out.

    Several scopes may stand in one text, divided by spaces.
    """
    scopes: list[Scope] = []
    catalogue = False
    for text in texts:
        for word in text.split():
            if word == CATALOGUE:
                catalogue = True
                continue
            kind, _, rest = word.partition(":")
            name, _, actions = rest.rpartition(":")
            if kind.partition("(")[0] == "repository" and name:
                scopes.append(Scope(name, _actions(actions)))
    return scopes, catalogue


def _actions(text: str) -> frozenset[Action]:
    words = text.split(",")
    if "*" in words:
        return _ALL
    return frozenset(action for action in Action if action in words)


def _escaped(text: str) -> str:
    """*text* within quotes (RFC 9110, 5.6.4)."""
    return re.sub(r'(["\\])', r"\\\1", text)
