"""What local disk and images say, in the agent's own words."""

from collections.abc import Iterator
from contextlib import contextmanager

from hostagent.errors import NotHere, StepFailed
from hostimages.errors import ImageError
from volumes.faults import VolumeFailed, VolumeUnknown


@contextmanager
def told() -> Iterator[None]:
    """Have what local disk and images say told as a step's failure."""
    try:
        yield
    except VolumeUnknown as error:
        raise NotHere(str(error)) from error
    except (ImageError, VolumeFailed) as error:
        raise StepFailed(str(error)) from error
