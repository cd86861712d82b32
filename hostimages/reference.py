"""Where an image is: a registry, a repository, a tag or a digest; and with what it is asked for."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Self

from hostimages.errors import ReferenceInvalid
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.names import Tag, parse_repository

_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9-]+)*|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?",
    re.ASCII,
)
_HTTPS = 443


@dataclass(frozen=True, slots=True)
class ImageReference:
    """``registry[:port]/repository[:tag][@digest]``, read; a digest decides, whatever the tag."""

    registry: str
    """Host, and port where it is given."""
    repository: str
    tag: str
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read *text*; raise ReferenceInvalid where it does not say registry and repository."""
        registry, slash, rest = text.partition("/")
        named = "." in registry or ":" in registry or registry == "localhost"
        found = _HOST.fullmatch(registry)
        if not slash or not named or not found or not 0 < int(found[1] or _HTTPS) < 1 << 16:
            raise ReferenceInvalid(
                f"{text[:300]!r} names no registry; write host:port/repository:tag, "
                "as in registry.example:5000/shop/cart:1.4"
            )
        path, at, encoded = rest.partition("@")
        path, colon, tag = path.partition(":")
        try:
            parse_repository(path, default_project="-")
            digest = Digest.parse(encoded) if at else None
            name = Tag.parse(tag).name if colon else "latest"
        except RegistryError as error:
            raise ReferenceInvalid(f"{text[:300]!r}: {error.detail}") from None
        return cls(registry, path, name, digest)

    @property
    def wanted(self) -> str:
        """What to ask for in the repository: the digest, or else the tag."""
        return str(self.digest) if self.digest else self.tag

    def __str__(self) -> str:
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}:{self.tag}{digest}"


@dataclass(frozen=True, slots=True)
class Credential:
    """What proves to a registry who asks: name and password, or a token for one repository."""

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    """A bearer token, sent as it is; name and password are then not used."""


def is_loopback(registry: str) -> bool:
    """Whether *registry* (host and perhaps port) is this machine, by its spelling alone."""
    host = registry.rpartition(":")[0] if re.search(r":[0-9]+$", registry) else registry
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
