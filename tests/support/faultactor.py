"""Somebody who pushes, pulls and deletes while it rains, and believes only what he was told."""

from http import HTTPStatus

from support.faultmodel import Missing, Pushed, Wrong
from support.faultuploader import CREATED, OK, TRIES, Uploader


class Actor(Uploader):
    """Alice, in one repository that nobody else changes."""

    # -- names ----------------------------------------------------------------------------------

    async def push(self, tag: str, what: Pushed) -> bool:
        """As clients do: what is there is not sent again. Whether it was acknowledged."""
        for _ in range(TRIES):
            losses = self.world.losses
            sent = [await self.has_blob(each) or await self.send_blob(each) for each in what.blobs]
            children = [await self.put(str(each.digest), each) for each in what.children]
            whole = all(sent) and None not in children and all(children)
            done = await self.put(tag, what)
            if done or done is None:
                return bool(done)
            if whole and self.graceful and losses == self.world.losses and not self.world.is_lost:
                raise Wrong(f"{tag} was refused, though all that it names was acknowledged")
        return False

    async def put(self, reference: str, what: Pushed) -> bool | None:
        """True: acknowledged; False: something that it names is not there; None: unknown."""
        belief = None if ":" in reference else self.repository.belief(reference)
        if belief is not None:
            belief.attempt(what)
        answer = await self.ask(
            "PUT", self.path(f"manifests/{reference}"), 201, 400,
            body=lambda: what.content, headers={"Content-Type": what.media_type},
        )  # fmt: skip
        if answer is None:
            return None
        if answer.status_code != CREATED:
            if "MANIFEST_BLOB_UNKNOWN" not in answer.text:
                raise Wrong(f"{reference} was refused: {answer.text[:300]}")
            if belief is not None:
                belief.withdraw()
            return False
        if belief is not None:
            belief.acknowledge(what)
        self.tally.acknowledged += 1
        return True

    async def delete_tag(self, tag: str) -> None:
        belief = self.repository.belief(tag)
        belief.attempt(None)
        answer = await self.ask("DELETE", self.path(f"manifests/{tag}"), 202, 404)
        if answer is None:
            return
        if answer.status_code == HTTPStatus.NOT_FOUND:
            if None not in belief.possible[:-1]:
                raise Wrong(f"{tag} is said to be absent, and was acknowledged")
            belief.see(None)
            return
        belief.acknowledge(None)
        self.tally.acknowledged += 1

    async def delete_settled(self, tag: str) -> None:
        """Take the manifest that a tag is on away, with all its tags, unless an index needs it."""
        mine = self.repository
        what = mine.belief(tag).settled
        if what is None:
            return
        on = [each for each in mine.tags.values() if what in each.possible]
        if any(value.needs(what.digest) for each in mine.tags.values() for value in each.possible
               if value is not None and value != what):  # fmt: skip
            return
        for each in on:
            each.attempt(None)
        answer = await self.ask("DELETE", self.path(f"manifests/{what.digest}"), 202, 404)
        if answer is None:
            return
        for each in on:  # one that had been moved from it stays
            each.take_away(what, told=answer.status_code == HTTPStatus.ACCEPTED)
        self.tally.acknowledged += 1

    # -- reading --------------------------------------------------------------------------------

    async def read_tag(self, tag: str, *, replica: int | None = None) -> Pushed | None:
        """What the tag is; None where it is absent or nobody answers."""
        path = self.path(f"manifests/{tag}")
        losses = self.world.losses
        answer = await self.ask("GET", path, 200, 404, replica=replica)
        if answer is None:
            return None
        content = None if answer.status_code != OK else answer.content
        self.tally.bytes_checked += len(content or b"")
        old = self.world.is_lost or losses != self.world.losses
        return self.repository.see(tag, content, old=old)

    async def says_what(self, tag: str, *, replica: int) -> bool:
        """Whether somebody answers what the tag is."""
        await self.read_tag(tag, replica=replica)
        belief = self.repository.belief(tag)
        return belief.ends or not belief.maybe

    async def pull(self, tag: str, *, replica: int | None = None) -> bool:
        """All of an image; whether every byte came. Never is one wrong, or said to be absent."""
        losses = self.world.losses
        what = await self.read_tag(tag, replica=replica)
        try:
            return what is not None and await self._pull_whole(what, replica)
        except Missing:  # what an earlier ledger says of a tag, another one need not have
            if losses == self.world.losses and not self.world.is_lost:
                raise
            return False

    async def _pull_whole(self, what: Pushed, replica: int | None) -> bool:
        whole = True
        for child in what.children:
            path = self.path(f"manifests/{child.digest}")
            answer = await self.ask("GET", path, OK, replica=replica)
            whole = whole and answer is not None
            if answer is not None and answer.content != child.content:
                raise Wrong(f"{child.digest} was served as other bytes")
        for blob in what.blobs:
            whole = await self.read_blob(blob, replica) and whole
        return whole

    async def list_tags(self) -> None:
        losses = self.world.losses
        answer = await self.ask("GET", self.path("tags/list"), 200, 404)
        if answer is None or answer.status_code != OK:
            return
        if losses != self.world.losses or self.world.is_lost:
            return
        shown = set(answer.json()["tags"])
        for tag, belief in self.repository.tags.items():
            if tag in shown and not any(belief.possible):
                raise Wrong(f"{tag} is listed, and was deleted")
            if tag not in shown and None not in belief.possible:
                raise Wrong(f"{tag} is not listed, and was acknowledged")
