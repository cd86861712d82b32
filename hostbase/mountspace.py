"""Mount namespaces of the moment, with few mounts in them, in which runtimes make containers.

Whoever makes a container copies the mounts that he sees, one by one, reads them all as text, and
takes them apart again. With a thousand containers beside it, that is most of his work; so he is
shown what he needs, and nothing else. mount_namespaces(7), open_tree(2), move_mount(2).
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from hostbase import trees
from hostbase.process import libc
from hostbase.trees import checked

_NEW_MOUNTS, _OWN_FILES = 0x00020000, 0x00000200
"""sched.h: CLONE_NEWNS, CLONE_FS."""
_PRIVATE: Final = 0x4000 | 0x40000
"""MS_REC | MS_PRIVATE: what is mounted on the machine later is not seen in there."""
_DETACH: Final = 2
_KERNEL: Final = ("/proc", "/sys", "/dev")
_PROGRAMS: Final = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/local", "/etc")


class MountSpaces:
    """Makes one after the other, all out of the same few mounts."""

    def __init__(self, needed: Sequence[Path], without: Sequence[str] = ()) -> None:
        """In each is what lies at the *needed* paths; *without* are mounts that are empty there."""
        self._needed = {*map(_real, needed), *_PROGRAMS}
        self._without = frozenset(without)
        self._lock = threading.Lock()
        self._base: int | None = None

    @contextlib.contextmanager
    def showing(self, sources: Sequence[Path]) -> Iterator[str]:
        """Yield the file of one in which *sources* are as they are here, mounts and all.

        It is gone at the end, unless a process is in it. Raises OSError.
        """
        with contextlib.ExitStack() as held:
            copies = {}
            for path in sources:
                copy = trees.copied(str(path), is_whole=True)
                held.callback(os.close, copy)
                copies[_real(path)] = copy
            try:
                place = self._apart(held, copies)
            except OSError:
                # One lies below a mount that was not needed before, or that is new.
                self._forget(copies)
                place = self._apart(held, copies)
            yield place

    def close(self) -> None:
        """Let go of the few mounts."""
        self._forget(())

    def _apart(self, held: contextlib.ExitStack, copies: Mapping[str, int]) -> str:
        # It lasts as long as this thread, whatever becomes of the agent.
        thread = held.enter_context(ThreadPoolExecutor(1, "mounts"))
        return thread.submit(self._enter, self._basis(), copies).result()

    def _forget(self, needed: Iterable[str]) -> None:
        with self._lock:
            # What it lies in, and not itself: it may be a volume, whose device is to be let go of.
            self._needed |= {str(Path(path).parent) for path in needed}
            if self._base is not None:
                os.close(self._base)
            self._base = None

    def _basis(self) -> int:
        with self._lock:
            if self._base is None:
                with ThreadPoolExecutor(1, "mounts") as apart:
                    self._base = apart.submit(self._make).result()
            return os.dup(self._base)

    def _make(self) -> int:
        checked(libc().unshare(_NEW_MOUNTS))
        checked(libc().mount(None, b"/", None, _PRIVATE, None))
        for place in reversed(_places()):
            if not self._keeps(place):
                libc().umount2(os.fsencode(place), _DETACH)  # with all that is below it
        return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def _keeps(self, place: str) -> bool:
        if place in self._without:
            return False
        return _is_below(place, _KERNEL) or any(_is_below(path, (place,)) for path in self._needed)

    def _enter(self, base: int, copies: Mapping[str, int]) -> str:
        try:
            checked(libc().unshare(_OWN_FILES))
            checked(libc().setns(base, _NEW_MOUNTS))
        finally:
            os.close(base)
        checked(libc().unshare(_NEW_MOUNTS))
        for place in self._without:  # what somebody writes there goes with the whole
            checked(libc().mount(b"none", os.fsencode(place), b"tmpfs", 0, b"size=1m"))
        for path, copy in copies.items():
            trees.put(copy, path)
        return f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/mnt"


def _real(path: Path) -> str:
    return os.path.realpath(path)


def _places() -> list[str]:
    """Where something is mounted, the later behind the earlier (proc_pid_mountinfo(5))."""
    lines = Path("/proc/thread-self/mountinfo").read_bytes().splitlines()
    return [os.fsdecode(re.sub(rb"\\(\d{3})", _character, line.split()[4])) for line in lines]


def _character(octal: re.Match[bytes]) -> bytes:
    return bytes([int(octal[1], 8)])


def _is_below(path: str, places: Sequence[str]) -> bool:
    return any(path == each or path.startswith(each.rstrip("/") + "/") for each in places)
