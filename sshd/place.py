"""What sshd needs beside one container, laid out on the host: files to mount, and its config."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inside import root as inroot
from runspec.limits import CannotRun
from sshd import bundle, hostkey
from sshd.bundle import Beside, Json
from sshd.kit import KitMissing, kit, words
from sshd.login import READ, Login, closed_group, has_account, replaced, root_of, shadow
from volumes import files

_PRIVATE: Final = 0o600
_PUBLIC: Final = 0o644


class NoLogin(Exception):
    """Nobody can be let in: why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where things of one set lie on the host."""

    home: Path
    """What is mounted beside its container; not longer than a boot, as a hash is in it."""
    key: Path
    """Its host key, which stays as long as the set."""
    kits: Path
    """Dropbear, for all sets."""


def lay_out(
    place: Place, container: Json, login: Login, *, pid: int, cgroup: str, seccomp: Json | None
) -> Json:
    """Write what sshd needs beside *container*, a config.json; answer sshd's own. Raises NoLogin.

    *pid* is the container's first process, *cgroup* a path below the container's.
    """
    root = Path(container["root"]["path"])
    try:
        image = {
            path: _text(inroot.read(root, path, absent.encode())) for path, absent in READ.items()
        }
        seen = replaced(image, login)
        has_own = inroot.is_program(root, bundle.IMAGES_SSHD)
        if has_own and has_account(image["/etc/passwd"], "sshd"):
            start, binds = bundle.openssh(), {}
        else:
            seen["/etc/group"] = closed_group(image)
            tools = kit(place.kits)
            start = bundle.dropbear(words(tools, bundle.KIT), login)
            keys = f"{root_of(image).home.rstrip('/')}/.ssh/authorized_keys"
            binds = {bundle.KIT: tools, keys: place.home / "authorized_keys"}
    except (CannotRun, KitMissing, inroot.CannotReach) as error:
        raise NoLogin(str(error)) from None
    binds[bundle.LOGIN] = place.home
    _write(place, login, seen)
    binds |= {path: _own(place.home, path) for path in seen}
    beside = Beside(pid=pid, cgroup=cgroup, words=start, binds=binds, seccomp=seccomp)
    return bundle.config(container, beside)


def change_password(place: Place, password: str | None) -> None:
    """Have another hash open the door, for sshd that runs too; nothing where none was laid out."""
    path = _own(place.home, "/etc/shadow")
    if path.exists():
        _put(path, _bytes(shadow(_text(path.read_bytes()), password)), _PRIVATE)


def _write(place: Place, login: Login, seen: Mapping[str, str]) -> None:
    place.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not place.key.exists():
        place.key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.flush(place.key.parent.parent)
        fresh = place.key.with_name(f".{place.key.name}.new")
        _put(fresh, hostkey.make(), _PRIVATE)
        files.place(fresh, place.key)
    private = place.key.read_bytes()
    try:
        dropbears = hostkey.for_dropbear(private)
    except hostkey.Damaged:
        raise NoLogin(
            f"ssh: {place.key} is no host key any more: put it back, or remove it, "
            "and another one is made, which clients do not know"
        ) from None
    _put(place.home / "host_key", private, _PRIVATE)
    _put(place.home / "dropbear_key", dropbears, _PRIVATE)
    _put(place.home / "authorized_keys", login.authorized_keys.encode(), _PRIVATE)
    _put(place.home / "sshd_config", bundle.sshd_config(login).encode(), _PRIVATE)
    for path, text in seen.items():
        mode = _PRIVATE if path == "/etc/shadow" else _PUBLIC
        _put(_own(place.home, path), _bytes(text), mode)


def _text(data: bytes) -> str:
    """A file of an image, of which every byte is kept, whatever its encoding is."""
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _own(home: Path, path: str) -> Path:
    """Where a file of /etc lies that sshd sees in place of the image's."""
    return home / path.rpartition("/")[2]


def _put(path: Path, data: bytes, mode: int) -> None:
    """Write in place, as it may be mounted somewhere; who reads it meanwhile finds it not empty."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(data)
        file.truncate()
