"""A catalogue for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.catalogue import Catalogue, open_catalogue
from support.ledgers import Template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return Template(tmp_path_factory.mktemp("template"))


@pytest.fixture
async def catalogue(tmp_path: Path, template: Template) -> AsyncIterator[Catalogue]:
    async with open_catalogue(tmp_path, template) as catalogue:
        yield catalogue
