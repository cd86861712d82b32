"""Foreign text made fit for a terminal (pure): a record's fields are anybody's words."""

import unicodedata

from rich.cells import cell_len, set_cell_size

_UNFIT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories that steer a terminal, or hide in it."""


def one_line(text: str) -> str:
    """*text* in one line, nothing in it that a terminal would obey."""
    spaced = "".join(
        " " if each.isspace() else "\N{REPLACEMENT CHARACTER}" if _steers(each) else each
        for each in text
    )
    return " ".join(spaced.split())


def width_of(text: str) -> int:
    """Columns that *text* takes on a terminal."""
    return cell_len(text)


def shorten(text: str, width: int) -> str:
    """*text* in at most *width* columns, an ellipsis at its end where something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def pad(text: str, width: int) -> str:
    """*text* with spaces behind it, up to *width* columns."""
    return text + " " * (width - cell_len(text))


def fold(text: str, width: int) -> list[str]:
    """*text* in pieces of at most *width* columns; at least one piece."""
    pieces = [""]
    for each in text:
        if cell_len(pieces[-1] + each) > width and pieces[-1]:
            pieces.append("")
        pieces[-1] += each
    return pieces


def _steers(character: str) -> bool:
    return unicodedata.category(character) in _UNFIT
