"""The `berth` command: dispatch only; each part is imported when it is asked for."""

import errno
import os
import sys
from typing import TYPE_CHECKING

from outset.loading import give_up_output, loading

if TYPE_CHECKING:
    from typer import Typer

OF_OUTPUTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF}
"""What writing ends with where no file is named."""


def main() -> None:
    """Run the command line."""
    is_agents = sys.argv[1:2] == ["agent"]
    with loading():
        app = _agent() if is_agents else _registry()
    try:
        try:
            app(
                args=sys.argv[2:] if is_agents else None,
                prog_name="berth agent" if is_agents else "berth",
            )
        finally:
            sys.stdout.flush()
    except OSError as error:
        sys.exit(_told(error))


def _agent() -> "Typer":
    from hostagent.cli import app  # noqa: PLC0415 - it needs none of the registry

    return app


def _registry() -> "Typer":
    from registry.cli import app  # noqa: PLC0415 - other commands need not load the registry

    if not sys.argv[1:2] or sys.argv[1].startswith("-") or "_BERTH_COMPLETE" in os.environ:
        app.add_typer(_agent(), name="agent")  # for the help, and for completion
    return app


def _told(error: OSError) -> int:
    """Say what ended a command: its output, which is full or has gone; or a file."""
    why = error.strerror or str(error)
    if error.filename is not None:
        from settings.reading import printable  # noqa: PLC0415 - hardly ever needed

        why = printable(f"{error.filename}: {why}")
    elif error.errno in OF_OUTPUTS:
        give_up_output()
        why = f"cannot print: {why}"
    sys.stderr.write(f"berth: {why}\n")
    return 1


if __name__ == "__main__":
    main()
