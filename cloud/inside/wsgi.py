"""Serves one WSGI application: MODULE PORT THREADS. The services' own Python runs this file."""

import importlib
import signal
import sys
from types import FrameType


def main() -> None:
    """Serve until SIGTERM; then let requests in flight finish."""
    module, port, threads = sys.argv[1:]
    # Keystone reads the command line while it is imported.
    sys.argv[1:] = []
    application = importlib.import_module(module).application
    signal.signal(signal.SIGTERM, end)
    importlib.import_module("waitress").serve(
        application,
        listen=f"127.0.0.1:{port}",
        threads=int(threads),
        max_request_body_size=1 << 40,
        ident=None,
    )


def end(number: int, frame: FrameType | None) -> None:
    """Waitress takes this for Ctrl-C."""
    del number, frame
    raise SystemExit(0)


if __name__ == "__main__":
    main()
