"""All that a server keeps, to be compared: in its directory, in its ledger, in memory."""

import contextlib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, select

from registry.oci.digest import Digest
from registry.storage.ledger.schema import metadata
from support.environment import NotReady, wait_until
from support.server import Server
from support.wire import ask, request

Holdings = dict[str, object]
_PASSING = {"upload": None, "journal": None, "link": {"touched_at"}, "usage": {"reserved"}}
"""What a refused request may change: a table (None) or some of its columns.

Lines of the journal are on their way beside the bytes, where they are looked at.
"""


def holdings(server: Server) -> Holdings:
    """Every file but the ledger's own, by content; every row but those of upload sessions."""
    kept: Holdings = {}
    for folder, _, names in os.walk(server.data):
        for path in (Path(folder, name) for name in names if not name.startswith("ledger.db")):
            kept[str(path.relative_to(server.data))] = _content(path)
    engine = create_engine(_ledger_url(server))
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            without = _PASSING.get(table.name, set())
            if without is not None:
                columns = [column for column in table.c if column.name not in without]
                rows = connection.execute(select(*columns)).all()
                kept[table.name] = sorted(map(repr, rows))
    engine.dispose()
    return kept


def hold_unchanged(server: Server, before: Holdings) -> None:
    """Hold that what is kept is as it was, or soon is: a broken request may still be ending."""

    def changed() -> Holdings:
        now = holdings(server)
        names = [name for name in before | now if before.get(name) != now.get(name)]
        return {name: (before.get(name), now.get(name)) for name in names}

    with contextlib.suppress(NotReady):
        wait_until(lambda: not changed(), "what was kept before", 5)
    assert changed() == {}


def _ledger_url(server: Server) -> str:
    config = tomllib.loads((server.directory / "berth.toml").read_text())
    beside = f"sqlite:///{server.data / 'ledger.db'}"
    return str(config.get("ledger", {}).get("url", beside))


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:  # on its way out
        return "gone"


@contextlib.contextmanager
def unharmed(server: Server) -> Iterator[None]:
    """Hold that what happens within leaves *server* as it was: faultless, and with same content."""
    before = holdings(server)
    with faultless(server):
        yield
        hold_unchanged(server, before)


@contextlib.contextmanager
def faultless(server: Server) -> Iterator[None]:
    """Hold that *server* answers afterwards, and that its log tells of no error within.

    An error is a line of that level, or an answer of 500 or more.
    """
    logged = server.log.stat().st_size
    yield
    assert ask(server.address, request("GET", "/v2/")).status in {200, 401}
    with server.log.open("rb") as log:
        log.seek(logged)
        lines = log.read().decode("utf-8", "replace")
    for wrong in ('"level": "ERROR"', "Traceback", '"status":5'):
        assert wrong not in lines, lines


def memory(process: int) -> int:
    """The bytes of memory that a process holds, by its id."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    (kibibytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kibibytes) << 10


def hold_kept(address: str, name: str, content: bytes, media_type: str) -> None:
    """The manifest is at the tag ``new``, is listed as a referrer and an image, and can go."""
    answer = ask(address, request("GET", f"/v2/{name}/manifests/new"))
    assert (answer.status, answer.body) == (200, content)
    assert answer.header("content-type") == media_type
    if (subject := json.loads(content).get("subject")) is not None:
        listed = ask(address, request("GET", f"/v2/{name}/referrers/{subject['digest']}"))
        named = [each["digest"] for each in json.loads(listed.body)["manifests"]]
        assert named == [str(Digest.of(content))]
    assert "new" in [record.get("oci_tag") for record in records(address)]
    by_digest = f"/v2/{name}/manifests/{Digest.of(content)}"
    assert ask(address, request("DELETE", by_digest)).status == 202


def records(address: str) -> list[dict[str, Any]]:
    """Every image record that is listed."""
    answer = ask(address, request("GET", "/image/v2/images?limit=1000"))
    assert answer.status == 200
    found: list[dict[str, Any]] = json.loads(answer.body)["images"]
    return found
