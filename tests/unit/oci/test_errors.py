"""Every error against the specification's table, and against HTTP."""

from collections.abc import Iterator

import pytest

from registry.oci import errors
from registry.oci.errors import RegistryError

CODES = {
    1: "BLOB_UNKNOWN",
    2: "BLOB_UPLOAD_INVALID",
    3: "BLOB_UPLOAD_UNKNOWN",
    4: "DIGEST_INVALID",
    5: "MANIFEST_BLOB_UNKNOWN",
    6: "MANIFEST_INVALID",
    7: "MANIFEST_UNKNOWN",
    8: "NAME_INVALID",
    9: "NAME_UNKNOWN",
    10: "SIZE_INVALID",
    11: "UNAUTHORIZED",
    12: "DENIED",
    13: "UNSUPPORTED",
    14: "TOOMANYREQUESTS",
}
STATUS = {
    "BlobUnknown": 404,
    "BlobUploadInvalid": 400,
    "UploadBusy": 409,
    "RangeInvalid": 416,
    "BlobUploadUnknown": 404,
    "DigestInvalid": 400,
    "ManifestBlobUnknown": 400,
    "ManifestInvalid": 400,
    "ManifestTooLarge": 413,
    "ManifestUnknown": 404,
    "NameInvalid": 400,
    "NameUnknown": 404,
    "SizeInvalid": 400,
    "Unauthorized": 401,
    "Denied": 403,
    "QuotaExceeded": 403,
    "TagTaken": 409,
    "MemberTaken": 409,
    "Unsupported": 400,
    "MethodUnsupported": 405,
    "RouteUnknown": 404,
    "TooManyRequests": 429,
    "RangeNotSatisfiable": 416,
    "RequestTimeout": 408,
    "StorageUnavailable": 503,
    "StorageFull": 507,
}


def subclasses(kind: type[RegistryError]) -> Iterator[type[RegistryError]]:
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from subclasses(each)


EVERY = sorted(subclasses(RegistryError), key=lambda kind: kind.__name__)


def test_every_error_stands_in_this_table() -> None:
    assert {kind.__name__: int(kind.status) for kind in EVERY} == STATUS


def test_every_row_of_the_specification_has_a_class() -> None:
    assert set(CODES.values()) <= {kind.code for kind in EVERY}


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_an_error_has_the_code_of_the_row_that_it_names(kind: type[RegistryError]) -> None:
    words = (kind.__doc__ or "").split(".")[0]
    if words.startswith("code-"):
        assert kind.code == CODES[int(words.removeprefix("code-"))]
    else:
        assert kind.code in {*CODES.values(), "UNKNOWN"}
    assert kind.message


def test_an_error_says_its_message_and_its_detail() -> None:
    assert str(errors.BlobUnknown()) == "blob unknown to registry"
    error = errors.BlobUnknown("sha256:…", headers={"Retry-After": "1"})
    assert str(error) == "blob unknown to registry: sha256:…"
    assert (error.detail, error.headers) == ("sha256:…", {"Retry-After": "1"})
    assert RegistryError().status == 500


def test_unavailable_storage_asks_for_another_try() -> None:
    assert errors.StorageUnavailable().headers == {"Retry-After": "5"}
    later = errors.StorageUnavailable("down", headers={"Retry-After": "60"})
    assert (later.detail, later.headers) == ("down", {"Retry-After": "60"})


def test_the_headers_of_one_error_are_not_those_of_another() -> None:
    given = {"Allow": "GET"}
    error = errors.MethodUnsupported(headers=given)
    error.headers["Allow"] = "PUT"
    assert given == {"Allow": "GET"}
    assert errors.MethodUnsupported().headers == {}


def test_an_exceeded_quota_tells_in_its_message_which_and_by_how_much() -> None:
    error = errors.QuotaExceeded("quota exceeded: 2 of 2 tags", {"limit": "tags"})
    assert (error.told, str(error)) == (("quota exceeded: 2 of 2 tags",) * 2)
    assert error.detail == {"limit": "tags"}
    assert errors.Denied("no").told == "requested access to the resource is denied"


def test_a_command_tells_of_the_storage_what_is_so_and_nothing_of_trying_again() -> None:
    away = errors.StorageUnavailable("the ledger is another store's: rebuild it")
    assert away.reason == "the ledger is another store's: rebuild it"
    assert errors.StorageUnavailable().reason == errors.StorageUnavailable.message
    assert errors.NameInvalid("a/B").reason == f"{errors.NameInvalid.message}: a/B"
