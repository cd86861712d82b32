"""The unpacker, started, fed and heard; and what only root may set in what it wrote."""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hostimages.errors import CacheUnusable, LayerRefused
from hostimages.settings import LayerLimits

_PIPE = 1 << 20
_SYS_OPENAT2 = 437
_RESOLVE = 0x02 | 0x10
"""RESOLVE_NO_MAGICLINKS, RESOLVE_IN_ROOT"""
_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What the unpacker made of a layer."""

    encoded: str = ""
    """The tar's digest, in hex."""
    entries: int = 0
    opaque: Sequence[str] = ()
    """Directories that hide what lies below them."""
    inodes: int = 0
    bytes: int = 0
    """On the disk."""
    tree: str = ""
    """A digest of what is there: names, kinds, owners, sizes, times."""


class Unpacking:
    """One layer that is being unpacked; used from one thread."""

    def __init__(self, process: subprocess.Popen[bytes], limits: LayerLimits) -> None:
        self._limits = limits
        self._process = process
        assert process.stdin is not None
        self._input = process.stdin.fileno()
        self._gone = False

    @property
    def pid(self) -> int:
        """The unpacker's process."""
        return self._process.pid

    def feed(self, content: bytes) -> bool:
        """Pass bytes on; answer whether the unpacker still takes any."""
        rest = memoryview(content)
        while rest and not self._gone:
            try:
                rest = rest[os.write(self._input, rest) :]
            except BrokenPipeError:
                self._gone = True
        return not self._gone

    def finish(self) -> Unpacked:
        """All was fed: wait for the end. Raises LayerRefused, CacheUnusable."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.close()
        said = process.stdout.read()
        trouble = process.stderr.read(2000)
        status = process.wait()
        try:
            answer: dict[str, Any] = json.loads(said)
        except ValueError:
            answer = {}
        if "done" in answer:
            return Unpacked(**answer["done"])
        if "full" in answer:
            raise CacheUnusable(f"the layer cannot be kept on this host: {answer['full']}")
        if "refused" in answer:
            raise LayerRefused(str(answer["refused"]))
        last = trouble.decode("utf-8", "replace").strip().splitlines()[-1:]
        if status == -signal.SIGKILL:
            raise LayerRefused(f"it takes longer than {self._limits.time} to unpack, or is killed")
        raise LayerRefused(f"the unpacker ended with {status} and said nothing {last or ''}")


@contextlib.contextmanager
def unpacking(
    directory: Path,
    limits: LayerLimits,
    algorithm: str = "sha256",
    *,
    hash_only: bool = False,
    survey: bool = False,
) -> Iterator[Unpacking]:
    """Start an unpacker for *directory*, which is empty; whatever happens, it ends with this.

    With *survey* it takes nothing, and tells what is there.
    """
    order = {
        "directory": str(directory),
        "seconds": int(limits.time.total_seconds()),
        "algorithm": algorithm,
        "bytes": limits.bytes,
        "entries": limits.entries,
        "depth": limits.depth,
        "hash_only": hash_only,
        "survey": survey,
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "unpacker", json.dumps(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env={"LC_ALL": "C.UTF-8"},
    )
    late = threading.Timer(limits.time.total_seconds(), process.kill)
    late.daemon = True
    late.start()
    try:
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, _PIPE)
        yield Unpacking(process, limits)
    finally:
        late.cancel()
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def make_opaque(root: Path, directories: Sequence[str]) -> None:
    """Mark *directories* below *root* as hiding what lies below them in an overlay."""
    handle = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for each in directories:
            inside = _open_inside(handle, os.fsencode(each))
            try:
                os.setxattr(inside, "trusted.overlay.opaque", b"y")
            finally:
                os.close(inside)
    finally:
        os.close(handle)


def _open_inside(root: int, path: bytes) -> int:
    """Open a directory as if *root* were ``/``."""
    how = _How(os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK, 0, _RESOLVE)
    answer: int = _libc.syscall(
        _SYS_OPENAT2, root, ctypes.c_char_p(path), ctypes.byref(how), ctypes.sizeof(how)
    )
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


def sync_file_system(directory: Path) -> None:
    """Return when all that was written to the file system of *directory* is on the disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(handle) < 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number))
    finally:
        os.close(handle)
