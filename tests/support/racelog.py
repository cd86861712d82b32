"""What a process of a race knows, line by line in a file: whoever comes after its death goes on."""

import json
import os
import time
from pathlib import Path
from typing import Any

from registry.oci.names import RepositoryName
from support.racecontent import REPOSITORIES, Thing

Place = tuple[RepositoryName, str]
"""A repository and a tag in it, which nobody else changes."""


class Memory:
    """What was acknowledged to one actor; each line is written before whatever comes of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tags: dict[Place, Thing] = {}
        """What they are on."""
        self.unsure: dict[Place, list[Thing | None]] = {}
        """What they may be on: somebody died before he was told."""
        self.before: dict[Place, Thing] = {}
        """What those that were deleted were on."""
        self.referrers: dict[Place, list[Thing]] = {}
        """To what a tag is on, for as long as it is on it."""
        self.words: set[str] = set()
        """All layers that were ever to be pushed."""
        if path.exists():
            for line in path.read_text().splitlines():
                self._remember(json.loads(line))
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def may_be(self, place: Place, *things: Thing | None) -> None:
        """Something is about to be asked for that makes a tag one of these."""
        self._note("maybe", *_spell(place), [each and each.spell() for each in things])

    def is_now(self, place: Place, thing: Thing | None) -> None:
        """So it was acknowledged."""
        self._note("is", *_spell(place), thing and thing.spell())

    def referred(self, place: Place, referrer: Thing) -> None:
        """What the tag is on has a referrer."""
        self._note("referrer", *_spell(place), referrer.spell())

    def did(self, deed: str, began: float, outcome: str) -> None:
        """A deed has ended; seconds are those of the machine's monotonic clock."""
        self._write(["deed", deed, began, time.monotonic(), outcome])

    def complain(self, complaint: str) -> None:
        """The registry broke its word."""
        self._write(["complaint", complaint])

    def _note(self, *line: Any) -> None:
        self._write(list(line))
        self._remember(line)

    def _write(self, line: list[Any]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def _remember(self, line: Any) -> None:
        if line[0] not in {"maybe", "is", "referrer"}:
            return
        place = REPOSITORIES[line[1]], line[2]
        if line[0] == "maybe":
            self.unsure[place] = [None if each is None else Thing.read(each) for each in line[3]]
            for thing in self.unsure[place]:
                if thing is not None:
                    self.words.update(thing.words, *(part.words for part in thing.parts))
        elif line[0] == "referrer":
            self.referrers.setdefault(place, []).append(Thing.read(line[3]))
        else:
            self.unsure.pop(place, None)
            self.referrers.pop(place, None)
            held = self.tags.pop(place, None)
            if held is not None:
                self.before[place] = held
            if line[3] is not None:
                self.tags[place] = Thing.read(line[3])


def _spell(place: Place) -> tuple[int, str]:
    return REPOSITORIES.index(place[0]), place[1]
