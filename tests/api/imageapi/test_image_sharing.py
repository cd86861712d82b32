"""Who sees an image: visibility, members; and what deleting one does."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.oci.errors import StorageUnavailable
from registry.storage.ledger import SqlLedger
from registry.storage.records import ImageRecord, Member, Shared
from registry.storage.storage import Storage
from support.builders import image
from support.imagecalls import APP, IMAGES, Caller, is_fault, push, push_pair


async def test_deleting_a_tags_record_removes_the_tag_and_nothing_else(
    client: httpx.AsyncClient, alice: Caller
) -> None:
    await push(client)
    await push(client, tag="2", what=image("base", "", "another"))
    record = await alice.find("app:1")
    deleted = await alice.delete(record)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await alice.names() == {"app:2"}
    assert len(await alice.list(oci_kind="layer")) == 3
    assert (await alice.ask("HEAD", "/v2/shoes/app/manifests/1")).status_code == 404
    for reference in ("2", str(APP.digest)):
        kept = await alice.ask("HEAD", f"/v2/shoes/app/manifests/{reference}")
        assert kept.status_code == 200
    assert is_fault(await alice.delete(record), 404)
    assert is_fault(await alice.show(record), 404)
    await push(client)
    assert (await alice.find("app:1"))["id"] != record["id"]


async def test_an_indexs_records_end_with_its_tag(client: httpx.AsyncClient, alice: Caller) -> None:
    await push_pair(client)
    assert (await alice.delete(await alice.find("app:all"))).status_code == 204
    assert await alice.list() == []
    assert await alice.names(os_hidden=True) == {"app"}


async def test_every_other_record_is_protected(client: httpx.AsyncClient, mona: Caller) -> None:
    await push_pair(client)
    before = [await mona.list(), await mona.list(os_hidden=True)]
    records = [each for found in before for each in found if each["oci_kind"] != "tag"]
    assert {each["oci_kind"] for each in records} == {"layer", "manifest", "repository"}
    for record in records:
        assert is_fault(await mona.delete(record), 403)
    assert [await mona.list(), await mona.list(os_hidden=True)] == before


async def test_a_manager_says_who_sees_an_image(
    client: httpx.AsyncClient, mona: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    seen = {"private": (404, 0), "shared": (404, 0), "community": (200, 0), "public": (200, 1)}
    for word, (status, count) in [*seen.items(), *reversed(seen.items())]:
        changed = await mona.set_visibility(record, word)
        assert (changed.status_code, changed.json()["visibility"]) == (200, word)
        assert (await mona.show(record)).json() == changed.json()
        assert (await carol.show(record)).status_code == status
        assert len(await carol.list()) == count
        assert len(await carol.list(id=record["id"])) == count
        assert await mona.names(visibility=word) == {"app:1"}


async def test_a_patch_is_read_as_glances(client: httpx.AsyncClient, mona: Caller) -> None:
    await push(client)
    record = await mona.find("app:1")
    path = f"{IMAGES}/{record['id']}"
    step = {"path": "/visibility", "value": "public"}
    for steps, expected in (
        ([], "private"),
        ([{"op": "add", **step}], "public"),
        ([{"op": "replace", **step}, {"op": "replace", **step, "value": "shared"}], "shared"),
    ):
        changed = await mona.patch(record, *steps)
        assert (changed.status_code, changed.json()["visibility"]) == (200, expected)
    old = {"Content-Type": "application/openstack-images-v2.0-json-patch; charset=utf-8"}
    steps = [{"replace": "/visibility", "value": "community"}]
    changed = await mona.ask("PATCH", path, headers=old, content=json.dumps(steps))
    assert (changed.status_code, changed.json()["visibility"]) == (200, "community")


async def test_a_patch_is_carried_out_whole_or_not_at_all(
    client: httpx.AsyncClient, mona: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    public = {"op": "replace", "path": "/visibility", "value": "public"}
    wrong = public | {"value": "everybody"}
    renamed = public | {"path": "/name", "value": "other"}
    assert is_fault(await mona.patch(record, public, wrong), 400)
    assert is_fault(await mona.patch(record, public, renamed), 403)
    assert is_fault(await mona.patch(record, public, {**public, "op": "remove"}), 403)
    assert (await mona.show(record)).json() == record


async def test_an_image_is_shared_accepted_rejected_and_taken_back(
    client: httpx.AsyncClient, mona: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    shared = await mona.share(record, "hats")
    assert shared.status_code == 200
    assert (shared.json()["member_id"], shared.json()["status"]) == ("hats", "pending")
    assert shared.json()["image_id"] == record["id"]
    assert is_fault(await mona.share(record, "hats"), 409)
    assert (await carol.show(record)).status_code == 200
    for word, names in (("accepted", {"app:1"}), ("rejected", set()), ("pending", set())):
        answered = await carol.answer(record, "hats", word)
        assert (answered.status_code, answered.json()["status"]) == (200, word)
        assert await carol.names() == names
        assert await carol.names(id=record["id"]) == names
        member = await carol.ask("GET", f"{IMAGES}/{record['id']}/members/hats")
        assert member.json() == answered.json()
    await carol.answer(record, "hats", "accepted")
    await mona.set_visibility(record, "private")
    assert await carol.names() == set()
    assert is_fault(await carol.show(record), 404)
    await mona.set_visibility(record, "shared")
    assert await carol.names() == {"app:1"}
    assert (await mona.unshare(record, "hats")).status_code == 204
    assert is_fault(await carol.show(record), 404)
    assert await carol.names() == set()
    assert is_fault(await mona.unshare(record, "hats"), 404)
    assert await mona.members(record) == {}


class BriefLedger(SqlLedger):
    """Away as soon as who sees a record was changed."""

    away = False

    async def share_record(self, *given: Any, **named: Any) -> Shared:
        shared = await super().share_record(*given, **named)
        self.away = True
        return shared

    async def find_record(self, record: str) -> ImageRecord:
        if self.away:
            raise StorageUnavailable("the ledger is away")
        return await super().find_record(record)

    async def list_members(self, record: str) -> list[Member]:
        if self.away:
            raise StorageUnavailable("the ledger is away")
        return await super().list_members(record)


async def test_what_was_done_is_answered_though_the_ledger_is_away_then(
    client: httpx.AsyncClient, storage: Storage, tmp_path: Path, mona: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    brief = storage.ledger = BriefLedger(f"sqlite:///{tmp_path}/ledger.db")
    try:
        acts = {
            "visibility": partial(mona.set_visibility, record, "shared"),
            "member_id": partial(mona.share, record, "hats"),
            "status": partial(carol.answer, record, "hats", "accepted"),
        }
        for (name, act), said in zip(acts.items(), ("shared", "hats", "accepted"), strict=True):
            done = await act()
            assert brief.away
            brief.away = False
            assert (done.status_code, done.json()[name]) == (200, said)
            assert done.json()["updated_at"] == (await mona.show(record)).json()["updated_at"]
        assert (await mona.unshare(record, "hats")).status_code == 204
    finally:
        await brief.close()


async def test_a_visibility_is_said_to_be_set_once_the_journal_has_it(
    client: httpx.AsyncClient, storage: Storage, mona: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(client)
    record = await mona.find("app:1")

    async def refuse(*_: object) -> None:
        raise StorageUnavailable("the journal is away")

    with monkeypatch.context() as away:
        away.setattr(storage.journal, "append", refuse)
        for _ in range(2):
            assert is_fault(await mona.set_visibility(record, "public"), 503)
    assert (await mona.set_visibility(record, "public")).status_code == 200
    assert await storage.journal.heads() == await storage.ledger.heads()


class SlowLedger(SqlLedger):
    """The first change of who sees a record is held up right before it is made."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def share_record(self, *given: Any, **named: Any) -> Shared:
        if not self.begun.is_set():
            self.begun.set()
            await self.go_on.wait()
        return await super().share_record(*given, **named)


