"""podman."""

from pathlib import Path

import pytest

from support.clients import Engine, Podman
from support.roundtrip import EngineSuite


class TestPodman(EngineSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> Engine:
        return Podman(place)
