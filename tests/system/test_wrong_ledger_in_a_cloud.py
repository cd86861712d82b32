"""A full store in a cloud under a ledger that is not its own, or no more, while all workers run."""

import asyncio
import contextlib
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import pytest

from registry import agreement, keeping, tending, wiring
from registry.gc.policy import Rules
from registry.oci.digest import Digest
from registry.oci.names import RepositoryName
from registry.storage.ledger import SqlLedger
from registry.storage.memory.journal import MemoryJournal
from support.builders import image
from support.directory import Person, Place, directory_of
from support.glance import Looker
from support.ledgers import put, tagged
from support.openstack import OpenStack
from support.pushing import code, push_blob, push_image
from support.server import Settings, berth_toml, service_variables
from support.swift import account_of, lies_in, new_prefix

ADDRESS: Final = "127.0.0.1:5000"
"""At which nothing listens: it is asked in memory."""
IDLE: Final = "[gc]\nevery_minutes = 0\n[glance]\nenabled = true\nevery_minutes = 0\n"
EAGER: Final = (
    "[gc]\nevery_minutes = 0.005\nverify_days = 0.000001\n"
    "[glance]\nenabled = true\nevery_minutes = 0.005\n"
)
NO_GRACE: Final = Rules(grace=0.0, uploads=0.0, trash=0.0, untagged=0.0)
MINUTE: Final = 60.0
EARLY, LATE = image("base", "early"), image("base", "late")
OLD: Final = b"pushed, and named by nothing"


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """While *path* is the configuration's. Nothing is awaited meanwhile: it is so for everybody."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(wiring.CONFIG_VARIABLE, str(path))
        yield


@dataclass
class Store:
    """A store of its own in Swift and in Glance, used, and then served with another ledger."""

    openstack: OpenStack
    project: Place
    member: Person
    directory: Path
    kind: str
    prefix: str = field(default_factory=new_prefix)

    @property
    def name(self) -> str:
        return f"{self.project.name}/app"

    @property
    def ledger(self) -> Path:
        return self.directory / "data" / "ledger.db"

    @contextlib.asynccontextmanager
    async def served(self, extra: str) -> AsyncIterator[httpx.AsyncClient]:
        """By a server in this process, with all its workers."""
        settings = Settings(cloud=self.openstack, prefix=self.prefix, extra=extra)
        path = self.directory / "berth.toml"
        path.write_text(berth_toml(self.directory, ADDRESS, settings), "utf-8")
        (self.directory / "data").mkdir(exist_ok=True)
        with named(path):
            config = wiring.load_config()
        await wiring.prepare(config)
        with named(path):
            app = wiring.application()
        transport = httpx.ASGITransport(app)
        async with (
            app._starlette.router.lifespan_context(app._starlette),
            httpx.AsyncClient(transport=transport, base_url=f"http://{ADDRESS}") as client,
        ):
            client.auth = (self.member.name, self.member.password)
            yield client

    async def fill(self) -> None:
        """Push, and keep what the ledger was before the last push."""
        before = self.directory / "before"
        before.mkdir()
        async with self.served(IDLE) as client:
            await push_image(client, self.name, "early", EARLY)
            await push_blob(client, self.name, OLD)
        for each in self.ledger.parent.glob("ledger.db*"):
            shutil.copy(each, before)
        async with self.served(IDLE) as client:
            await push_image(client, self.name, "late", LATE)
            with contextlib.closing(Looker(self.openstack)) as looker:
                for _ in range(300):
                    if len(looker.list(owner=self.project.id)) >= 6:  # two tags, four records more
                        break
                    await asyncio.sleep(0.1)

    async def exchange(self) -> None:
        """Put the ledger that is not its own in the place of its own."""
        right = self.directory / "right"
        right.mkdir()
        for each in self.ledger.parent.glob("ledger.db*"):
            each.rename(right / each.name)
        if self.kind == "earlier":
            for each in (self.directory / "before").iterdir():
                shutil.copy(each, self.ledger.parent)
            return
        wrong = await SqlLedger.open(f"sqlite:///{self.ledger}", projecting=True)
        if self.kind == "another's":
            await agreement.check(MemoryJournal(), wrong)
            where = RepositoryName(self.project.id, "app")
            await wrong.put_manifest(put(where, "x", "x", drafts=tagged(where, "x", "layer")))
        await wrong.close()

    def put_back(self) -> None:
        """The right one again."""
        for each in self.ledger.parent.glob("ledger.db*"):
            each.unlink()
        for each in (self.directory / "right").iterdir():
            each.rename(self.ledger.parent / each.name)

    async def contents(self) -> tuple[object, object]:
        """What lies in Swift, and what people see in Glance."""
        async with account_of(self.openstack) as account:
            lying = await lies_in(account, self.prefix)
        with contextlib.closing(Looker(self.openstack)) as looker:
            seen = {each["id"]: each for each in looker.list(owner=self.project.id)}
        return lying, seen

    def questions(self) -> list[tuple[str, str]]:
        """About what no such ledger knows, and changes."""
        manifests, blobs = f"/v2/{self.name}/manifests", f"/v2/{self.name}/blobs"
        blob = Digest.of(LATE.layers[-1])
        return [
            *((method, f"{manifests}/{LATE.digest}") for method in ("GET", "HEAD", "DELETE")),
            *((method, f"{manifests}/late") for method in ("GET", "PUT", "DELETE")),
            *((method, f"{blobs}/{blob}") for method in ("GET", "HEAD", "DELETE")),
            ("GET", f"{manifests}/never"),
            ("GET", f"/v2/{self.name}/tags/list"),
            ("GET", f"/v2/{self.name}/referrers/{LATE.digest}"),
            ("POST", f"{blobs}/uploads/"),
            ("GET", "/v2/_catalog"),
            ("GET", "/image/v2/images"),
            ("GET", f"/image/v2/images/{'0' * 8}-0000-4000-8000-{'0' * 12}"),
            ("GET", "/registry/v1/trash"),
            ("GET", "/registry/v1/quotas"),
            ("DELETE", f"/registry/v1/repositories/{self.name}"),
        ]

    async def ask_for(self, seconds: float) -> Counter[tuple[str, str, int]]:
        """What is answered in so long to all that, with every worker at work and no grace."""
        told: Counter[tuple[str, str, int]] = Counter()
        async with self.served(EAGER) as client:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                for method, path in self.questions():
                    answer = await client.request(method, path)
                    told[method, path, answer.status_code] += 1
                await asyncio.sleep(0.2)
        return told


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch, openstack: OpenStack) -> None:
    for name, value in service_variables(openstack).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wiring, "log_as_json", lambda: None)
    monkeypatch.setattr(wiring, "rules", lambda _: NO_GRACE)
    monkeypatch.setattr(keeping, "HOUR", 0.5)
    monkeypatch.setattr(keeping, "PAUSE", 0.0)
    monkeypatch.setattr(tending, "AGAIN", 0.3)


@pytest.fixture
def make(openstack: OpenStack, tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    with directory_of(openstack) as directory:

        def make(kind: str) -> Store:
            place = tmp_path / kind.replace("'", "")
            place.mkdir()
            project = directory.project()
            return Store(openstack, project, directory.member(project), place, kind)

        yield make


@pytest.mark.timeout(300)
async def test_for_a_minute_nothing_is_deleted_or_denied(make: Callable[[str], Store]) -> None:
    stores = [make(kind) for kind in ("empty", "another's", "earlier")]
    for store in stores:
        await store.fill()
        await store.exchange()
    before = [await store.contents() for store in stores]
    told = await asyncio.gather(*(store.ask_for(MINUTE) for store in stores))
    for store, held, answers in zip(stores, before, told, strict=True):
        assert await store.contents() == held, store.kind
        assert len(answers) == len(store.questions()), (store.kind, answers)
        assert {status for _, _, status in answers} == {503}, (store.kind, answers)
        assert min(answers.values()) > 10, store.kind
        store.put_back()
        async with store.served(IDLE) as client:
            for tag, pushed in (("early", EARLY), ("late", LATE)):
                answer = await client.get(f"/v2/{store.name}/manifests/{tag}")
                assert answer.content == pushed.manifest
                for content in pushed.blobs:
                    answer = await client.get(f"/v2/{store.name}/blobs/{Digest.of(content)}")
                    assert answer.content == content
            lost = await client.get(f"/v2/{store.name}/manifests/never")
            assert (lost.status_code, code(lost)) == (404, "MANIFEST_UNKNOWN")


async def test_a_registry_that_never_compares_would_be_found(
    make: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: whatever ledger there is, it is believed."""
    store = make("empty")
    await store.fill()
    await store.exchange()
    lying, _ = await store.contents()

    async def fits(*_: object) -> None:
        return None

    monkeypatch.setattr(agreement, "check", fits)
    told = await store.ask_for(8.0)
    assert {404, 200} <= {status for _, _, status in told}
    assert (await store.contents())[0] != lying, "its objects were taken for orphans"
