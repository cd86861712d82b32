"""People in a file, and people of a real Keystone: the port's promises."""

import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contract.identity_contract import IdentityContract, People
from registry.auth.htpasswd import HtpasswdIdentity
from registry.auth.keystone.client import SILENCE
from registry.auth.ports import Identity
from support.directory import WORD, Directory, directory_of
from support.keystone import open_cloud_registry
from support.openstack import OpenStack
from support.signing import hashed


@pytest.fixture(scope="module")
def directory(openstack: OpenStack) -> Iterator[Directory]:
    with directory_of(openstack) as directory:
        yield directory


class TestHtpasswdIdentity(IdentityContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "htpasswd"
        names = ("alice", "carol", "nobody", "root")
        path.write_text("".join(f"{name}:{hashed(WORD)}\n" for name in names))
        return path

    @pytest.fixture
    def identity(self, path: Path) -> Identity:
        roles = {"east": {"alice": "member", "carol": "reader"}, "ops": {"root": "admin"}}
        return HtpasswdIdentity(path, roles)

    @pytest.fixture
    def people(self, path: Path) -> People:
        @contextlib.contextmanager
        def outage() -> Iterator[None]:
            text = path.read_text()
            path.write_text("spoilt")
            yield
            path.write_text(text)

        return People(
            member="alice",
            reader="carol",
            nobody="nobody",
            administrator="root",
            word=WORD,
            own="east",
            own_id="east",
            other="west",
            other_id="west",
            outage=outage(),
        )


class TestKeystoneIdentity(IdentityContract):
    @pytest.fixture
    async def identity(self, openstack: OpenStack) -> AsyncIterator[Identity]:
        async with open_cloud_registry(openstack) as registry:
            yield registry.identity

    @pytest.fixture
    def people(self, directory: Directory, openstack: OpenStack) -> People:
        own, other, office = (directory.project() for _ in range(3))

        @contextlib.contextmanager
        def outage() -> Iterator[None]:
            with openstack.stopped("keystone"):
                yield
            time.sleep(SILENCE)

        return People(
            member=directory.member(own).name,
            reader=directory.member(own, role="reader").name,
            nobody=directory.person().name,
            administrator=directory.member(office, role="admin").name,
            word=WORD,
            own=own.name,
            own_id=own.id,
            other=other.name,
            other_id=other.id,
            outage=outage(),
        )
