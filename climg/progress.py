"""How far a long listing is, told on a terminal and nowhere else."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

AFTER = 1000
"""Records after which a listing counts as long."""


class Progress:
    """Call it with the number of records read so far."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._status: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __call__(self, count: int) -> None:
        """Tell *count*, each hundred of them."""
        if count < AFTER or count % 100 or not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status("")
            self._status.start()
        self._status.update(f"{count} records read")

    def stop(self) -> None:
        """Leave nothing of it on the terminal."""
        if self._status is not None:
            self._status.stop()
            self._status = None
