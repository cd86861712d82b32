"""Repository names, tags and references (distribution-spec, "Pulling manifests")."""

import re
from dataclasses import dataclass
from typing import Self

from registry.oci.digest import Digest
from registry.oci.errors import NameInvalid

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)
NAME_LIMIT = 255
"""Characters of a whole name: what Docker's clients bear (distribution-spec, footnote on names)."""


@dataclass(frozen=True, slots=True, order=True)
class RepositoryName:
    """A repository, as the ledger knows it: a project's id and the name within that project."""

    project: str
    path: str

    def __str__(self) -> str:
        return f"{self.project}/{self.path}"


@dataclass(frozen=True, slots=True, order=True)
class Tag:
    """A movable name of a manifest."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read *text*; raise NameInvalid if it is no tag."""
        if not _TAG.fullmatch(text):
            raise NameInvalid(
                "a tag has 1 to 128 characters: letters, digits, '_', '.' and '-', "
                "and begins with none of the last two"
            )
        return cls(text)

    def __str__(self) -> str:
        return self.name


Reference = Tag | Digest


def parse_repository(text: str, *, default_project: str) -> RepositoryName:
    """Read ``<project>/<path>``; one component alone belongs to *default_project*.

    Raises NameInvalid where the distribution-spec's grammar is not met or the name is too long.
    """
    if len(text) > NAME_LIMIT:
        raise NameInvalid(f"a repository name has at most {NAME_LIMIT} characters")
    if not _NAME.fullmatch(text):
        raise NameInvalid(
            "a repository name is made of components of lower-case letters and digits, divided by "
            "'.', '_', '__' or '-', and joined by '/'"
        )
    project, slash, path = text.partition("/")
    if not slash:
        return RepositoryName(default_project, project)
    return RepositoryName(project, path)


def parse_reference(text: str) -> Reference:
    """Read a tag or a digest: whatever holds a colon is meant as a digest.

    Raises NameInvalid or DigestInvalid.
    """
    return Digest.parse(text) if ":" in text else Tag.parse(text)
