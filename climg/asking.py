"""Whether somebody means what they said, before it cannot be taken back."""

import sys

import typer

from climg.errors import WrongUsage


def make_sure(question: str, about: str, *, yes: bool) -> None:
    """Ask *question* unless *yes*; no ends the command. Raises WrongUsage if nobody is there."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise WrongUsage(f"nobody is there to be asked about {about}: say --yes")
    typer.confirm(question, abort=True, err=True)
