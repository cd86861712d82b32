"""What can go wrong, each with its exit code; the message says what, why, and what to do."""

from collections.abc import Sequence


class ClimgError(Exception):
    """Told to the user in one line, and in one more for each of its *details*."""

    status = 1

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class Refused(ClimgError):
    """The service answered, and said no."""


class NotFound(ClimgError):
    """There is no such image, or the caller does not see it."""


class Ambiguous(ClimgError):
    """A name that several images have."""


class WrongUsage(ClimgError):
    """Options or variables that cannot be followed."""

    status = 2


class Unavailable(ClimgError):
    """The service cannot be reached, cannot answer now, or does not answer as it should."""

    status = 3
