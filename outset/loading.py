"""What every command needs before it is loaded: an end by Ctrl-C, streams, and a width."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def loading() -> Iterator[None]:
    """Have a command loaded in here, which begins nothing that would want to be ended.

    Ctrl-C ends it without a traceback. Streams that the caller has closed lead nowhere.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not os.environ.get("COLUMNS", "1").strip("0"):  # some terminals say so: nothing would show
        del os.environ["COLUMNS"]
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the end
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def give_up_output() -> None:
    """Have what is left of an output that failed go nowhere: at its end Python tries once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
