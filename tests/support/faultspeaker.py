"""What people say at Berth of who sees their images, as climg says it: shared, open, taken back."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import httpx

from support.faultactor import Actor
from support.faultasker import NOT_NOW
from support.faultmodel import Wrong, pushed
from support.faultsaid import Seers
from support.faultsharing import PATCH, Glance
from support.faultworld import World

IMAGES = "/image/v2/images"
LOOKS = 9
"""Whether Berth and Glance agree, at most: a look of the registry comes in between."""


class Speaker:
    """Alice at Berth's own image API, at one replica or the other."""

    def __init__(self, here: World, glance: Glance, http: httpx.AsyncClient) -> None:
        self._here = here
        self._glance = glance
        self._http = http

    async def speak(self, actor: Actor, tag: str) -> None:
        """Say once or a few times who sees a tag, or the whole repository."""
        chance = actor.chance
        name = await self._choose(actor, tag)
        if name is None:
            return
        projects = self._projects()
        for _ in range(chance.choice([1, 2, 3])):
            word = chance.choice(["share", "share", "unshare", "community", "public", "private"])
            looks, project = chance.choice([1, 5]), chance.choice(projects)
            image = await self._find(actor, name)
            if image is None:
                return
            await self._glance.wait(image["id"], name, looks)
            said = partial(self._say, actor, name, image["id"])
            if word == "share":
                await self._share(actor, image, project, said)
            elif word == "unshare":
                await self._unshare(actor, image, project, said)
            elif word != image["visibility"]:
                await self._set_visibility(word, said)

    async def regret(self, actor: Actor, tag: str) -> None:
        """Share an image in Glance, take it back and make it private there; share it here then."""
        name = await self._choose(actor, tag)
        image = await self._find(actor, name) if name is not None else None
        if name is None or image is None:
            return
        one, other = actor.chance.sample(self._projects(), 2)
        await self._glance.wait(image["id"], name, LOOKS)
        await self._glance.say(name, image["id"], "shared", one)
        if not await self._glance.wait(image["id"], name, LOOKS):
            return  # who came and went between two looks leaves no trace
        await self._glance.take_back(name, image["id"], one)
        await self._glance.wait(image["id"], name, LOOKS)
        image = await self._find(actor, name)
        if image is not None:
            await self._share(actor, image, other, partial(self._say, actor, name, image["id"]))

    async def _choose(self, actor: Actor, tag: str) -> str | None:
        """The name of an image that there is: a tag's, or the whole repository's."""
        chance, path = actor.chance, actor.repository.path
        known = [name for name, belief in actor.repository.tags.items() if belief.settled]
        if known:
            tag = chance.choice(known)
        elif not await actor.push(tag, pushed("a")):
            return None
        return path if chance.random() < 0.3 else f"{path}:{tag}"

    def _projects(self) -> list[str]:
        return [self._here.scene.far.place.id, self._here.scene.cloud.projects["west"]]

    async def _share(self, actor: Actor, image: Any, project: str, said: Any) -> None:
        if image["visibility"] == "private":
            await self._set_visibility("shared", said)
        elif image["visibility"] != "shared":
            return
        if project not in await self._members(actor, image):
            wanted = {"member": project}
            await said(lambda seers: seers.shared_with(project), "POST", "/members", json=wanted)

    async def _unshare(self, actor: Actor, image: Any, project: str, said: Any) -> None:
        if image["visibility"] == "shared" and project in await self._members(actor, image):
            await said(lambda seers: seers.taken_from(project), "DELETE", f"/members/{project}")

    async def _set_visibility(self, word: str, said: Any) -> None:
        step = {"op": "replace", "path": "/visibility", "value": word}
        headers = {"Content-Type": PATCH}
        await said(lambda seers: seers.made(word), "PATCH", "", json=[step], headers=headers)

    async def _say(
        self, actor: Actor, name: str, image: str, change: Callable[[Seers], Seers],
        method: str, path: str, **more: Any,
    ) -> None:  # fmt: skip
        """One word; it holds from its 2xx on, and may hold without."""
        here, spoken = self._here, self._here.spoken(image, name)
        after = change(spoken.now)
        here.attempt(name, image, after, here=True)
        losses = here.losses
        answer = await self._ask(actor, method, f"{IMAGES}/{image}{path}", **more)
        if answer is None or not answer.is_success:
            return
        actor.tally.words += 1
        if losses == here.losses and not here.is_lost:
            spoken.heed(after)

    async def _find(self, actor: Actor, name: str) -> Any:
        hidden = "false" if ":" in name else "true"
        query = {"name": f"eq:{name}", "owner": self._here.scene.place.id, "os_hidden": hidden}
        answer = await self._ask(actor, "GET", IMAGES, params=query)
        if answer is None or not answer.is_success:
            return None
        found = answer.json()["images"]
        return found[0] if len(found) == 1 else None

    async def _members(self, actor: Actor, image: Any) -> set[str]:
        answer = await self._ask(actor, "GET", f"{IMAGES}/{image['id']}/members")
        if answer is None or not answer.is_success:
            return set()
        return {each["member_id"] for each in answer.json()["members"]}

    async def _ask(
        self, actor: Actor, method: str, path: str, **more: Any
    ) -> httpx.Response | None:
        """What one of the replicas answers; None where nothing comes, or only: later."""
        headers = {"X-Auth-Token": self._here.scene.token, **more.pop("headers", {})}
        try:
            answer = await self._http.request(method, actor.url(path), headers=headers, **more)
        except httpx.TransportError:
            return None
        except AttributeError as error:  # see Asker
            if "getpeername" not in str(error):
                raise
            return None
        if answer.status_code in NOT_NOW:
            return None
        refused = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}
        if not (answer.is_success or answer.status_code in refused):
            raise Wrong(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer
