"""What every client must be able to do with a registry; subclass, give the fixture ``client``."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.clients import Client, ClientFailed, ContentClient, Engine
from support.images import Images, Reader
from support.server import ALICE, CAROL, Account, Server

WRONG = Account(name=ALICE.name, password="not-this-one")  # noqa: S106


def new_repository() -> str:
    """Answer a name that nobody has used, so that the tests need not know of each other."""
    return f"library/test-{uuid.uuid4().hex[:12]}"


@contextlib.contextmanager
def reading(server: Server) -> Iterator[Reader]:
    reader = Reader(server)
    try:
        yield reader
    finally:
        reader.close()


class ContentSuite:
    """A client that handles content as it is."""

    def test_a_real_image_comes_back_byte_for_byte(
        self, client: ContentClient, server: Server, real: Images, tmp_path: Path
    ) -> None:
        repository = new_repository()
        reference = f"{server.address}/{repository}:1"
        client.push(real.image, reference)
        with reading(server) as reader:
            reader.hold_same(real.image, repository)
        client.pull(reference, tmp_path / "pulled")
        real.image.hold_same(tmp_path / "pulled")

    def test_an_index_of_two_platforms_comes_back_byte_for_byte(
        self, client: ContentClient, server: Server, real: Images, tmp_path: Path
    ) -> None:
        repository = new_repository()
        reference = f"{server.address}/{repository}:1"
        client.push(real.index, reference)
        with reading(server) as reader:
            reader.hold_same(real.index, repository)
        client.pull(reference, tmp_path / "pulled")
        real.index.hold_same(tmp_path / "pulled")

    def test_who_logs_in_may_push_and_pull(
        self, client: ContentClient, guarded: Server, small: Images, tmp_path: Path
    ) -> None:
        reference = f"{guarded.address}/{new_repository()}:1"
        client.login(guarded.address, ALICE)
        client.push(small.index, reference)
        client.pull(reference, tmp_path / "pulled")
        small.index.hold_same(tmp_path / "pulled")

    def test_a_reader_may_pull_but_not_push(
        self, client: ContentClient, guarded: Server, small: Images, tmp_path: Path
    ) -> None:
        repository = new_repository()
        reference = f"{guarded.address}/{repository}:1"
        client.login(guarded.address, ALICE)
        client.push(small.image, reference)
        client.login(guarded.address, CAROL)
        client.pull(reference, tmp_path / "pulled")
        small.image.hold_same(tmp_path / "pulled")
        hold_push_refused(client, guarded, small, new_repository())

    def test_a_wrong_password_opens_nothing(
        self, client: ContentClient, guarded: Server, small: Images
    ) -> None:
        hold_wrong_password_refused(client, guarded, small)


class EngineSuite:
    """A client that unpacks what it pulls and packs anew what it pushes."""

    def test_a_real_image_comes_back_with_its_config_and_layers(
        self, client: Engine, server: Server, real: Images
    ) -> None:
        repository = new_repository()
        reference = f"{server.address}/{repository}:1"
        client.push(real.image, reference)
        with reading(server) as reader:
            assert reader.stored(repository) == real.image.stored()
        assert client.pull(reference) == real.image.stored()

    def test_its_own_platform_is_pulled_from_an_index(
        self, client: Engine, server: Server, real: Images, published: str
    ) -> None:
        assert client.pull(f"{server.address}/{published}:1") == real.index.stored()

    def test_who_logs_in_may_push_and_pull(
        self, client: Engine, guarded: Server, small: Images
    ) -> None:
        reference = f"{guarded.address}/{new_repository()}:1"
        client.login(guarded.address, ALICE)
        client.push(small.image, reference)
        assert client.pull(reference) == small.image.stored()

    def test_a_reader_may_pull_but_not_push(
        self, client: Engine, guarded: Server, small: Images
    ) -> None:
        reference = f"{guarded.address}/{new_repository()}:1"
        client.login(guarded.address, ALICE)
        client.push(small.image, reference)
        client.login(guarded.address, CAROL)
        assert client.pull(reference) == small.image.stored()
        hold_push_refused(client, guarded, small, new_repository())

    def test_a_wrong_password_opens_nothing(
        self, client: Engine, guarded: Server, small: Images
    ) -> None:
        hold_wrong_password_refused(client, guarded, small)


def hold_push_refused(client: Client, guarded: Server, small: Images, repository: str) -> None:
    with pytest.raises(ClientFailed) as refused:
        client.push(small.image, f"{guarded.address}/{repository}:1")
    hold_words_of_refusal(refused.value)
    with reading(guarded) as reader:
        assert not reader.manifest(repository, "1").is_success


def hold_wrong_password_refused(client: Client, guarded: Server, small: Images) -> None:
    repository = new_repository()
    with pytest.raises(ClientFailed) as refused:  # noqa: PT012 - some clients ask at login already
        client.login(guarded.address, WRONG)
        client.push(small.image, f"{guarded.address}/{repository}:1")
    hold_words_of_refusal(refused.value)
    with reading(guarded) as reader:
        assert not reader.manifest(repository, "1").is_success


def hold_words_of_refusal(refused: ClientFailed) -> None:
    """Hold that the client told its user why: the words are the server's or the client's own."""
    told = str(refused).lower()
    words = (
        "unauthorized",
        "denied",
        "forbidden",
        "401",
        "403",
        "authorization failed",
        "invalid username/password",
    )
    assert any(word in told for word in words), told
