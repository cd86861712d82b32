"""A driver's exceptions, and what becomes of them."""

import errno
import sqlite3

import pytest

from registry.oci.errors import DigestInvalid, StorageFull, StorageUnavailable
from registry.storage.faults import unavailable_on


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_storage_full(number: int) -> None:
    with pytest.raises(StorageFull, match=errno.errorcode[number]), unavailable_on(OSError):
        raise OSError(number, "no room", "/secret/path")


def test_any_other_os_error_is_storage_unavailable_and_tells_no_path() -> None:
    with pytest.raises(StorageUnavailable) as caught, unavailable_on(OSError):
        raise OSError(errno.EIO, "input/output error", "/secret/path")
    assert caught.value.detail == "EIO"


def test_an_os_error_without_a_number_is_named_by_its_class() -> None:
    with pytest.raises(StorageUnavailable, match="TimeoutError"), unavailable_on(OSError):
        raise TimeoutError


def test_a_drivers_exception_is_storage_unavailable() -> None:
    with (
        pytest.raises(StorageUnavailable, match="OperationalError"),
        unavailable_on(sqlite3.Error),
    ):
        raise sqlite3.OperationalError("database is locked")


def test_everything_else_passes_through() -> None:
    with pytest.raises(DigestInvalid), unavailable_on(OSError):
        raise DigestInvalid
    with pytest.raises(ValueError, match="mine"), unavailable_on(OSError):
        raise ValueError("mine")
