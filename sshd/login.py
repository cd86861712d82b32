"""Who is let in, and the files of /etc that sshd sees in place of the image's (pure).

Nothing of this is written into the container: the files are mounted where sshd runs, and nowhere
else. So neither a hash nor a key is ever in a writable layer, or in an image made of one.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from runspec.limits import CannotRun
from runspec.users import Account, find

READ: Final = {
    "/etc/passwd": "",
    "/etc/shadow": "",
    "/etc/group": "",
    "/etc/shells": "/bin/sh\n/bin/csh\n",
}
"""The files of an image that this is made out of, and what an absent one stands for:
getusershell(3) knows two shells then, and none where the file is empty."""
GROUP: Final = "berth-ssh"
"""The group of those whom dropbear lets in."""
_FIRST_GROUP: Final = 1 << 30
_NOBODY_COMES_IN: Final = "*"


@dataclass(frozen=True, slots=True)
class Login:
    """What opens the door to root."""

    keys: tuple[str, ...] = ()
    """Lines of authorized_keys."""
    password: str | None = field(default=None, repr=False)
    """A hash, as crypt(5) has it."""

    @property
    def authorized_keys(self) -> str:
        """The file."""
        return "".join(f"{each}\n" for each in self.keys)


def root_of(image: Mapping[str, str]) -> Account:
    """Root's account in an image; its home is where its keys are looked for.

    By his name, which is what servers go by: others may have his number, too.
    """
    return find("root", image["/etc/passwd"], image["/etc/group"])


def replaced(image: Mapping[str, str], login: Login) -> dict[str, str]:
    """Files by their paths, as sshd is to see them; *image* has all of READ.

    Raises CannotRun where root has no shell.
    """
    made = {"/etc/shadow": shadow(image["/etc/shadow"], login.password)}
    shell = _shell(image["/etc/passwd"])
    if shell is None:
        shell = "/bin/sh"
        made["/etc/passwd"] = f"root:x:0:0:root:/root:/bin/sh\n{image['/etc/passwd']}"
    elif shell.rpartition("/")[2] in {"nologin", "false"}:
        raise CannotRun(
            f"ssh: root's shell in the image is {shell}: build the image with another one"
        )
    if shell not in _shells(image["/etc/shells"]):
        made["/etc/shells"] = f"{image['/etc/shells'].rstrip()}\n{shell}\n"
    return made


def shadow(text: str, password: str | None) -> str:
    """A shadow file with root's hash; without one no password opens. Others keep their lines."""
    others = [line for line in text.split("\n") if line and not line.startswith("root:")]
    lines = [f"root:{password or _NOBODY_COMES_IN}::0:99999:7:::", *others]
    return "".join(f"{line}\n" for line in lines)


def closed_group(image: Mapping[str, str]) -> str:
    """A group file with one more group, in which is root and nobody else.

    Root's own will not do: images have accounts in it, or with his number, who are not meant to
    come in. A group that no file names has no number there either, as leading zeros change nothing.
    """
    named = re.findall("[1-9][0-9]*", image["/etc/passwd"] + image["/etc/group"])
    taken = frozenset(named)
    number = next(each for each in itertools.count(_FIRST_GROUP) if str(each) not in taken)
    return f"{GROUP}:x:{number}:root\n{image['/etc/group']}"


def has_account(passwd: str, name: str) -> bool:
    """Whether passwd(5) has somebody of that name."""
    return any(fields[0] == name for fields in _entries(passwd))


def _shells(text: str) -> tuple[str, ...]:
    """What getusershell(3) finds: of each line the first path, none behind a #."""
    return tuple(re.findall(r"^[^#/\n]*(/[^\s#]*)", text, re.MULTILINE))


def _shell(passwd: str) -> str | None:
    """Root's shell; None where nobody is root."""
    for fields in _entries(passwd):
        if fields[0] == "root":
            return fields[6] or "/bin/sh"
    return None


def _entries(passwd: str) -> Iterator[list[str]]:
    for line in passwd.split("\n"):
        fields = line.split(":")
        if len(fields) >= 7:
            yield fields
