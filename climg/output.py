"""What is printed: lines as wide as the terminal, or JSON."""

import json
import shutil
import sys
from collections.abc import Iterable
from typing import Any

import typer


def width() -> int | None:
    """Columns of the terminal; None where the output is none: then nothing is shortened."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def lines(text: Iterable[str]) -> None:
    """Print *text*, line by line."""
    typer.echo("\n".join(text))


def as_json(value: Any) -> None:
    """Print *value* for programs; in ASCII, so that no terminal obeys what is in it."""
    typer.echo(json.dumps(value, indent=2))
