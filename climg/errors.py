"""What can go wrong, each with its exit code; the message says what, why, and what to do."""


class ClimgError(Exception):
    """Told to the user in one line."""

    status = 1


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
