"""The command line, called and read."""

import re

from support.programs import Ended, run

COLUMNS = [
    "ID",
    "Name",
    "Disk_format",
    "Size",
    "Is_public",
    "Min_disk",
    "Min_ram",
    "Status",
    "Preference",
    "Parent_id",
]
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TOTAL = re.compile(r"\*\*\*\* Total: (\d+) \*\*\*\*")

Row = dict[str, str]


class Climg:
    """The command line, sent to one registry."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *arguments: str, **environment: str) -> Ended:
        return run("climg", "--url", self.url, *arguments, **environment)

    def said(self, *arguments: str, **environment: str) -> list[str]:
        """The lines of what goes well."""
        ended = self.run(*arguments, **environment)
        assert (ended.status, ended.err) == (0, ""), ended
        return ended.lines

    def rows(self, *arguments: str, **environment: str) -> list[Row]:
        """A list's rows, its columns and its total held."""
        return read_table(self.said("image-list", *arguments, **environment))

    def refused(self, status: int, *arguments: str, **environment: str) -> str:
        """What is told on standard error where it does not go well."""
        return told(self.run(*arguments, **environment), status)


def told(ended: Ended, status: int) -> str:
    """The one line that a failure is told in."""
    assert (ended.status, ended.out) == (status, ""), ended
    (line,) = ended.err.splitlines()
    program, _, words = line.partition(": ")
    assert program == "climg"
    return words


def read_table(lines: list[str]) -> list[Row]:
    head, *rows, last = lines
    assert head.split() == COLUMNS
    total = TOTAL.fullmatch(last)
    assert total is not None
    assert int(total[1]) == len(rows)
    places = [head.index(name) for name in COLUMNS]
    ends = [*(place - 2 for place in places[1:]), None]
    read = [
        [row[place:end].strip() for place, end in zip(places, ends, strict=True)] for row in rows
    ]
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in read]
