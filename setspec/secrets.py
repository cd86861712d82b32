"""Secrets are taken out of a document before it is stored: references stand in their places."""

import base64
import copy
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from setspec.faults import Path, pointer
from setspec.loose import visit
from setspec.strict import JsonObject


class SecretKind(StrEnum):
    """What a secret is."""

    PASSWORD = "password"  # noqa: S105 - a kind, not a password
    """A login password: only its crypt(5) hash is to be kept."""
    TEXT = "text"
    """A variable's value or a file's text."""
    BASE64 = "base64"
    """A file's bytes, in base64."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What stood at *path*, and the reference that stands there now."""

    reference: str
    kind: SecretKind
    path: Path
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Split:
    """A document that may be stored and logged, and what may not."""

    document: JsonObject
    secrets: tuple[Secret, ...]


NewReference = Callable[[str, str], str]
"""A new reference for the secret at a pointer (first) with a value (second)."""

CRYPT: Final = re.compile(r"\$(?:y|gy|7|6|5|2[aby])\$[./A-Za-z0-9,=$-]{1,384}", re.ASCII)
"""A password hashed as crypt(5) has it, by a method that is still thought strong."""

Places = tuple[tuple[SecretKind, Path], ...]
"""Where secrets may stand; ``*`` is every name, or every place of a list."""

DEPLOY: Final[Places] = (
    (SecretKind.TEXT, ("files", "*", "content")),
    (SecretKind.BASE64, ("files", "*", "content_base64")),
)
"""In what is asked of the operation deploy."""
PASSWORD: Final[Places] = ((SecretKind.PASSWORD, ("password",)),)
"""In what is asked of the operation set-password."""
SET: Final[Places] = (
    (SecretKind.PASSWORD, ("ssh", "password")),
    *(
        (kind, (*workload, *steps))
        for workload in (("infra",), ("containers", "*"))
        for kind, steps in ((SecretKind.TEXT, ("env", "*")), *DEPLOY)
    ),
)
"""In a set document v3."""

_LOGIN: Final = "/ssh/password"
_PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----")
_TELLING: Final = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|(private|api|access|signing)[_.-]?key",
    re.IGNORECASE,
)


def reused(known: Mapping[str, str], is_hash_of: Callable[[str, str], bool]) -> NewReference:
    """References for a document that is sent anew: a secret that is *known* keeps its own.

    *known* are a set's references and what is kept of each; *is_hash_of* tells whether what is
    kept (first) is a password's (second) hash. Without this, the same document again would be
    another one.
    """

    def reference(where: str, value: str) -> str:
        is_same = is_hash_of if where == _LOGIN else str.__eq__
        own = (name for name, kept in known.items() if is_same(kept, value))
        return next(own, None) or str(uuid.uuid4())

    return reference


def split(document: JsonObject, new_reference: NewReference, places: Places = SET) -> Split:
    """*document* without its secrets, which may be of any form; *document* is left as it is.

    Secrets are ssh's password, whatever is written ``{"secret": TEXT}``, variables whose name
    speaks of a password, token, secret or key, and files and variables that hold a private key.
    """
    clean = copy.deepcopy(document)
    secrets = []
    for path, kind, holder, name in _slots(clean, places):
        value = holder[name]
        if isinstance(value, dict) and isinstance(value.get("secret"), str):
            value = value["secret"]
        elif not isinstance(value, str) or not _is_secret(path, kind, value):
            continue
        reference = new_reference(pointer(path), value)
        secrets.append(Secret(reference, kind, path, value))
        holder[name] = {"secret_ref": reference}
    return Split(clean, tuple(secrets))


def references(document: JsonObject, places: Places = SET) -> tuple[tuple[Path, str], ...]:
    """Where *document* refers to secrets, and the references."""
    return tuple(
        (path, holder[name]["secret_ref"])
        for path, _, holder, name in _slots(document, places)
        if isinstance(holder[name], dict) and isinstance(holder[name].get("secret_ref"), str)
    )


def _slots(document: JsonObject, places: Places) -> Iterator[tuple[Path, SecretKind, Any, Any]]:
    """Where secrets may stand: path, kind, the object that holds it, its name there."""
    for kind, steps in places:
        for path, holder, name in [*visit(document, steps)]:
            yield path, kind, holder, name


def _is_secret(path: Path, kind: SecretKind, value: str) -> bool:
    if kind is SecretKind.PASSWORD:
        return True
    if path[-2] == "env" and _TELLING.search(str(path[-1])):
        return True
    return _PRIVATE_KEY.search(_decoded(value) if kind is SecretKind.BASE64 else value) is not None


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode("latin-1")
    except ValueError:
        return ""