async def test_who_accepted_stays_a_member_however_late_another_shares_with_him(
    client: httpx.AsyncClient, storage: Storage, tmp_path: Path, mona: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    slow = storage.ledger = SlowLedger(f"sqlite:///{tmp_path}/ledger.db")
    try:
        late = asyncio.create_task(mona.share(record, "hats"))
        await asyncio.wait_for(slow.begun.wait(), 10)
        assert (await mona.share(record, "hats")).status_code == 200
        assert (await carol.answer(record, "hats", "accepted")).status_code == 200
        before = await mona.show(record)
        slow.go_on.set()
        assert is_fault(await late, 409)
        assert is_fault(await mona.share(record, "hats"), 409)
        assert await mona.members(record) == {"hats": "accepted"}
        assert (await mona.show(record)).json() == before.json()
        assert await carol.names() == {"app:1"}
    finally:
        await slow.close()


async def test_members_are_told_to_the_owner_and_each_to_itself(
    client: httpx.AsyncClient, mona: Caller, bob: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    for project in ("hats", "others"):
        await mona.share(record, project)
    assert await bob.members(record) == {"hats": "pending", "others": "pending"}
    assert await carol.members(record) == {"hats": "pending"}
    others = f"{IMAGES}/{record['id']}/members/others"
    assert (await bob.ask("GET", others)).json()["member_id"] == "others"
    assert is_fault(await carol.ask("GET", others), 404)


async def test_what_may_be_pulled_by_all_tells_its_members_to_its_own_project_alone(
    client: httpx.AsyncClient, mona: Caller, carol: Caller
) -> None:
    await push(client, "open/app", user="mona")
    record = await mona.find("app:1")
    root = Caller(client, "root")
    await root.set_visibility(record, "shared")
    await root.share(record, "hats")
    await root.share(record, "others")
    assert len(await mona.members(record)) == 2
    assert await carol.members(record) == {"hats": "pending"}
    assert await Caller(client, "bob").members(record) == {}


async def test_an_image_shared_with_a_public_project_is_its_peoples_alone(
    client: httpx.AsyncClient, mona: Caller, carol: Caller
) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    await mona.share(record, "open")
    await mona.answer(record, "open", "accepted")
    assert await mona.names() == {"app:1"}
    assert await carol.names() == set()
    assert is_fault(await carol.show(record), 404)


async def test_only_a_shared_image_has_members(client: httpx.AsyncClient, mona: Caller) -> None:
    await push(client)
    record = await mona.find("app:1")
    members = f"{IMAGES}/{record['id']}/members"
    for word in ("private", "community", "public"):
        await mona.set_visibility(record, word)
        assert is_fault(await mona.share(record, "hats"), 403)
        assert is_fault(await mona.ask("GET", members), 404)
        assert is_fault(await mona.answer(record, "hats", "accepted"), 404)
        assert is_fault(await mona.unshare(record, "hats"), 404)


async def test_an_image_has_128_members_at_most(client: httpx.AsyncClient, mona: Caller) -> None:
    await push(client)
    record = await mona.find("app:1")
    await mona.set_visibility(record, "shared")
    for number in range(128):
        assert (await mona.share(record, f"project-{number}")).status_code == 200
    assert is_fault(await mona.share(record, "hats"), 403)
    assert len(await mona.members(record)) == 128
    assert (await mona.unshare(record, "project-0")).status_code == 204
    answers = await asyncio.gather(*(mona.share(record, f"late-{n}") for n in range(8)))
    assert sorted(each.status_code for each in answers) == [200] + 7 * [403]
    assert len(await mona.members(record)) == 128
