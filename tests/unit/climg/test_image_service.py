"""The Image API asked over HTTP: what it answers, and what is no answer of it."""

from contextlib import closing

import pytest

from climg.cloud import LIMIT, ImageService, connect
from climg.errors import ClimgError, NotFound, Refused, Unavailable, WrongUsage
from climg.target import Registry
from support.environment import free_port
from support.shelf import TALK, identifier, serving

GARBAGE = [
    (302, "text/html", b""),
    (200, "text/html", b"<html>welcome</html>"),
    (200, "application/json", b""),
    (200, "application/json", b"[]"),
    (200, "application/json", b"null"),
    (200, "application/json", b'{"images": null}'),
    (200, "application/json", b'{"images": [1]}'),
    (200, "application/json", b'{"images": [{}]}'),
    (200, "application/json", b'{"images": [{"id": 1}]}'),
    (200, "application/json", b'{"images": [{"id": "\xff"}]}'),
]
REFUSALS: list[tuple[int, type[ClimgError], str]] = [
    (400, Refused, "refuses that: of its own"),
    (401, Refused, "sign in with --user and BERTH_PASSWORD"),
    (403, Refused, "refuses that: of its own; ask who may give you the right"),
    (409, Refused, "refuses that: of its own"),
    (429, Refused, "asked too often: of its own; try again later"),
    (500, Unavailable, "cannot answer now (500): of its own"),
    (503, Unavailable, "cannot answer now (503): of its own"),
]


def ask(url: str) -> ImageService:
    return connect(Registry(url), None, lambda _: None)


def test_every_page_of_a_list_is_read() -> None:
    counted: list[int] = []
    with serving(TALK) as url, closing(connect(Registry(url), None, counted.append)) as service:
        found = list(service.list({"os_hidden": "true"}))
    assert [each.id for each in found] == [
        each["id"] for each in TALK.documents if each["os_hidden"]
    ]
    assert counted == [1, 2, 3, 4, 5]


def test_a_record_is_found_by_its_id() -> None:
    with serving(TALK) as url, closing(ask(url)) as service:
        assert service.find(identifier(0xFB9205AC)).name == "docker-centos"
        with pytest.raises(NotFound, match="no such image"):
            service.find(identifier(1))


@pytest.mark.parametrize("answer", GARBAGE, ids=range(len(GARBAGE)))
def test_what_is_no_answer_of_an_image_service_is_told_so(answer: tuple[int, str, bytes]) -> None:
    with (
        serving(TALK, answer) as url,
        closing(ask(url)) as service,
        pytest.raises(Unavailable, match=f"{url} is no Image API"),
    ):
        list(service.list({}))


@pytest.mark.parametrize(("status", "kind", "words"), REFUSALS)
def test_a_refusal_is_told_in_the_services_words(
    status: int, kind: type[ClimgError], words: str
) -> None:
    body = b'{"error": {"code": %d, "title": "x", "message": "of its\\nown"}}' % status
    with (
        serving(TALK, (status, "application/json", body)) as url,
        closing(ask(url)) as service,
        pytest.raises(kind) as refused,
    ):
        list(service.list({}))
    assert words in str(refused.value)
    assert url in str(refused.value)


def test_who_does_not_answer_is_told_so() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with closing(ask(url)) as service, pytest.raises(Unavailable, match="Connection refused"):
        list(service.list({}))


def test_what_is_no_text_is_not_sent_and_not_shown() -> None:
    with (
        serving(TALK) as url,
        closing(connect(Registry(url, "al\udcffce"), "se\udcffcret", lambda _: None)) as service,
        pytest.raises(WrongUsage) as refused,
    ):
        list(service.list({}))
    assert "cret" not in str(refused.value)


def test_a_list_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIMIT > 100_000
    monkeypatch.setattr("climg.cloud.LIMIT", 3)
    with (
        serving(TALK) as url,
        closing(ask(url)) as service,
        pytest.raises(Refused, match="more than 3 records"),
    ):
        list(service.list({"os_hidden": "true"}))
