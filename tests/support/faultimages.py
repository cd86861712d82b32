"""What is true of Glance once it rains no more: it has the ledger's records, and no others."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from registry.oci.descriptor import OCI_INDEX
from registry.storage.images import image_of
from registry.storage.ledger import SqlLedger
from registry.storage.records import ImageRecord
from registry.storage.sharing import Sharing
from support.faultactor import Actor
from support.faultmodel import Pushed, Wrong
from support.faultsharing import Glance, may_see
from support.faultworld import World

FIELDS = {"name": "name", "visibility": "visibility", "os_hidden": "hidden",
          "protected": "protected"}  # fmt: skip


async def differs(here: World, glance: Glance, actors: Sequence[Actor]) -> str:
    """What is not yet as it must be, or nothing; raises Wrong where it never will be."""
    ledger = here.replicas[0].storage.ledger
    assert isinstance(ledger, SqlLedger)
    lag = await ledger.outbox.lag()
    if lag.parked:
        raise Wrong(f"{lag.parked} records are not sent any more")
    if lag.count:
        return f"{lag.count} records wait"
    kept = {each["id"]: each for each in here.scene.kept}
    for place, token in zip(kept, (here.scene.token, here.scene.far.token), strict=True):
        if await glance.show(place, token) != kept[place]:
            raise Wrong("somebody changed an image that is none of the registry's")
    shown = {name: each for name, each in (await glance.list_all()).items() if name not in kept}
    return await _records_differ(here, ledger, glance, shown) or _tags_differ(shown, actors)


async def _records_differ(
    here: World, ledger: SqlLedger, glance: Glance, shown: dict[str, Any]
) -> str:
    records = {each.id: each for each in await _records(ledger, here.scene.place.id)}
    if strange := shown.keys() - records.keys():
        return f"Glance has {[_told(shown[each]) for each in strange]}, and no record is of it"
    if missing := records.keys() - shown.keys():
        return f"Glance has none of {[records[each].key for each in missing]}"
    for record in records.values():
        members = {each.project: each.status for each in await ledger.list_members(record.id)}
        if why := await _differs(glance, record, members, shown[record.id]):
            return f"{record.key} has {why}"
        spoken = here.spoken(record.id, record.name or "")
        if not spoken.now.allows(Sharing.of(record.visibility, members.items())):
            return f"{record.key} is {record.visibility} {members}, and its people said {spoken}"
    return ""


def _tags_differ(shown: dict[str, Any], actors: Sequence[Actor]) -> str:
    for actor in actors:
        for tag, belief in actor.repository.tags.items():
            if belief.ends:
                continue
            if why := _chain(shown, actor.repository.path, tag, belief.settled):
                return f"{actor.repository.path}:{tag} {why}"
    return ""


async def _records(ledger: SqlLedger, project: str) -> list[ImageRecord]:
    found: list[ImageRecord] = []
    for hidden in ("false", "true"):
        filters = {"owner": project, "os_hidden": hidden}
        found += await ledger.list_records(projects=None, filters=filters, limit=999)
    return found


async def _differs(glance: Glance, record: ImageRecord, members: dict[str, str], shown: Any) -> str:
    image = image_of(record)
    for field, named in FIELDS.items():
        if ("" if shown[field] is None else shown[field]) != getattr(image, named):
            return f"{field}={shown[field]}"
    properties = {name: each for name, each in shown.items()
                  if name.startswith("oci_") or name == "parent_id"}  # fmt: skip
    if properties != image.properties:
        return f"{properties} instead of {image.properties}"
    if shown["status"] != "active":
        return f"status {shown['status']}"
    if record.visibility == "shared" and await glance.members(record.id) != members:
        return "other members"
    return ""


def _chain(shown: dict[str, Any], path: str, tag: str, what: Pushed | None) -> str:
    """Why what people see of a tag is not what was pushed; by what they know themselves."""
    named = [each for each in shown.values() if each["name"] == f"{path}:{tag}"]
    if what is None:
        return "is shown, and is no more" if named else ""
    if len(named) != 1:
        return f"is shown {len(named)} times"
    (top,) = named
    if top["oci_digest"] != str(what.digest):
        return f"is shown as {top['oci_digest']} and not {what.digest}"
    if what.media_type == OCI_INDEX:
        children = " ".join(str(each.digest) for each in what.children)
        return "" if top["oci_children"] == children else "is shown with other children"
    layers = [each["digest"] for each in json.loads(what.content)["layers"]]
    found = []
    below = top.get("parent_id")
    while below is not None:
        found.append(shown[below]["oci_digest"])
        below = shown[below].get("parent_id")
    return "" if found[::-1] == layers else f"is shown over {found[::-1]} and not {layers}"


def _told(image: Any) -> str:
    return f"{image.get('oci_kind')} {image['name']} {image['id']}"


async def hold_pulls(
    here: World, glance: Glance, http: httpx.AsyncClient, actors: Sequence[Actor]
) -> str:
    """Bob pulls what he sees in Glance, and nothing else; what is not so yet."""
    token = here.scene.far.token
    shown = {each["name"]: each["id"] for each in (await glance.list_all()).values()
             if "oci_kind" in each}  # fmt: skip
    for actor in actors:
        path = actor.repository.path
        whole = path in shown and await glance.show(shown[path], token) is not None
        for tag, belief in actor.repository.tags.items():
            if belief.settled is None:
                continue
            sees = whole or await glance.show(shown[f"{path}:{tag}"], token) is not None
            url = actor.url(f"/v2/{actor.repository.name}/manifests/{tag}")
            answer = await http.get(url, headers={"X-Auth-Token": token})
            if answer.status_code == httpx.codes.OK and not may_see(here, actor, tag):
                raise Wrong(f"{path}:{tag} was shown to bob, with whom nobody shared it")
            if (answer.status_code == httpx.codes.OK) != sees:
                return f"{path}:{tag} is {answer.status_code} for bob, who sees it: {sees}"
            if sees and answer.content != belief.settled.content:
                raise Wrong(f"{path}:{tag} was shown to bob as other bytes")
    return ""
