"""Who may pull from another project: what a record is shared with opens, and nothing else does."""

import pytest

from registry.oci.digest import Digest
from support.asking import APP, IN_REPOSITORY, NAME, asked_for, is_refusal
from support.builders import image
from support.imagecalls import ARM, Caller, push
from support.sharing import ALL, NOBODY, OTHER, PULL, WAYS, opened, parts, pulls, share, signed_in
from support.signing import Registry, basic


@pytest.mark.parametrize("way", WAYS)
async def test_a_shared_repository_is_open_as_a_whole(
    shared: Registry, mona: Caller, way: str
) -> None:
    assert await opened(shared, "carol", way) == set()
    await share(mona, "app")
    assert await opened(shared, "carol", way) == ALL
    headers = await signed_in(shared, "carol", way)
    tags = await shared.client.get(f"/v2/{NAME}/tags/list", headers=headers)
    assert tags.json()["tags"] == ["1", "2", "both"]
    assert await opened(shared, "nobody", way) == set()


@pytest.mark.parametrize("way", WAYS)
async def test_a_shared_tag_opens_what_it_reaches_and_no_more(
    shared: Registry, mona: Caller, way: str
) -> None:
    await share(mona, "app:1")
    assert await opened(shared, "carol", way) == {"manifests/1", *parts(APP)}
    headers = await signed_in(shared, "carol", way)
    tags = await shared.client.get(f"/v2/{NAME}/tags/list", headers=headers)
    assert tags.json() == {"name": NAME, "tags": ["1"]}
    await share(mona, "app:both")
    assert await opened(shared, "carol", way) == {"manifests/1", "manifests/both", *parts(APP, ARM)}


@pytest.mark.parametrize("way", WAYS)
async def test_another_tag_of_the_same_manifest_stays_unknown(
    shared: Registry, mona: Caller, way: str
) -> None:
    await push(shared.client, NAME, "secret", APP)
    await share(mona, "app:1")
    headers = await signed_in(shared, "carol", way)
    there, absent = [
        await shared.client.get(f"/v2/{NAME}/manifests/{tag}", headers=headers)
        for tag in ("secret", "absent")
    ]
    assert (there.status_code, absent.status_code) == (404, 404)
    assert there.text.replace("secret", "absent") == absent.text


@pytest.mark.parametrize("way", WAYS)
async def test_who_was_let_in_by_a_tag_is_told_nothing_of_the_rest(
    shared: Registry, mona: Caller, way: str
) -> None:
    await share(mona, "app:1")
    headers = await signed_in(shared, "carol", way)
    missing = Digest.of(b"missing")
    for kind, there in (("manifests", OTHER.digest), ("blobs", Digest.of(OTHER.config))):
        answers = [
            await shared.client.get(f"/v2/{NAME}/{kind}/{each}", headers=headers)
            for each in (there, missing)
        ]
        assert {each.status_code for each in answers} == {404}
        told, expected = (each.text for each in answers)
        assert told.replace(str(there), str(missing)) == expected
    url = f"/v2/{NAME}/referrers/{OTHER.digest}"
    assert (await shared.client.get(url, headers=headers)).json()["manifests"] == []


async def test_referrers_are_listed_that_are_open(shared: Registry, mona: Caller) -> None:
    about: dict[str, object] = {
        "subject": {"mediaType": APP.media_type, "digest": str(APP.digest), "size": 1}
    }
    signature, private = image("signed", extra=about), image("private", extra=about)
    await push(shared.client, NAME, "signed", signature)
    await push(shared.client, NAME, "private", private)
    await share(mona, "app:signed")
    url = f"/v2/{NAME}/referrers/{APP.digest}"
    for way in WAYS:
        headers = await signed_in(shared, "carol", way)
        answer = await shared.client.get(url, headers=headers)
        found = [each["digest"] for each in answer.json()["manifests"]]
        assert found == [str(signature.digest)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["app", "app:1"])
async def test_what_is_shared_can_be_pulled_and_nothing_else(
    shared: Registry, mona: Caller, way: str, name: str
) -> None:
    await share(mona, name)
    headers = await signed_in(shared, "carol", way, f"repository:{NAME}:pull,push,delete")
    for method, path, kind in IN_REPOSITORY:
        if method in {"GET", "HEAD"} and kind != "UPLOAD":
            continue
        answer = await shared.client.request(method, path, headers=headers)
        if way == "basic":
            assert is_refusal(answer, 403, "DENIED")
        else:
            assert asked_for(answer)["error"] == "insufficient_scope"


