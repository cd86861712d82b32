"""What tests of the host agent share."""

from collections.abc import Iterator

import pytest

from support.hostplaces import HostPlace, host_place


@pytest.fixture
def place() -> Iterator[HostPlace]:
    """A place for an agent that must be left as it was found."""
    with host_place() as found:
        yield found
        left = found.leftovers()
        assert not left, left
