"""What the Image API lists and shows: chains, filters, pages, order."""

from typing import Any

import httpx
import pytest

from registry.catalogue import listing
from support.builders import image
from support.imagecalls import APP, ARM, IMAGES, NOBODYS, Caller, Json, is_fault, push, push_pair
from support.signing import URL


async def test_a_pushed_image_is_a_tag_over_a_chain_of_layers(
    client: httpx.AsyncClient, alice: Caller
) -> None:
    await push(client)
    records = {each["id"]: each for each in await alice.list()}
    (tag,) = (each for each in records.values() if each["oci_kind"] == "tag")
    assert tag["name"] == "app:1"
    assert tag["owner"] == "shoes"
    assert tag["size"] == len(APP.manifest) + sum(map(len, APP.blobs))
    assert tag["oci_digest"] == str(APP.digest)
    assert (tag["disk_format"], tag["container_format"]) == ("docker", "docker")
    assert (tag["visibility"], tag["status"], tag["protected"]) == ("private", "active", False)
    chain = []
    record = tag
    while record["parent_id"] is not None:
        record = records[record["parent_id"]]
        chain.append(record)
    assert [each["oci_diff_id"] for each in chain] == list(reversed(APP.diff_ids))
    assert [each["size"] for each in chain] == [len(each) for each in reversed(APP.layers)]
    assert all(each["name"] is None and each["protected"] for each in chain)
    assert len(records) == 4


async def test_a_layer_of_two_images_is_one_record(
    client: httpx.AsyncClient, alice: Caller
) -> None:
    await push(client)
    await push(client, "shoes/other", "2", image("base", "", "another"))
    await push(client, "hats/app", user="carol")
    found = await alice.list(oci_kind="layer", owner="shoes")
    assert len(found) == 4
    parents = [each["parent_id"] for each in found]
    assert len(set(parents)) == 3
    assert {each["id"] for each in await alice.list(oci_kind="layer", owner="hats")}.isdisjoint(
        each["id"] for each in found
    )


async def test_repositories_and_platforms_are_hidden(
    client: httpx.AsyncClient, alice: Caller
) -> None:
    await push_pair(client)
    assert await alice.names() == {"app:all"}
    tag = await alice.find("app:all")
    assert tag["oci_children"].split() == [str(APP.digest), str(ARM.digest)]
    hidden = {each["name"]: each for each in await alice.list(os_hidden=True)}
    assert set(hidden) == {"app", f"app@{APP.digest}", f"app@{ARM.digest}"}
    assert all(each["os_hidden"] and each["protected"] for each in hidden.values())
    assert hidden[f"app@{ARM.digest}"]["oci_platform"] == "linux/arm64"
    assert tag["parent_id"] == hidden[f"app@{APP.digest}"]["id"]


async def test_a_record_is_shown_as_it_is_listed(client: httpx.AsyncClient, alice: Caller) -> None:
    await push_pair(client)
    for record in await alice.list() + await alice.list(os_hidden=True):
        shown = await alice.show(record)
        assert shown.json() == record
        path = f"/image{record['self']}"
        assert (await alice.ask("GET", path)).json() == record
        assert (await alice.ask("HEAD", path)).status_code == 200
        data = await alice.ask("GET", f"/image{record['file']}")
        assert (data.status_code, data.content) == (204, b"")
        assert (await alice.ask("GET", f"/image{record['schema']}")).json()["name"] == "image"


async def test_a_moved_tag_keeps_its_record(client: httpx.AsyncClient, alice: Caller) -> None:
    await push(client)
    before = await alice.find("app:1")
    await push(client, what=image("base", "newer"))
    after = await alice.find("app:1")
    assert after["id"] == before["id"]
    assert after["parent_id"] != before["parent_id"]
    assert after["created_at"] == before["created_at"] <= after["updated_at"]


