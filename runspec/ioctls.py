"""A seccomp profile that lets some ioctls not through (pure).

Rules can only let through, and compare bits: so what is let through is every number that differs
from all refused ones in one of its leading bits. Only the lower half of the argument counts, as the
kernel takes no more of it; whoever sets the upper half gains nothing.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

Json = dict[str, Any]

_BITS: Final = 32
PROJECT_CHANGES: Final = (0x401C5820, 0x40086602, 0x40046602)
"""linux/fs.h: FS_IOC_FSSETXATTR, FS_IOC_SETFLAGS and its 32-bit edition. With them a file's owner
takes it out of a project, and so from its quota."""


def refuse_ioctls(profile: Json, refused: Collection[int]) -> Json:
    """*profile* without the ioctls *refused*; they get its default answer."""
    rules: list[Json] = []
    for rule in profile["syscalls"]:
        if "ioctl" not in rule["names"] or rule["action"] != "SCMP_ACT_ALLOW":
            rules.append(rule)
            continue
        rules.append({**rule, "names": [name for name in rule["names"] if name != "ioctl"]})
        rules += [
            {"names": ["ioctl"], "action": rule["action"], "args": [_argument(mask, value)]}
            for mask, value in _others(frozenset(refused), _BITS, 0)
        ]
    return {**profile, "syscalls": rules}


def _argument(mask: int, value: int) -> Json:
    return {"index": 1, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}


def _others(refused: frozenset[int], bits: int, prefix: int) -> Iterator[tuple[int, int]]:
    """Masks and values that fit all numbers beginning with *prefix* but the refused ones."""
    below = frozenset(each for each in refused if each >> bits == prefix >> bits)
    if not below:
        yield ((1 << _BITS) - 1) >> bits << bits, prefix
    elif bits:
        for bit in (0, 1):
            yield from _others(below, bits - 1, prefix | bit << (bits - 1))
