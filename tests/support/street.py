"""Two projects of a real cloud that are neighbours, and what the one shares by its Glance."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from registry.catalogue.projector import Projector
from registry.oci.descriptor import OCI_INDEX
from registry.oci.digest import Digest
from registry.storage.ledger import SqlLedger
from support.asking import APP
from support.builders import Image, image, index
from support.directory import WORD, Directory, Person, Place
from support.glance import Looker, images_of
from support.imagecalls import ARM
from support.keystone import CloudRegistry, Headers, as_person, as_token, open_cloud_registry
from support.openstack import OpenStack
from support.pushing import push_image, push_manifest
from support.signing import basic

OTHER = image("another", "")
"""Its upper layer changes nothing."""
NOBODY: Headers = {}


@dataclass(frozen=True)
class Street:
    """alice of east has pushed app with the tags 1, 2 and both; bob is a member of west."""

    openstack: OpenStack
    directory: Directory
    registry: CloudRegistry
    ledger: SqlLedger
    east: Place
    west: Place
    alice: Person
    bob: Person
    owner: Looker
    """alice at Glance, with a token of hers."""

    @property
    def name(self) -> str:
        return f"{self.east.name}/app"

    @property
    def scope(self) -> str:
        return f"repository:{self.name}:pull"

    async def ways(self, *, public: bool = False) -> Mapping[str, Headers]:
        """Every way in which bob shows who he is, just now; with *public*, nobody's too."""
        made = self.directory.credential(self.bob, self.west)
        token = self.directory.token(self.bob, self.west)
        ways = {
            "password": as_person(self.bob),
            "password in west": as_person(self.bob, f"/{self.west.name}"),
            "application credential": basic(f"ac+{made['id']}", WORD),
            "X-Auth-Token": as_token(token),
            "token as a password": basic("token", token),
            "Bearer": await self.registry.sign_in(as_person(self.bob), self.scope),
        }
        if public:
            ways["nobody's Bearer"] = await self.registry.sign_in(NOBODY, self.scope)
        return ways

    async def pulls(self, headers: Headers, what: str) -> int:
        """What is answered to a GET of *what* in app."""
        answer = await self.registry.client.get(f"/v2/{self.name}/{what}", headers=headers)
        return answer.status_code

    async def opened(self, headers: Headers) -> set[str]:
        """What somebody can pull of all that there is."""
        return {each for each in ALL if await self.pulls(headers, each) == 200}

    async def record(self, key: str) -> str:
        """The id of a record of app's: its tag's or, for the empty text, its own."""
        tag = f"tag:app:{key}" if key else "repository:app"
        return (await self.ledger.sightings.find_keyed(self.east.id, tag)).id

    async def show(self, tag: str, visibility: str) -> None:
        """alice says at Glance who sees the record of *tag*, or of the repository."""
        looker = self.owner
        if visibility in {"public", "community"}:
            looker = Looker(self.openstack, "admin")
        assert looker.set(await self.record(tag), visibility=visibility).is_success
        if looker is not self.owner:
            looker.close()

    async def share(self, tag: str, project: Place | None = None) -> None:
        """alice shares the record of *tag*, or of the repository, at Glance."""
        await self.show(tag, "shared")
        shared = self.owner.share(await self.record(tag), (project or self.west).id)
        assert shared.is_success, shared.text

    async def take_back(self, tag: str) -> None:
        """alice ends it."""
        assert self.owner.unshare(await self.record(tag), self.west.id).status_code == 204

    async def send(self) -> None:
        """Have Glance show the records."""
        storage = self.registry.app.state.storage
        async with images_of(self.openstack) as images:
            ledger = self.ledger
            projector = Projector(storage, ledger.outbox, images)
            lag = await projector.drain()
        assert (lag.count, lag.parked) == (0, 0)


def hide_all(openstack: OpenStack) -> None:
    """Leave nothing public of what earlier tests left: it would stand in everybody's lists."""
    with contextlib.closing(Looker(openstack, "admin")) as admin:
        for visibility in ("public", "community"):
            for shown in admin.list(visibility=visibility):
                assert admin.set(shown["id"], visibility="private").is_success


def parts(*images: Image) -> set[str]:
    """The paths of manifests by digest, and of all their blobs."""
    found = {f"manifests/{each.digest}" for each in images}
    return found | {f"blobs/{Digest.of(blob)}" for each in images for blob in each.blobs}


ALL = {"manifests/1", "manifests/2", "manifests/both", *parts(APP, OTHER, ARM)}


@contextlib.asynccontextmanager
async def street_of(
    openstack: OpenStack, directory: Directory, place: Path, *, glance: str | None = None
) -> AsyncIterator[Street]:
    """Yield one with a ledger in *place*; *glance* is where it is reached if not where it is."""
    hide_all(openstack)
    ledger = SqlLedger(f"sqlite:///{place}/ledger.db", projecting=True)
    await ledger.migrate()
    east, west = directory.project(), directory.project()
    alice, bob = directory.member(east), directory.member(west)
    owner = Looker(openstack, token=directory.token(alice, east))
    async with open_cloud_registry(openstack, shared=ledger, glance=glance) as registry:
        street = Street(openstack, directory, registry, ledger, east, west, alice, bob, owner)
        client = registry.client
        client.headers.update(as_person(alice))
        for tag, each in (("1", APP), ("2", OTHER), (str(ARM.digest), ARM)):
            await push_image(client, street.name, tag, each)
        await push_manifest(client, street.name, "both", index(APP, ARM), OCI_INDEX)
        del client.headers["Authorization"]
        await street.send()
        yield street
    owner.close()
    await ledger.close()
