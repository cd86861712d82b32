"""What people do at Glance itself: share their images, and delete them; and who then may pull."""

import asyncio
from http import HTTPStatus
from typing import Any

import httpx
from sqlalchemy import NullPool, create_engine, select
from sqlalchemy.exc import SQLAlchemyError

from registry.storage.ledger.schema import member, outbox, record
from registry.storage.sharing import Sharing
from support.faultactor import Actor
from support.faultasker import NOT_NOW
from support.faultmodel import Wrong
from support.faultsaid import SHARED, Seers
from support.faultworld import World

PAUSE = 0.3
"""Seconds between two looks whether Berth and Glance agree."""
BINNED = 2
"""Images at most that people delete in one schedule: more, and the reconciler brakes."""
PATCH = "application/openstack-images-v2.1-json-patch"


def may_see(here: World, actor: Actor, tag: str) -> bool:
    """Whether bob ever may have seen a tag's image, or its repository's."""
    path = actor.repository.path
    return bool({path, f"{path}:{tag}"} & here.opened)


class Glance:
    """Glance as alice reaches it: no fault of the weather's comes between."""

    def __init__(self, here: World, http: httpx.AsyncClient) -> None:
        self._here = here
        self._http = http
        self._url = f"{here.scene.cloud.image_url}/v2/images"
        self._alice = {"X-Auth-Token": here.scene.token}
        self.does = {"share": self.share, "bin": self.throw_away, "stranger": self.look_in}
        """What is done there, by its word."""

    async def share(self, actor: Actor, tag: str) -> None:
        """Say who sees a tag, or the whole repository."""
        here, chance, path = self._here, actor.chance, actor.repository.path
        name = path if chance.random() < 0.3 else f"{path}:{tag}"
        image = await self._find(name)
        if image is None:
            return
        visibility = chance.choice(["private", "shared", "shared", "community"])
        project = chance.choice([here.scene.far.place.id, here.scene.cloud.projects["west"]])
        await self.say(name, image, visibility, project)

    async def say(self, name: str, image: str, visibility: str, project: str) -> None:
        """Make an image *visibility*; one that is ``shared`` has *project* among its members."""
        here = self._here
        spoken = here.spoken(image, name)
        after = spoken.now.made(visibility)
        here.attempt(name, image, after, here=False)
        if visibility == "shared":
            here.attempt(name, image, after.shared_with(project), here=False)
        step = {"op": "replace", "path": "/visibility", "value": visibility}
        answer = await self._ask("PATCH", f"/{image}", json=[step], headers={"Content-Type": PATCH})
        if answer.status_code != HTTPStatus.OK:
            return
        if visibility == "shared":
            answer = await self._ask("POST", f"/{image}/members", json={"member": project})
            if answer.status_code not in {HTTPStatus.OK, HTTPStatus.CONFLICT}:
                return
            # Whom people let in at Berth while it is private here may come yet.
            members = frozenset(await self.members(image))
            after = Seers(SHARED, members, members | after.perhaps)
        spoken.heed(after)

    async def take_back(self, name: str, image: str, project: str) -> None:
        """Take a member off, of whom nobody can know once the image is private."""
        spoken = self._here.spoken(image, name)
        after = spoken.now.taken_from(project)
        self._here.attempt(name, image, after, here=False)
        answer = await self._ask("DELETE", f"/{image}/members/{project}")
        if answer.status_code == HTTPStatus.NO_CONTENT:
            spoken.heed(after)
            await self.say(name, image, "private", project)

    async def wait(self, image: str, name: str, looks: int) -> bool:
        """Look a few times whether Berth and Glance agree of who sees an image; whether they do."""
        for _ in range(looks):
            if await self._agrees(image, name):
                return True
            await asyncio.sleep(PAUSE)
        return False

    async def _agrees(self, image: str, name: str) -> bool:
        """Whether both say the same, and nothing is on its way.

        Raises Wrong where it is not what people said.
        """
        here = self._here
        losses = here.losses
        if here.is_lost:
            return False
        try:
            present = await asyncio.to_thread(_read, here.config.ledger_url, image)
        except SQLAlchemyError:  # the server is killed
            return False
        if present is None or await self.sharing(image) != present or losses != here.losses:
            return False
        spoken = here.spoken(image, name)
        if not spoken.now.allows(present):
            raise Wrong(f"{image} is {present}, and its people said {spoken}")
        spoken.agree(present)
        return True

    async def throw_away(self, actor: Actor, tag: str) -> None:
        """Delete a tag's image; the tag goes too, unless it is pushed again."""
        here = self._here
        name = f"{actor.repository.path}:{tag}"
        image = await self._find(name)
        if image is None or here.binned >= BINNED:
            return
        here.binned += 1
        belief = actor.repository.belief(tag)
        belief.attempt(None)
        belief.ends = True
        here.thrown[name] = here.spoken(image, name)
        await self._ask("DELETE", f"/{image}")

    async def look_in(self, actor: Actor, tag: str) -> None:
        """Bob pulls, who has no role here: only what was shared with him, or with all."""
        url = actor.url(f"/v2/{actor.repository.name}/manifests/{tag}")
        headers = {"X-Auth-Token": self._here.scene.far.token}
        try:
            answer = await self._http.get(url, headers=headers)
        except httpx.TransportError:
            return
        if answer.status_code == HTTPStatus.OK and not may_see(self._here, actor, tag):
            raise Wrong(f"{url} was shown to somebody with whom nobody shared it")
        if answer.status_code >= 500 and answer.status_code not in NOT_NOW:
            raise Wrong(f"{url}: {answer.status_code} {answer.text[:300]}")

    async def members(self, image: str) -> dict[str, str]:
        """Status by project; empty where it is not shared."""
        answer = await self._ask("GET", f"/{image}/members")
        if answer.status_code != HTTPStatus.OK:
            return {}
        return {each["member_id"]: each["status"] for each in answer.json()["members"]}

    async def sharing(self, image: str) -> Sharing | None:
        """Who sees an image there; None where there is none."""
        shown = await self.show(image, self._here.scene.token)
        if shown is None:
            return None
        members = await self.members(image) if shown["visibility"] == "shared" else {}
        return Sharing.of(shown["visibility"], members.items())

    async def show(self, image: str, token: str) -> Any:
        """An image's document as the holder of *token* sees it; None where he does not."""
        answer = await self._http.get(f"{self._url}/{image}", headers={"X-Auth-Token": token})
        return answer.json() if answer.status_code == HTTPStatus.OK else None

    async def list_all(self) -> dict[str, Any]:
        """All images of the project, by id."""
        found: dict[str, Any] = {}
        for hidden in ("false", "true"):
            query = {"owner": self._here.scene.place.id, "os_hidden": hidden, "limit": "1000"}
            answer = await self._ask("GET", "", params=query)
            found |= {each["id"]: each for each in answer.raise_for_status().json()["images"]}
        return found

    async def _find(self, name: str) -> str | None:
        query = {"name": f'in:"{name}"', "os_hidden": "false" if ":" in name else "true"}
        answer = await self._ask("GET", "", params=query)
        ours = [each for each in answer.raise_for_status().json()["images"] if "oci_kind" in each]
        return ours[0]["id"] if len(ours) == 1 else None

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self._alice, **more.pop("headers", {})}
        return await self._http.request(method, f"{self._url}{path}", headers=headers, **more)


def _read(url: str, image: str) -> Sharing | None:
    """Who sees an image that waits for nothing, as the ledger has it."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        waits = select(outbox.c.place).where(outbox.c.record_id == image).exists()
        found = select(record.c.visibility).where(record.c.id == image, ~waits)
        visibility = connection.execute(found).scalar()
        if visibility is None:
            return None
        listed = select(member.c.project_id, member.c.status).where(member.c.record_id == image)
        members = [(row.project_id, row.status) for row in connection.execute(listed)]
        return Sharing.of(visibility, members)
