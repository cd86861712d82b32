"""All that a server keeps, to be compared: what lies in its directory and in its ledger."""

import hashlib
from pathlib import Path

from sqlalchemy import create_engine, select

from registry.storage.ledger.schema import metadata
from support.environment import NotReady, wait_until
from support.server import Server

Holdings = dict[str, object]
_PASSING = {"upload": None, "link": {"touched_at"}}
"""What a refused request may change: a table (None) or some of its columns."""


def holdings(server: Server, url: str | None = None) -> Holdings:
    """Every file but the ledger's own, by content; every row but those of upload sessions.

    *url* is the ledger's, where it is not the file beside the bytes.
    """
    kept: Holdings = {}
    for path in sorted(server.data.rglob("*")):
        if path.is_file() and not path.name.startswith("ledger.db"):
            kept[str(path.relative_to(server.data))] = _content(path)
    engine = create_engine(url or f"sqlite:///{server.data / 'ledger.db'}")
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            without = _PASSING.get(table.name, set())
            if without is not None:
                columns = [column for column in table.c if column.name not in without]
                rows = connection.execute(select(*columns)).all()
                kept[table.name] = sorted(map(repr, rows))
    engine.dispose()
    return kept


def hold_unchanged(server: Server, before: Holdings, url: str | None = None) -> None:
    """Hold that what is kept is as it was, or soon is: a broken request may still be ending."""
    try:
        wait_until(lambda: holdings(server, url) == before, "what was kept before", 5)
    except NotReady:
        assert holdings(server, url) == before


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:  # on its way out
        return "gone"