async def test_versions_and_schemas_are_told(client: httpx.AsyncClient, alice: Caller) -> None:
    for path in ("/image", "/image/", "/image/versions", "/image/v2", "/image/v2/"):
        answer = await client.get(path)
        assert answer.status_code == (300 if path.strip("/") == "image" else 200)
        newest = answer.json()["versions"][0]
        assert newest["status"] == "CURRENT"
        assert newest["links"] == [{"rel": "self", "href": f"{URL}/image/v2/"}]
    for name in ("image", "images", "member", "members"):
        schema = await alice.ask("GET", f"/image/v2/schemas/{name}")
        assert schema.json()["name"] == name


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({}, {"app:1", "app:2", "tools/lint:1", "cap:1"}),
    ({"name": "app:1"}, {"app:1"}),
    ({"name": "eq:app:1"}, {"app:1"}),
    ({"name": 'in:"app:1","cap:1"'}, {"app:1", "cap:1"}),
    ({"name": 'in:app:1,"cap:1",none'}, {"app:1", "cap:1"}),
    ({"name": 'in:"app:1"', "owner": "hats"}, set()),
    ({"name": 'in:"app\\:1"'}, {"app:1"}),
    ({"name": "app"}, set()),
    ({"name": ""}, set()),
    ({"name": "\0é"}, set()),
    ({"owner": "hats"}, {"cap:1"}),
    ({"owner": "in:hats,shoes"}, {"app:1", "app:2", "tools/lint:1", "cap:1"}),
    ({"owner": "open"}, set()),
    ({"oci_kind": "layer"}, set()),
    ({"oci_kind": "tag", "oci_tag": "1"}, {"app:1", "tools/lint:1", "cap:1"}),
    ({"oci_repository": "tools/lint"}, {"tools/lint:1"}),
    ({"oci_repository": "lint"}, set()),
    ({"oci_digest": str(APP.digest)}, {"app:1", "tools/lint:1", "cap:1"}),
    ({"os_hidden": "True"}, {"app", "tools/lint", "cap"}),
    ({"os_hidden": "0", "oci_tag": "2"}, {"app:2"}),
    ({"os_hidden": True, "owner": "hats"}, {"cap"}),
    ({"protected": "false"}, {"app:1", "app:2", "tools/lint:1", "cap:1"}),
    ({"protected": "true"}, set()),
    ({"size_min": 10_000}, {"app:2"}),
    ({"size_max": 10_000}, {"app:1", "tools/lint:1", "cap:1"}),
    ({"visibility": "private"}, {"app:1", "app:2", "tools/lint:1", "cap:1"}),
    ({"visibility": "all"}, {"app:1", "app:2", "tools/lint:1", "cap:1"}),
    ({"visibility": "public"}, set()),
    ({"visibility": "in:public,private", "oci_tag": "2"}, {"app:2"}),
    ({"status": "active", "oci_tag": "2"}, {"app:2"}),
    ({"status": "in:queued,active", "oci_tag": "2"}, {"app:2"}),
    ({"status": "queued"}, set()),
    ({"disk_format": "docker", "oci_tag": "2"}, {"app:2"}),
    ({"disk_format": "qcow2"}, set()),
    ({"container_format": "bare"}, set()),
    ({"min_disk": 0, "min_ram": 0, "oci_tag": "2"}, {"app:2"}),
    ({"min_ram": 1}, set()),
    ({"tag": "any"}, set()),
    ({"checksum": "d41d8cd98f00b204e9800998ecf8427e"}, set()),
    ({"member_status": "all", "oci_tag": "2"}, {"app:2"}),
    ({"id": NOBODYS}, set()),
    ({"id": f"in:{NOBODYS},none"}, set()),
    ({"nobodys.property": "x"}, set()),
]


async def test_lists_are_filtered(client: httpx.AsyncClient, alice: Caller) -> None:
    large = image("base", *(f"layer {number}" for number in range(40)))
    await push(client)
    await push(client, tag="2", what=large)
    await push(client, "shoes/tools/lint")
    await push(client, "hats/cap", user="carol")
    for query, expected in FILTERS:
        assert await alice.names(**query) == expected, query
    everything = {each["id"]: each for each in await alice.list()}
    for record in everything.values():
        children = {key for key, each in everything.items() if each["parent_id"] == record["id"]}
        assert {each["id"] for each in await alice.list(parent_id=record["id"])} == children
        assert await alice.list(id=record["id"]) == [record]
        assert await alice.list(id=f"eq:{record['id']}", name=record["name"] or "x") == (
            [record] if record["name"] else []
        )
    assert await alice.list(id=f"in:{','.join(everything)}") == list(everything.values())
    hidden = await alice.list(os_hidden=True)
    ids = f"in:{','.join(each['id'] for each in hidden)}"
    assert await alice.list(id=ids) == []
    assert await alice.list(id=ids, os_hidden=True) == hidden


