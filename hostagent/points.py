"""Where an agent can die: every step says so here, and a test makes it die there."""

from collections.abc import Callable


def _nothing(_: str) -> None:
    """Go on."""


_listener: Callable[[str], None] = _nothing


def listen(listener: Callable[[str], None]) -> None:
    """Have *listener* called with the name of each point that is reached."""
    global _listener  # noqa: PLW0603 - one for the process, as a death is
    _listener = listener


def reach(point: str) -> None:
    """Say that *point* is reached."""
    _listener(point)
