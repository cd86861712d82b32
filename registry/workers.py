"""Worker processes that serve one listening socket."""

import multiprocessing
import os
import signal
import threading

from uvicorn.supervisors import Multiprocess


class Workers(Multiprocess):
    """uvicorn's, but at the end nobody new is kept waiting while uploads in flight finish."""

    def terminate_all(self) -> None:
        """Close the parent's socket too, else connections are taken that nobody will answer."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()


def end_with_parent() -> None:
    """Have this worker end in order once its parent is gone.

    Where that was killed nobody else would end it, and the address would stay taken.
    """
    threading.Thread(target=_follow, name="parent", daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
