"""All that a server keeps, to be compared: in its directory, in its ledger, in memory."""

import contextlib
import hashlib
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import create_engine, select

from registry.storage.ledger.schema import metadata
from support.environment import NotReady, wait_until
from support.server import Server
from support.wire import ask, request

Holdings = dict[str, object]
_PASSING = {"upload": None, "journal": None, "link": {"touched_at"}}
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
    """Hold that what happens within leaves *server* as it was: same content, no error, answering.

    An error is a line of its log of that level, or an answer of 500 or more.
    """
    before = holdings(server)
    logged = server.log.stat().st_size
    yield
    hold_unchanged(server, before)
    assert ask(server.address, request("GET", "/v2/")).status in {200, 401}
    with server.log.open("rb") as log:
        log.seek(logged)
        lines = log.read().decode("utf-8", "replace")
    for wrong in ('"level": "ERROR"', "Traceback", '"status":5', '"status":0'):
        assert wrong not in lines, lines


def memory(process: int) -> int:
    """The bytes of memory that a process holds, by its id."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    (kibibytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kibibytes) << 10
