"""A driver's exceptions end here."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from registry.oci.errors import StorageFull, StorageUnavailable

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the kernel says where there is no room: on the device, in the quota, in one file."""


@contextmanager
def unavailable_on(*foreign: type[Exception]) -> Iterator[None]:
    """Turn a driver's own exceptions into StorageUnavailable; let every other one through.

    An OSError that says that there is no room becomes StorageFull. The detail names the kind of
    the failure only: messages of drivers hold paths, addresses and credentials.
    """
    try:
        yield
    except foreign as error:
        if not isinstance(error, OSError):
            raise StorageUnavailable(type(error).__name__) from error
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        if error.errno in FULL:
            raise StorageFull(f"{name}; free some space or ask the operator to") from error
        raise StorageUnavailable(name) from error
