"""What a token says of what is shared, and what happens while nobody can tell."""

import jwt
import pytest

from registry import opening
from registry.auth.ports import Principal
from registry.oci.digest import Digest
from registry.oci.errors import StorageUnavailable
from registry.storage.records import ImageRecord
from registry.viewing.ledger import LedgerViewer
from support.asking import APP, NAME, asked_for
from support.imagecalls import ARM, Caller, push
from support.pushing import code
from support.sharing import OTHER, PULL, opened, parts, pulls, share, signed_in
from support.signing import Registry, basic


async def test_a_token_names_the_manifests_that_it_opens(shared: Registry, mona: Caller) -> None:
    async def access(user: str) -> list[dict[str, object]]:
        headers = await shared.sign_in(user, PULL)
        text = headers["Authorization"].removeprefix("Bearer ")
        found: list[dict[str, object]] = jwt.decode(text, options={"verify_signature": False})[
            "access"
        ]
        return found

    assert await access("carol") == []
    await share(mona, "app:both")
    (entry,) = await access("carol")
    said = entry["opened"]
    assert isinstance(said, dict)
    assert (entry["actions"], said["tags"], len(said["manifests"])) == (["pull"], ["both"], 3)
    await share(mona, "app")
    (entry,) = await access("carol")
    assert entry["opened"] == {"whole": True}
    (entry,) = await access("bob")
    assert "opened" not in entry


async def test_a_token_has_room_for_so_many_manifests(
    shared: Registry, mona: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MANIFESTS", 3)
    for name in ("app:1", "app:2", "app:both"):
        await share(mona, name)
    # Those that changed last come first; the index and its two leave no room for another.
    assert await opened(shared, "carol", "basic") == {
        "manifests/1",
        "manifests/both",
        *parts(APP, ARM),
    }
    monkeypatch.setattr(opening, "TAGS", 1)
    assert await opened(shared, "carol", "token") == {"manifests/both", *parts(APP, ARM)}


async def test_while_nobody_can_tell_it_is_503_but_not_for_who_has_a_role(
    shared: Registry, mona: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await share(mona, "app")
    before = await signed_in(shared, "carol", "token")

    async def away(*_: object) -> frozenset[str]:
        raise StorageUnavailable("nobody can tell")

    monkeypatch.setattr(LedgerViewer, "find_seen", away)
    for name in (NAME, "shoes/none"):
        answer = await shared.client.get(f"/v2/{name}/manifests/1", headers=basic("carol"))
        assert (answer.status_code, code(answer)) == (503, "UNKNOWN")
        query = {"scope": f"repository:{name}:pull"}
        answer = await shared.client.get("/auth/token", params=query, headers=basic("carol"))
        assert answer.status_code == 503
    assert asked_for(await shared.client.get(f"/v2/{NAME}/manifests/1")) == {"scope": PULL}
    assert await pulls(shared, basic("bob"), "manifests/1") == 200
    push_and_mount = f"repository:hats/mine:pull,push {PULL}"
    headers = await signed_in(shared, "carol", "token", push_and_mount)
    mount = {"mount": str(Digest.of(APP.config)), "from": NAME}
    url = "/v2/hats/mine/blobs/uploads/"
    assert (await shared.client.post(url, params=mount, headers=headers)).status_code == 202
    monkeypatch.setattr(LedgerViewer, "can_ask", lambda *_: False)
    assert await pulls(shared, before, "manifests/1") == 200  # what the token was given for


async def test_a_right_taken_from_a_property_would_be_seen(
    shared: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A planted fault: a record that says of itself whose it is, is believed."""
    await push(shared.client, "hats/app", "1", OTHER, user="carol")
    before = await opened(shared, "carol", "basic")
    assert before == set()

    async def believe(
        self: LedgerViewer, principal: Principal, records: list[ImageRecord]
    ) -> frozenset[str]:
        mine = await self._ledger.list_records(projects=principal.roles, filters={}, limit=99)
        said = {each.properties.get("oci_repository") for each in mine}
        return frozenset(
            each.id for each in records if each.properties.get("oci_repository") in said
        )

    monkeypatch.setattr(LedgerViewer, "find_seen", believe)
    assert await opened(shared, "carol", "basic") != before
