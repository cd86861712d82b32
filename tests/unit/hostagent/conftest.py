from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hostlives import Life
from support.hostmodel import model


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A set on a host in memory, where nothing fails."""
    with model(tmp_path, 1) as world:
        world.answers = 1.0
        yield Life(world, 1)
