"""Layers that come to a host: rows of a table, or bars that grow on a terminal."""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)

from climg import tables
from climg.tables import Column
from climg.text import one_line

COLUMNS: Final = (
    Column("Coming", tables.ID_LEAST),
    Column("Stage"),
    Column("Received"),
    Column("Of"),
    Column("Bytes/s", leaves=1),
    Column("Error", tables.NAME_LEAST, leaves=2),
)
_POLL: Final = 0.2
_EACH: Final = 5
"""Looks between two lines where the output is no terminal."""


def rows(coming: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row a layer."""
    return [
        (
            each["digest"],
            each["stage"],
            str(each["received"]),
            str(each["total"]),
            str(round(each["rate"])),
            one_line(each["error"]),
        )
        for each in coming
    ]


def follow(look: Callable[[], list[dict[str, Any]]], console: Console | None = None) -> None:
    """Tell how far layers are, until none comes any more."""
    shown = console or Console(file=sys.stderr)
    if shown.is_terminal:
        _bars(look, shown)
    else:
        _lines(look)


def _bars(look: Callable[[], list[dict[str, Any]]], console: Console) -> None:
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
    )  # fmt: skip
    known: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as progress:
        while coming := look():
            here = {each["digest"]: each for each in coming}
            for digest, task in known.items():
                if digest not in here:
                    progress.update(task, completed=progress.tasks[task].total)
            for digest, each in here.items():
                if digest not in known:
                    known[digest] = progress.add_task("", total=each["total"])
                name = f"{digest.partition(':')[2][:12]} {each['stage']}"
                progress.update(known[digest], description=name, completed=each["received"])
            time.sleep(_POLL)
        for task in known.values():
            progress.update(task, completed=progress.tasks[task].total)


def _lines(look: Callable[[], list[dict[str, Any]]]) -> None:
    looks = 0
    while coming := look():
        if looks % _EACH == 0:
            received, total = (sum(each[key] for each in coming) for key in ("received", "total"))
            typer.echo(f"{len(coming)} layers come: {received} of {total} bytes", err=True)
        looks += 1
        time.sleep(_POLL)
