"""Who a container runs as: names looked up in the image's own passwd and group (pure)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runspec.limits import CannotRun

_NONE: Final = 0xFFFFFFFF
_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Account:
    """A user, as the kernel knows one."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def find(user: str, passwd: str, group: str) -> Account:
    """The account that ``name``, ``name:group`` or numbers mean; without any, root.

    Raises CannotRun where the image does not know a name.
    """
    name, colon, group_name = user.partition(":")
    entry = _entry(name or "0", passwd)
    if entry is None and not _is_number(name):
        raise CannotRun(f"the image's /etc/passwd has no user {name!r}: write another user")
    uid = int(entry[2]) if entry else int(name)
    gid = int(entry[3]) if entry else 0
    groups: tuple[int, ...] = ()
    if colon and group_name:
        gid = _gid(group_name, group)
    elif entry:
        groups = tuple(sorted(_memberships(entry[0], group)))
    return Account(uid, gid, groups, entry[5] if entry and entry[5] else "/")


def _entry(name: str, passwd: str) -> list[str] | None:
    for fields in _lines(passwd, 7):
        if name in {fields[0], fields[2]} and _is_number(fields[2]) and _is_number(fields[3]):
            return fields
    return ["root", "", "0", "0", "", "/root", ""] if name in {"0", "root"} else None


def _gid(name: str, group: str) -> int:
    for fields in _lines(group, 4):
        if fields[0] == name and _is_number(fields[2]):
            return int(fields[2])
    if _is_number(name):
        return int(name)
    raise CannotRun(f"the image's /etc/group has no group {name!r}: write another group")


def _memberships(name: str, group: str) -> Iterator[int]:
    for fields in _lines(group, 4):
        if name in fields[3].split(",") and _is_number(fields[2]):
            yield int(fields[2])


def _is_number(text: str) -> bool:
    """Whether the kernel has such a user or group; its largest number means nobody."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS and int(text) < _NONE


def _lines(text: str, count: int) -> Iterator[list[str]]:
    for line in text.split("\n"):  # as the C library does it: other ends of lines are text
        fields = line.split(":")
        if len(fields) >= count and not line.startswith("#"):
            yield fields
