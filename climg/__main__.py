"""The `climg` command."""

import os
import signal


def main() -> None:
    """Run the command line; Ctrl-C while it only loads ends it without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not os.environ.get("COLUMNS", "1").strip("0"):  # some terminals say so: nothing would show
        del os.environ["COLUMNS"]
    from climg.running import run  # noqa: PLC0415 - half a second

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