ORDERS: list[dict[str, Any]] = [
    {},
    {"sort_key": "created_at", "sort_dir": "asc"},
    {"sort_key": "created_at", "sort_dir": "desc"},
    {"sort": "name:asc"},
    {"sort": "name:desc,id:asc"},
    {"sort": "size"},
    {"sort": "size:asc,created_at:desc"},
    {"sort_key": ["name", "id"], "sort_dir": "asc"},
    {"sort_key": ["status", "size"], "sort_dir": ["asc", "desc"]},
    {"oci_kind": "in:layer,tag", "sort": "updated_at:asc,id:asc"},
    {"oci_kind": "in:layer,tag"},
    {"oci_kind": "tag"},
    {"size_min": 100},
    {"size_max": 100, "sort": "name"},
    {"os_hidden": "true"},
]


async def test_pages_hold_everything_once_and_in_order(
    client: httpx.AsyncClient, alice: Caller
) -> None:
    for name in ("b", "a", "c"):
        await push(client, f"shoes/{name}", what=image("base", name, "", name * 99))
    for query in ORDERS:
        whole = await alice.list(**query)
        for limit in (1, 3, len(whole), len(whole) + 1):
            assert await pages(alice, {**query, "limit": limit}) == whole, query


async def pages(caller: Caller, query: dict[str, Any]) -> list[Json]:
    """All that a list has, by its own links."""
    answer = await caller.ask("GET", IMAGES, params=query)
    first = await caller.ask("GET", f"/image{answer.json()['first']}")
    assert first.json() == answer.json()
    found: list[Json] = []
    while True:
        page = answer.json()
        assert len(page["images"]) <= query["limit"]
        found += page["images"]
        if "next" not in page:
            return found
        answer = await caller.ask("GET", f"/image{page['next']}")


async def test_a_page_has_25_images_if_nobody_says_and_1000_at_most(
    client: httpx.AsyncClient, alice: Caller
) -> None:
    await push(client, what=image(*(f"layer {number}" for number in range(30))))
    page = (await alice.ask("GET", IMAGES)).json()
    assert len(page["images"]) == 25
    rest = (await alice.ask("GET", f"/image{page['next']}")).json()
    assert len(rest["images"]) == 6
    assert "next" not in rest
    none = (await alice.ask("GET", f"{IMAGES}?limit=0")).json()
    assert (none["images"], "next" in none) == ([], False)
    assert len(await alice.list(limit=10**18 - 1)) == 31


async def test_more_than_can_be_sorted_is_refused(
    client: httpx.AsyncClient, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(client)
    monkeypatch.setattr(listing, "SORTED_LIMIT", 3)
    assert is_fault(await alice.ask("GET", f"{IMAGES}?sort=name"), 400)
    assert await alice.names(sort="name", oci_kind="tag") == {"app:1"}
    assert len(await alice.list()) == 4


async def test_lists_are_sorted(client: httpx.AsyncClient, alice: Caller) -> None:
    for name in ("b", "a", "c"):
        await push(client, f"shoes/{name}", what=image("base", name * 2000))

    async def order(**query: Any) -> list[str]:
        return [each["name"] for each in await alice.list(oci_kind="tag", **query)]

    assert await order() == ["c:1", "a:1", "b:1"]
    assert await order(sort_dir="asc") == ["b:1", "a:1", "c:1"]
    assert await order(sort="name:asc") == ["a:1", "b:1", "c:1"]
    assert await order(sort="name") == ["c:1", "b:1", "a:1"]
    assert await order(sort_key=["status", "name"], sort_dir=["desc", "asc"]) == [
        "a:1",
        "b:1",
        "c:1",
    ]
    sizes = [each["size"] for each in await alice.list(sort="size:desc")]
    assert sizes == sorted(sizes, reverse=True)
    for key in ("id", "updated_at", "disk_format", "container_format", "status"):
        shown = [each[key] for each in await alice.list(sort=f"{key}:asc")]
        assert shown == sorted(shown)
