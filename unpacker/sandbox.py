"""What this process gives up before it reads its first byte."""

import ctypes
import os
import resource
from typing import Final

_CLONE = 0x00020000 | 0x08000000 | 0x04000000 | 0x40000000
"""New namespaces: mount, IPC, UTS, network."""
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND = 2, 4, 8, 32, 4096
_MS_REC, _MS_PRIVATE = 16384, 1 << 18
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_PDEATHSIG = 24, 38, 1
_CAPABILITY_VERSION = 0x20080522
KEPT: Final = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "MKNOD": 27, "SETFCAP": 31}
_MEMORY = 2 << 30

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def enter(directory: bytes, seconds: int) -> None:
    """Make *directory* the whole world, without devices and network, and keep six capabilities.

    *seconds* of processor time are the most that is left to this process.
    """
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))
    _checked(_libc.unshare(_CLONE))
    _mount(None, b"/", _MS_REC | _MS_PRIVATE)
    _mount(directory, directory, _MS_BIND)
    _mount(None, directory, _MS_REMOUNT | _MS_BIND | _MS_NODEV | _MS_NOSUID | _MS_NOEXEC)
    os.chroot(directory)
    os.chdir("/")
    os.umask(0)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setgroups([])
    _keep_capabilities()
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _keep_capabilities() -> None:
    kept = sum(1 << number for number in KEPT.values())
    number = 0
    while _libc.prctl(23, number, 0, 0, 0) >= 0:  # PR_CAPBSET_READ fails after the last
        if not kept >> number & 1:
            _checked(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0))
        number += 1
    header = _Header(_CAPABILITY_VERSION, 0)
    sets = (_Sets * 2)(_Sets(kept, kept, 0), _Sets(0, 0, 0))
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref(sets)))


def _mount(source: bytes | None, target: bytes, flags: int) -> None:
    _checked(_libc.mount(source, target, None, ctypes.c_ulong(flags), None))


def _checked(answer: int) -> None:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
