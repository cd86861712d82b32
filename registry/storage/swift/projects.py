"""Which projects have a journal, found without a listing: ``<prefix>-meta/projects/<number>``.

Listings may lag, and may be an old one's, of a server that was away. A project that they do not
tell of would be left out of a ledger that is made anew. So before a project's first line its name
is put under the first number that is free.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from registry.oci.errors import StorageUnavailable
from registry.storage.swift.names import Names
from registry.storage.swift.objects import AT_ONCE, FIRST_ONLY, WRITTEN, Objects

_TRIES: Final = 10
"""Numbers at most that others may take first."""


class Projects:
    """Their names, and how many are known here."""

    def __init__(self, objects: Objects, names: Names) -> None:
        self._objects = objects
        self._names = names
        self._found: list[str] = []
        """By number, from 1. Of two that took one number at a time one is missing: its next writer
        puts it under another."""
        self._finding = asyncio.Lock()

    async def find(self) -> Collection[str]:
        """All of them."""
        async with self._finding:
            await self._find()
            return set(self._found)

    async def add(self, project: str) -> None:
        """Have *project* among them; raises StorageUnavailable."""
        if project in self._found:
            return
        async with self._finding:
            for _ in range(_TRIES):
                await self._find()
                if project in self._found:
                    return
                place = self._names.project(len(self._found) + 1)
                text = project.encode()
                await self._objects.put(place, text, headers=FIRST_ONLY, accept=WRITTEN)
        raise StorageUnavailable(f"project {project} could not be noted in Swift: it hides writes")

    async def _find(self) -> None:
        """Those that came since; a number that is free ends them."""
        size = 1
        while True:
            first = len(self._found) + 1
            tasks = [asyncio.ensure_future(self._read(first + n)) for n in range(size)]
            try:
                for task in tasks:
                    name = await task
                    if name is None:
                        return
                    self._found.append(name)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            size = min(2 * size, AT_ONCE)

    async def _read(self, number: int) -> str | None:
        place = self._names.project(number)
        content = await self._objects.get(place)
        try:
            return None if content is None else content.decode()
        except UnicodeDecodeError as error:
            raise StorageUnavailable(f"{place.name} of the store is damaged") from error
