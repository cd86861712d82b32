"""Runs the commands, and tells every failure in one line."""

import io
import logging
import sys

import typer

from climg.commands import app
from climg.errors import ClimgError
from climg.text import one_line
from outset.loading import give_up_output


def run() -> None:
    """Run the command line, and exit."""
    logging.getLogger().addHandler(logging.NullHandler())  # libraries' warnings are told as errors
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale may lack the lines of a tree
    sys.exit(_run())


def _run() -> int:
    try:
        status = app(prog_name="climg", standalone_mode=False)
    except ClimgError as error:
        _tell(str(error))
        for each in error.details:
            typer.echo(f"  {one_line(each)}", err=True)
        return error.status
    except typer.TyperException as error:
        message = error.format_message()
        if message:
            _tell(f"{message.rstrip('.')}; see {_command(error)} --help")
        return error.exit_code
    except UnicodeEncodeError:
        _tell("what was said has bytes that are no text in UTF-8; write it anew")
        return 2
    except typer.Abort:
        _tell("broken off")
        return 1
    except OSError as error:
        give_up_output()
        _tell(f"cannot print: {error.strerror or error}")
        return 1
    return status if isinstance(status, int) else 0


def _command(error: typer.TyperException) -> str:
    return getattr(getattr(error, "ctx", None), "command_path", "climg")


def _tell(message: str) -> None:
    typer.echo(f"climg: {one_line(message)}", err=True)
