"""A push that waits for its image records: a warning, never a failure."""

from collections.abc import AsyncIterator

import httpx
import pytest

from registry.auth.open import OpenIdentity
from registry.storage.storage import Storage
from registry.v2api.app import Application, Settings
from registry.v2api.guard import Guard
from support.builders import image
from support.pushing import push_image

WORDS = "the image records are late"


class Asked(list[str]):
    """The projects whose records were waited for; those called late are."""

    async def __call__(self, project: str) -> str | None:
        self.append(project)
        return WORDS if project == "late" else None


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def waiting(storage: Storage, asked: Asked) -> AsyncIterator[httpx.AsyncClient]:
    app = Application(storage, Guard(OpenIdentity()), Settings(arrived=asked))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5000") as client:
        yield client


@pytest.mark.parametrize(("project", "warning"), [("late", f'299 - "{WORDS}"'), ("shoes", None)])
async def test_a_push_under_a_tag_waits_and_says_what_came_of_it(
    waiting: httpx.AsyncClient, asked: Asked, project: str, warning: str | None
) -> None:
    pushed = image("a")
    answer = await push_image(waiting, f"{project}/app", "1", pushed)
    assert answer.headers.get("warning") == warning
    answer = await push_image(waiting, f"{project}/app", f"{pushed.digest}?tag=2", pushed)
    assert answer.headers.get("warning") == warning
    assert asked == [project, project]


async def test_what_makes_no_record_does_not_wait(waiting: httpx.AsyncClient, asked: Asked) -> None:
    pushed = image("a")
    answer = await push_image(waiting, "late/app", str(pushed.digest), pushed)
    assert "warning" not in answer.headers
    assert asked == []
