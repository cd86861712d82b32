"""Containers' output is kept as small as it may be."""

import contextlib
import os
from pathlib import Path

from hostagent.host import Host
from hostagent.recipes import workload_of
from hostagent.records import Attempt, AttemptState


def rotate(host: Host) -> None:
    """Turn over what is half as large as it may be; monitors are told to write anew."""
    for attempt in host.store.rows(Attempt, state=AttemptState.STARTED):
        path = host.layout.log(attempt.set, attempt.container)
        most = workload_of(attempt.spec).limits.logs
        with contextlib.suppress(OSError):  # not there yet, or a full disk
            if path.stat().st_size > most // 4:
                path.rename(path.with_name(f"{path.name}.1"))
                _reopen(host.layout.attempt(attempt.set, attempt.container, attempt.id) / "ctl")


def _reopen(control: Path) -> None:
    """Conmon's word for it: message 2, with two numbers that mean nothing here."""
    with contextlib.suppress(OSError):
        handle = os.open(control, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(handle, b"2 0 0\n")
        finally:
            os.close(handle)
