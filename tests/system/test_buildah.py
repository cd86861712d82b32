"""buildah."""

from pathlib import Path

import pytest

from support.clients import Buildah, Engine
from support.roundtrip import EngineSuite


class TestBuildah(EngineSuite):
    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, place: Path) -> Engine:
        return Buildah(place)
