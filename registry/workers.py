"""Worker processes that serve one listening socket."""

from uvicorn.supervisors import Multiprocess


class Workers(Multiprocess):
    """uvicorn's, but at the end nobody new is kept waiting while uploads in flight finish."""

    def terminate_all(self) -> None:
        """Close the parent's socket too, else connections are taken that nobody will answer."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()
