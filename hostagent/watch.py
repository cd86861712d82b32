"""Who of the containers and monitors is alive: two pidfds each, and one inotify for exit codes.

Nothing is polled: a thread waits for the kernel, and says whose set is to be looked at.
"""

import contextlib
import ctypes
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hostbase.process import Known, ended, exit_code, libc

_MOVED_TO: Final = 0x80
_CLOSE_WRITE: Final = 0x08
PATIENCE: Final = 10.0
"""Seconds in which a monitor writes down how its container ended."""
_CLOEXEC_NONBLOCK: Final = os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(slots=True)
class _Tracked:
    set: str
    init: int | None
    monitor: int | None
    alone_since: float | None = None
    """When its container was first seen to have ended before it."""


class Watch:
    """The processes of attempts. *wake* is called with a set's id, from another thread."""

    def __init__(self, exits: Path, wake: Callable[[str], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._tracked: dict[str, _Tracked] = {}
        self._owners: dict[int, str] = {}
        self._epoll = select.epoll()
        library = libc()
        self._inotify: int = library.inotify_init1(_CLOEXEC_NONBLOCK)
        if self._inotify < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        library.inotify_add_watch(self._inotify, os.fsencode(exits), _MOVED_TO | _CLOSE_WRITE)
        self._stop, self._stopper = os.pipe()
        for handle in (self._inotify, self._stop):
            self._epoll.register(handle, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of every process."""
        os.write(self._stopper, b".")
        self._thread.join()
        for attempt in list(self._tracked):
            self.forget(attempt)
        self._epoll.close()
        for handle in (self._inotify, self._stop, self._stopper):
            os.close(handle)

    def track(self, set_id: str, attempt: str, init: Known | None, monitor: Known | None) -> None:
        """Look after an attempt's processes, as far as they are alive."""
        self.forget(attempt)
        tracked = _Tracked(
            set_id, init.open() if init else None, monitor.open() if monitor else None
        )
        with self._lock:
            self._tracked[attempt] = tracked
            for handle in (tracked.init, tracked.monitor):
                if handle is not None:
                    self._owners[handle] = set_id
                    self._epoll.register(handle, select.EPOLLIN)

    def forget(self, attempt: str) -> None:
        """Look after an attempt no longer."""
        with self._lock:
            tracked = self._tracked.pop(attempt, None)
            for handle in (tracked.init, tracked.monitor) if tracked else ():
                if handle is not None:
                    self._owners.pop(handle, None)
                    with contextlib.suppress(FileNotFoundError):
                        self._epoll.unregister(handle)
                    os.close(handle)

    def is_alive(self, attempt: str) -> bool:
        """Whether its first process runs."""
        with self._lock:
            tracked = self._tracked.get(attempt)
            return tracked is not None and tracked.init is not None and not ended(tracked.init)

    def is_monitored(self, attempt: str) -> bool:
        """Whether its monitor runs, and is not given up for long after its container's end."""
        with self._lock:
            tracked = self._tracked.get(attempt)
            if tracked is None or tracked.monitor is None or ended(tracked.monitor):
                return False
            if tracked.init is not None and not ended(tracked.init):
                return True
            tracked.alone_since = tracked.alone_since or time.monotonic()
            return time.monotonic() < tracked.alone_since + PATIENCE

    def exit_code(self, attempt: str) -> int | None:
        """How its first process ended, where the kernel says so to whoever held it."""
        with self._lock:
            tracked = self._tracked.get(attempt)
            return exit_code(tracked.init) if tracked and tracked.init is not None else None

    def _run(self) -> None:
        while True:
            for handle, _ in self._epoll.poll():
                if handle == self._stop:
                    return
                if handle == self._inotify:
                    self._read_names()
                    continue
                with self._lock:
                    if handle not in self._owners or not ended(handle):
                        continue  # it was let go of meanwhile, and is another's now
                    owner = self._owners.pop(handle)
                    with contextlib.suppress(OSError, ValueError):
                        self._epoll.unregister(handle)
                self._wake(owner)

    def _read_names(self) -> None:
        """An exit code was written down: its file is called as the attempt is."""
        try:
            data = os.read(self._inotify, 65536)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            length = struct.unpack_from("iIII", data, at)[3]
            name = data[at + 16 : at + 16 + length].rstrip(b"\0").decode("ascii", "replace")
            at += 16 + length
            with self._lock:
                tracked = self._tracked.get(name)
            if tracked is not None:
                self._wake(tracked.set)
