"""Tables as text (pure): as wide as they are, or as narrow as a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from climg.records import Record, as_json
from climg.text import fold, one_line, pad, shorten, width_of

ID_LEAST = 9
"""Columns of a shortened id: the first eight digits and an ellipsis."""
NAME_LEAST = 12
TITLE_LEAST = 3


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and what may be done to it where the table is too wide."""

    title: str
    least: int | None = None
    """Columns that a cell keeps at least; None: cells are never cut, for half a number lies."""
    leaves: int = 0
    """When it goes altogether: the highest first; 0: never."""


COLUMNS = (
    Column("ID", ID_LEAST),
    Column("Name", NAME_LEAST),
    Column("Disk_format", leaves=4),
    Column("Size", leaves=1),
    Column("Is_public", leaves=5),
    Column("Min_disk", leaves=7),
    Column("Min_ram", leaves=6),
    Column("Status", leaves=3),
    Column("Preference", leaves=8),
    Column("Parent_id", ID_LEAST, leaves=2),
)


def listing(records: Sequence[Record], width: int | None = None) -> list[str]:
    """The lines of a list of images, in *width* columns if given; the last tells how many."""
    rows = [cells(record) for record in records]
    return counted(COLUMNS, rows, width)


def cells(record: Record) -> tuple[str, ...]:
    """A record's row, as COLUMNS has it."""
    size = record.shown_size
    return (
        record.id,
        one_line(record.name or ""),
        one_line(record.disk_format),
        "" if size is None else str(size),
        str(record.visibility == "public"),
        str(record.min_disk),
        str(record.min_ram),
        one_line(record.status),
        str(record.preference),
        one_line(record.parent_id or ""),
    )


def counted(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None
) -> list[str]:
    """A table as of `layout`, and how many rows it has."""
    return [*layout(columns, rows, width), f"**** Total: {len(rows)} ****"]


def layout(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None = None
) -> list[str]:
    """Title and rows in lines of at most *width* columns.

    What is too wide loses first its ids' ends, then titles' ends, then spaces, then names' ends,
    then whole columns.
    """
    table = [[column.title for column in columns], *rows]
    widths = [max(width_of(row[place]) for row in table) for place in range(len(columns))]
    if width is None:
        return _lines(table, widths, 2)
    ids_and_titles, names = _squeezes(columns, rows)
    for gap, squeezes in ((2, ids_and_titles), (1, names)):
        for place, least in squeezes:
            over = max(_total(widths, gap) - width, 0)
            widths[place] = max(min(least, widths[place]), widths[place] - over)
        if _total(widths, gap) <= width:
            return _lines(table, widths, gap)
    going = max(range(len(columns)), key=lambda place: columns[place].leaves)
    if columns[going].leaves == 0:
        return [shorten(line, width) for line in _lines(table, widths, 1)]
    kept = [place for place in range(len(columns)) if place != going]
    return layout(
        [columns[place] for place in kept], [[row[place] for place in kept] for row in rows], width
    )


def pairs(fields: Sequence[tuple[str, str]], width: int | None = None) -> list[str]:
    """Names and values, one under the other; long values go on in the next line."""
    left = max(width_of(name) for name, _ in fields)
    lines = []
    for name, value in fields:
        shown = one_line(value)
        room = None if width is None else max(width - left - 2, 1)
        pieces = [shown] if room is None else fold(shown, room)
        lines.append(f"{pad(name, left)}  {pieces[0]}".rstrip())
        lines += [f"{' ' * left}  {piece}" for piece in pieces[1:]]
    return lines


def fields(record: Record, members: Mapping[str, str]) -> list[tuple[str, str]]:
    """All that a record says, and who it is shared with, for ``pairs``."""
    standard = [(name, _value(value)) for name, value in as_json(record).items()
                if name != "properties"]  # fmt: skip
    shared = [("shared_with", f"{project} ({status})") for project, status in members.items()]
    return [*standard, *sorted(record.properties.items()), *shared]


def _squeezes(
    columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Which column may shrink to which width, in the order in which they are asked to.

    First ids and titles, then names.
    """
    ids, titles, names = [], [], []
    for place, column in enumerate(columns):
        if column.least is None:
            widest = max((width_of(row[place]) for row in rows), default=0)
            titles.append((place, max(widest, TITLE_LEAST)))
        elif column.least == ID_LEAST:
            ids.append((place, column.least))
        else:
            names.append((place, column.least))
    return [*reversed(ids), *reversed(titles)], names


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)


def _lines(table: Sequence[Sequence[str]], widths: Sequence[int], gap: int) -> list[str]:
    between = " " * gap
    return [
        between.join(
            pad(shorten(cell, wide), wide) for cell, wide in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]


def _value(value: object) -> str:
    return "" if value is None else str(value)
