"""Entries written into the present directory, which is the root of all that this process sees."""

import os
import stat
from dataclasses import dataclass, field
from typing import Final

from unpacker import tarstream
from unpacker.refusal import Refused, shown
from unpacker.tarstream import Entry, Tar

WHITEOUT: Final = b".wh."
OPAQUE: Final = b".wh..wh..opq"
_META = b".wh..wh."
_PATH_LIMIT = 4095
_BLOCK = 4096
_SPECIAL = {
    tarstream.CHAR: stat.S_IFCHR,
    tarstream.BLOCK: stat.S_IFBLK,
    tarstream.FIFO: stat.S_IFIFO,
}
_HOST_LABELS = frozenset({b"security.selinux", b"security.ima", b"security.evm"})
"""What belongs to the machine that an image was built on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one layer may come to."""

    bytes: int
    entries: int
    depth: int


@dataclass(slots=True)
class Written:
    """What was written so far."""

    opaque: dict[bytes, None] = field(default_factory=dict)
    """Directories that hide what lies below them."""
    entries: int = 0
    bytes: int = 0


class Applier:
    """Writes the entries of one layer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.written = Written()
        self._made: set[bytes] = {b"."}
        """Directories that are there for certain, made by this layer."""
        self._times: dict[bytes, int] = {}
        """Directories' own times, set when nothing more is written into them."""

    def apply(self, tar: Tar) -> Written:
        """Write all; raise Refused at the first entry that no layer may hold."""
        for entry in tar.entries():
            path = self._path(entry.name)
            try:
                self._one(entry, path, tar)
            except FileNotFoundError:
                raise Refused(f"{shown(entry.name)} cannot be written: its place is gone") from None
        self._finish()
        return self.written

    def _one(self, entry: Entry, path: bytes, tar: Tar) -> None:
        self._count(entry)
        parent, _, name = path.rpartition(b"/")
        parent = parent or b"."
        if path != b".":
            self._make_parents(parent)
        if name.startswith(WHITEOUT):
            self._white_out(parent, name)
        elif entry.kind == tarstream.DIRECTORY:
            self._directory(entry, path)
        elif path == b".":
            raise Refused("the root of a layer can only be a directory")
        else:
            self._other(entry, path, tar)

    def _path(self, name: bytes) -> bytes:
        """*name* without what says nothing, seen from the root; ``.`` is the root itself."""
        parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
        if b".." in parts:
            raise Refused(f"{shown(name)} leads out of the layer")
        if len(parts) > self._limits.depth:
            raise Refused(
                f"{shown(name)} lies {len(parts)} deep; the limit is {self._limits.depth}"
            )
        path = b"/".join(parts)
        if len(path) > _PATH_LIMIT or any(len(part) > 255 for part in parts):
            raise Refused(f"{shown(name)} is longer than a path can be")
        return path or b"."

    def _count(self, entry: Entry) -> None:
        self.written.entries += 1
        if self.written.entries > self._limits.entries:
            raise Refused(f"it has more than {self._limits.entries} entries")
        if entry.size > self._limits.bytes:
            raise Refused(f"{shown(entry.name)} says it has {entry.size} bytes, over the limit")

    def _spend(self, count: int) -> None:
        self.written.bytes += count
        if self.written.bytes > self._limits.bytes:
            raise Refused(f"it has more than {self._limits.bytes} bytes")

    def _make_parents(self, parent: bytes) -> None:
        """Make the directories that no entry has described so far."""
        if parent in self._made:
            return
        above = parent.rpartition(b"/")[0] or b"."
        self._make_parents(above)
        try:
            os.mkdir(parent, 0o755)
        except FileExistsError:
            found = os.lstat(parent)
            if stat.S_ISLNK(found.st_mode):
                found = self._follow(parent)
            if _is_whiteout(found):
                os.unlink(parent)
                os.mkdir(parent, 0o755)
                self.written.opaque[parent] = None
            elif not stat.S_ISDIR(found.st_mode):
                raise Refused(
                    f"{shown(parent)} is no directory, and yet something lies in it"
                ) from None
            else:
                return  # by another name, through a symbolic link: it may change yet
        self._new_directory(parent)

    def _follow(self, path: bytes) -> os.stat_result:
        try:
            return os.stat(path)
        except OSError:
            raise Refused(f"{shown(path)} leads nowhere, and yet something lies in it") from None

    def _new_directory(self, path: bytes) -> None:
        self._made.add(path)
        self._spend(_BLOCK)

    def _white_out(self, parent: bytes, name: bytes) -> None:
        if name == OPAQUE:
            self.written.opaque[parent] = None
            return
        if name.startswith(_META) and parent == b".":
            return  # AUFS kept its own records so; nobody else reads them
        hidden = name.removeprefix(WHITEOUT)
        if hidden in {b"", b".", b".."} or hidden.startswith(WHITEOUT):
            raise Refused(f"{shown(name)} hides nothing that can be there")
        path = hidden if parent == b"." else parent + b"/" + hidden
        try:
            os.mknod(path, stat.S_IFCHR, 0)
        except FileExistsError:  # this layer has the name itself: then only what lies below goes
            if stat.S_ISDIR(os.lstat(path).st_mode):
                self.written.opaque[path] = None

    def _directory(self, entry: Entry, path: bytes) -> None:
        if path != b"." and not self._is_made(path):
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                found = os.lstat(path)
                if not stat.S_ISDIR(found.st_mode):
                    os.unlink(path)
                    os.mkdir(path, 0o700)
                    if _is_whiteout(found):
                        self.written.opaque[path] = None
            self._new_directory(path)
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        os.chmod(path, entry.mode)
        self._set_xattrs(entry, path)
        self._times[path] = entry.mtime

    def _is_made(self, path: bytes) -> bool:
        """Whether this layer has made it; through a link it may have gone, so look again."""
        return path in self._made and stat.S_ISDIR(os.lstat(path).st_mode)

    def _other(self, entry: Entry, path: bytes, tar: Tar) -> None:
        try:
            self._create(entry, path, tar)
        except FileExistsError:  # the later of two entries counts
            if entry.kind == tarstream.LINK and self._path(entry.target) == path:
                raise Refused(f"{shown(path)} is a link to itself") from None
            self._remove(path)
            self._create(entry, path, tar)

    def _create(self, entry: Entry, path: bytes, tar: Tar) -> None:
        if entry.kind == tarstream.REGULAR:
            self._file(entry, path, tar)
            return
        self._spend(_BLOCK if entry.kind == tarstream.SYMLINK and len(entry.target) > 59 else 0)
        if entry.kind == tarstream.LINK:
            self._link(entry, path)
            return
        if entry.kind == tarstream.SYMLINK:
            if not entry.target or len(entry.target) > _PATH_LIMIT or b"\0" in entry.target:
                raise Refused(f"{shown(entry.name)} is a symbolic link that leads nowhere")
            os.symlink(entry.target, path)
        else:
            if entry.kind == tarstream.CHAR and entry.device == (0, 0):
                raise Refused(f"{shown(entry.name)} is a character device 0:0, as whiteouts are")
            os.mknod(path, _SPECIAL[entry.kind] | 0o600, os.makedev(*entry.device))
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind != tarstream.SYMLINK:
            os.chmod(path, entry.mode)
        self._set_xattrs(entry, path)
        os.utime(path, ns=(entry.mtime, entry.mtime), follow_symlinks=False)

    def _link(self, entry: Entry, path: bytes) -> None:
        target = self._path(entry.target)
        if target.rpartition(b"/")[2].startswith(WHITEOUT):
            raise Refused(f"{shown(entry.name)} is a link to a whiteout")
        try:
            found = os.lstat(target)
            if stat.S_ISDIR(found.st_mode) or _is_whiteout(found):
                raise Refused(f"{shown(entry.name)} is a hard link to what is no file")
            os.link(target, path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            raise Refused(
                f"{shown(entry.name)} is a hard link to {shown(entry.target)}, not in this layer"
            ) from None

    def _file(self, entry: Entry, path: bytes, tar: Tar) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, entry.mode)
        try:
            self._spend(-(-entry.stored // _BLOCK) * _BLOCK)
            if entry.pieces is None:
                for piece in tar.content():
                    _write(handle, piece)
            else:
                _write_pieces(handle, entry, tar)
            os.fchown(handle, entry.uid, entry.gid)
            if entry.mode & 0o7000:  # a change of owner takes these away
                os.fchmod(handle, entry.mode)
            if entry.xattrs:
                self._set_xattrs(entry, handle)
            os.utime(handle, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(handle)

    def _set_xattrs(self, entry: Entry, path: bytes | int) -> None:
        for name, value in entry.xattrs.items():
            if name in _HOST_LABELS:
                continue
            if name.startswith(b"trusted."):
                raise Refused(f"{shown(entry.name)} has {shown(name)}, which only a host may set")
            try:
                if isinstance(path, int):
                    os.setxattr(path, name, value)
                else:
                    os.setxattr(path, name, value, follow_symlinks=False)
            except OSError as error:
                raise Refused(
                    f"{shown(entry.name)}: {shown(name)} of {len(value)} bytes cannot be kept: "
                    f"{error.strerror}"
                ) from None

    def _remove(self, path: bytes) -> None:
        """Remove what an earlier entry made, whatever it is."""
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
        for name in os.listdir(path):
            self._remove(path + b"/" + name)
        os.rmdir(path)
        self._made.discard(path)
        self._times.pop(path, None)
        self.written.opaque.pop(path, None)

    def _finish(self) -> None:
        """Set what comes last: the times of directories; tell only what is there."""
        for path, mtime in self._times.items():
            os.utime(path, ns=(mtime, mtime), follow_symlinks=False)
        self.written.opaque = {each: None for each in self.written.opaque if os.path.isdir(each)}


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _write(handle: int, content: memoryview) -> None:
    done = os.write(handle, content)
    while done < len(content):
        done += os.write(handle, content[done:])


def _write_pieces(handle: int, entry: Entry, tar: Tar) -> None:
    """Write a sparse file: its pieces where they belong, holes between them."""
    os.truncate(handle, entry.size)
    pieces = iter(entry.pieces or [])
    left = 0
    for content in tar.content():
        rest = content
        while rest:
            if not left:
                offset, left = next(pieces)
                os.lseek(handle, offset, os.SEEK_SET)
            _write(handle, rest[:left])
            rest, left = rest[left:], left - len(rest[:left])
