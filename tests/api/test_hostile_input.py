"""Names, references, queries, ranges and documents that mean harm, at a server that really runs."""

from collections.abc import Iterator

import pytest

from support.holdings import hold_unchanged, holdings
from support.server import Server, Settings, running_server
from support.wire import ask, request


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    with running_server(Settings(auth=True)) as server:
        yield server


@pytest.mark.parametrize(
    "path", ["/v2//blobs/uploads/", "/v2//blobs/uploads", "/v2///blobs/uploads/"]
)
def test_no_name_is_no_way_around_signing_in(guarded: Server, path: str) -> None:
    digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    before = holdings(guarded)
    for query in ("", f"?digest={digest}", f"?mount={digest}"):
        answer = ask(guarded.address, request("POST", f"{path}{query}", body=b"x"))
        assert (answer.status, answer.code) == (400, "NAME_INVALID")
    hold_unchanged(guarded, before)
