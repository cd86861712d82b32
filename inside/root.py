"""Files of an image, which may be hostile: opened by openat2, so that no path leaves its root.

A container may run meanwhile and change every name. So nothing here is looked at by name and then
used by name: directories are held open, files are written new and renamed.
"""

import contextlib
import ctypes
import os
import stat
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LIMIT: Final = 1 << 20
"""Bytes of a file that is read or written."""
_OPENAT2: Final = 437
_NO_MAGICLINKS: Final = 0x02
_IN_ROOT: Final = 0x10

_libc = ctypes.CDLL(None, use_errno=True)


class CannotReach(Exception):
    """A file in an image is not what can be read, or written: which, and why."""


def read(root: Path, path: str, absent: bytes = b"") -> bytes:
    """A regular file of at most LIMIT bytes; *absent* where there is none. Raises CannotReach."""
    with _root(root) as top:
        try:
            handle = _open(top, path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return absent
        except OSError as error:
            raise CannotReach(f"{path} in the image cannot be read: {error.strerror}") from None
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_size > LIMIT:
                raise CannotReach(f"{path} in the image is no regular file of at most 1 MiB")
            return os.read(handle, LIMIT)
        finally:
            os.close(handle)


def is_program(root: Path, path: str) -> bool:
    """Whether a regular file is there that may be executed."""
    with _root(root) as top:
        try:
            handle = _open(top, path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            mode = os.fstat(handle).st_mode
            return stat.S_ISREG(mode) and bool(mode & 0o111)
        finally:
            os.close(handle)


def write(root: Path, path: str, data: bytes, *, mode: int, uid: int, gid: int) -> None:
    """Write a file whole, or not at all; directories are made, a link there is replaced.

    Raises CannotReach where the image has something else in the path's place.
    """
    *parents, name = path.strip("/").split("/")
    with _root(root) as top:
        try:
            directory = _directory(top, parents)
            try:
                _place(directory, name, data, mode, uid, gid)
            finally:
                os.close(directory)
        except OSError as error:
            raise CannotReach(f"{path} cannot be written: {error.strerror}") from None


def _place(directory: int, name: str, data: bytes, mode: int, uid: int, gid: int) -> None:
    fresh = f".berth-{uuid.uuid4().hex}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(fresh, flags, 0o600, dir_fd=directory)
    try:
        try:
            with os.fdopen(handle, "wb", closefd=False) as file:
                file.write(data)
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
        finally:
            os.close(handle)
        os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=directory)
        raise


def _directory(top: int, names: list[str]) -> int:
    """The directory of *names*, made as far as it is not there."""
    here = os.dup(top)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    for place, name in enumerate(names):
        path = "/".join(names[: place + 1])
        try:
            try:
                there = _open(top, path, flags)
            except FileNotFoundError:
                # A link to nowhere is found here too; then mkdir says that the name exists.
                os.mkdir(name, 0o755, dir_fd=here)
                there = _open(top, path, flags)
        finally:
            os.close(here)
        here = there
    return here


@contextlib.contextmanager
def _root(root: Path) -> Iterator[int]:
    top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield top
    finally:
        os.close(top)


def _open(top: int, path: str, flags: int) -> int:
    how = struct.pack("QQQ", flags, 0, _IN_ROOT | _NO_MAGICLINKS)
    handle: int = _libc.syscall(
        _OPENAT2, top, path.encode() or b".", ctypes.c_char_p(how), ctypes.c_size_t(len(how))
    )
    if handle < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return handle