@pytest.mark.parametrize("way", WAYS)
async def test_taken_back_is_refused_at_once(shared: Registry, mona: Caller, way: str) -> None:
    await share(mona, "app")
    await share(mona, "app:1")
    headers = await signed_in(shared, "carol", way)
    assert await pulls(shared, headers, "manifests/2") == 200
    assert (await mona.unshare(await mona.find("app", os_hidden=True), "hats")).status_code == 204
    # A token that was given for the whole is good for what is left of it.
    assert await pulls(shared, headers, "manifests/1") == 200
    assert await pulls(shared, headers, "manifests/2") == 404
    assert (await mona.unshare(await mona.find("app:1"), "hats")).status_code == 204
    refused = 401 if way == "token" else 403
    assert await pulls(shared, headers, "manifests/1") == refused


async def test_a_token_gains_nothing_that_is_shared_later(shared: Registry, mona: Caller) -> None:
    await share(mona, "app:1")
    headers = await signed_in(shared, "carol", "token")
    await share(mona, "app")
    assert await pulls(shared, headers, "manifests/2") == 404
    assert await opened(shared, "carol", "token") == ALL


@pytest.mark.parametrize("way", WAYS)
async def test_a_shared_tag_that_moves_shares_what_it_moved_to(
    shared: Registry, mona: Caller, way: str
) -> None:
    await share(mona, "app:1")
    await push(shared.client, NAME, "1", OTHER)
    assert await opened(shared, "carol", way) == {"manifests/1", *parts(OTHER)}


async def test_public_is_for_everybody_and_community_for_who_signs_in(
    shared: Registry, mona: Caller
) -> None:
    record = await mona.find("app:1")
    closed: set[str] = set()
    one = {"manifests/1", *parts(APP)}
    for word, anonymous, others in (
        ("private", closed, closed),
        ("community", closed, one),
        ("public", one, one),
        ("shared", closed, closed),
    ):
        assert (await mona.set_visibility(record, word)).status_code == 200
        assert await opened(shared, "", "token") == anonymous, word
        assert await opened(shared, "nobody", "token") == others, word
        assert await opened(shared, "nobody", "basic") == others, word
        # Who shows nothing may yet have a right to more than one tag: he is asked who he is.
        asked = asked_for(await shared.client.get(f"/v2/{NAME}/manifests/1"))
        assert asked == {"scope": PULL}


async def test_docker_without_a_login_pulls_what_is_public(shared: Registry, mona: Caller) -> None:
    """It asks without credentials, is told where to get a token, and gets one."""
    await mona.set_visibility(await mona.find("app", os_hidden=True), "public")
    headers = await shared.sign_in("", PULL)
    for shown in (headers, NOBODY):
        assert {await pulls(shared, shown, each) for each in ALL} == {200}
    await mona.set_visibility(await mona.find("app", os_hidden=True), "private")
    asked_for(await shared.client.get(f"/v2/{NAME}/manifests/1", headers=headers))


async def test_a_shared_blob_can_be_mounted_and_no_other(shared: Registry, mona: Caller) -> None:
    await share(mona, "app:1")
    both = f"repository:hats/mine:pull,push {PULL}"
    url = "/v2/hats/mine/blobs/uploads/"
    blob, other = Digest.of(APP.layers[0]), Digest.of(OTHER.layers[0])
    mount = {"mount": str(blob), "from": NAME}
    ways = [basic("carol"), await signed_in(shared, "carol", "token", both)]
    for headers in ways:
        mounted = await shared.client.post(url, params=mount, headers=headers)
        assert mounted.status_code == 201
        begun = await shared.client.post(
            url, params={**mount, "mount": str(other)}, headers=headers
        )
        assert begun.status_code == 202
        nowhere = {"mount": str(other)}
        assert (await shared.client.post(url, params=nowhere, headers=headers)).status_code == 202
    assert (await mona.unshare(await mona.find("app:1"), "hats")).status_code == 204
    for headers in ways:
        begun = await shared.client.post(url, params=mount, headers=headers)
        assert begun.status_code == 202


async def test_the_catalogue_shows_the_callers_own_projects(shared: Registry, mona: Caller) -> None:
    await share(mona, "app")
    await push(shared.client, "hats/mine", "1", APP, user="carol")
    answer = await shared.client.get("/v2/_catalog", headers=basic("carol"))
    assert answer.json()["repositories"] == ["hats/mine"]


async def test_who_is_not_let_in_is_told_the_same_whether_it_exists_or_not(
    shared: Registry, mona: Caller
) -> None:
    await share(mona, "app", "boats")
    for headers in (basic("carol"), await signed_in(shared, "carol", "token"), NOBODY):
        for method, path, _ in IN_REPOSITORY:
            missing = path.replace(NAME, "shoes/none")
            there, absent = [
                await shared.client.request(method, each, headers=headers)
                for each in (path, missing)
            ]
            assert there.status_code == absent.status_code
            assert there.content == absent.content
