"""What a user name and its password mean at a Keystone (pure)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from registry.oci.errors import Unauthorized

WRONG = "wrong user name, password, application credential or token"
"""Said of all that is refused, whatever it was."""
TOKEN_USER = "token"  # noqa: S105 - a user's name
APPLICATION_CREDENTIAL = "ac+"
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_TOKEN = re.compile(r"[\w.~+/=-]{1,16384}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Password:
    """A user, in the domain with that id, and the project that he named beside, if any."""

    user: str
    domain: str
    password: str = field(repr=False)
    project: str | None = None

    @property
    def guessed(self) -> str:
        """What guesses are counted by: the same however the name is spelt."""
        return f"{self.user.strip().casefold()}@{self.domain}"


@dataclass(frozen=True, slots=True)
class ApplicationCredential:
    """By its id; or by its name, with the user who made it and the id of his domain."""

    secret: str = field(repr=False)
    id: str | None = None
    name: str | None = None
    user: str | None = None
    domain: str | None = None

    @property
    def guessed(self) -> str:
        """What guesses are counted by."""
        name = self.id if self.id is not None else f"{self.name}@{self.user}@{self.domain}"
        return f"{APPLICATION_CREDENTIAL}{name.casefold()}"


@dataclass(frozen=True, slots=True)
class Token:
    """A token of Keystone's as it is."""

    token: str = field(repr=False)


Credentials = Password | ApplicationCredential | Token


def is_id(text: str) -> bool:
    """Whether a repository's first component is a project's id: 32 hex digits always are."""
    return _ID.fullmatch(text) is not None


def read(username: str, password: str, domain: str, domains: Mapping[str, str]) -> Credentials:
    """Read ``user[@domain][/project]``, ``ac+<id>``, ``ac+<name>@<user>[@domain]`` or ``token``.

    What follows the last ``@`` is a domain only if it is one of *domains* (name -> id), since
    users may be called by an address; else the user is in *domain* (an id). Raises Unauthorized.
    """
    if not username or not password or _CONTROL.search(username):
        raise Unauthorized(WRONG)
    if username == TOKEN_USER:
        return Token(read_token(password))
    if username.startswith(APPLICATION_CREDENTIAL):
        named = username.removeprefix(APPLICATION_CREDENTIAL)
        return _read_application_credential(named, password, domain, domains)
    user, slash, project = username.rpartition("/")
    user, domain = _split(user if slash else username, domain, domains)
    if not user:
        raise Unauthorized(WRONG)
    return Password(user, domain, password, (project or None) if slash else None)


def read_token(text: str) -> str:
    """*text*, if it can be a token at all: it goes into a header. Raises Unauthorized."""
    if not _TOKEN.fullmatch(text):
        raise Unauthorized(WRONG)
    return text


def _read_application_credential(
    named: str, secret: str, domain: str, domains: Mapping[str, str]
) -> ApplicationCredential:
    if "@" not in named:
        if not named:
            raise Unauthorized(WRONG)
        return ApplicationCredential(secret, id=named)
    named, domain = _split(named, domain, domains)
    name, _, user = named.partition("@")  # the first: users are called by addresses more often
    if not name or not user:
        raise Unauthorized(WRONG)
    return ApplicationCredential(secret, name=name, user=user, domain=domain)


def _split(text: str, domain: str, domains: Mapping[str, str]) -> tuple[str, str]:
    """A name, and its domain's id: the one that it ends with, or *domain*."""
    name, at, last = text.rpartition("@")
    if at and last in domains:
        return name, domains[last]
    return text, domain
