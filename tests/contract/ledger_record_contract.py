"""What every Ledger promises of image records: chains, ids for life, ends, lists, sharing."""

import pytest

from registry.oci.errors import Denied, ManifestBlobUnknown, ManifestUnknown, MemberTaken
from registry.oci.names import Tag
from registry.storage.ports.ledger import Ledger
from registry.storage.records import ImageRecord, Member
from registry.storage.sharing import (
    MEMBERS_LIMIT,
    Agreement,
    Answer,
    Changed,
    Invitation,
    Sharing,
    Visibility,
    Withdrawal,
)
from support.ledgers import (
    HATS,
    SHOES,
    Clock,
    find_by_key,
    manifest,
    platform,
    put,
    put_index,
    share_with,
    tagged,
)


async def keys(ledger: Ledger, **filters: str) -> list[str]:
    """Keys of all records, hidden ones too, the oldest first."""
    found: list[ImageRecord] = []
    for hidden in ("false", "true"):
        found += await ledger.list_records(
            projects=None, filters={**filters, "os_hidden": hidden}, limit=99, descending=False
        )
    return sorted(each.key for each in found)


async def chain(ledger: Ledger, project: str, key: str) -> list[str]:
    """Keys from a record down to its base."""
    record = await find_by_key(ledger, project, key)
    names = [record.key]
    while record.parent_id is not None:
        record = await ledger.find_record(record.parent_id)
        names.append(record.key)
    return names


class LedgerRecordContract:
    """Records."""

    async def test_a_put_makes_a_chain_of_records(self, ledger: Ledger, clock: Clock) -> None:
        drafts = tagged(SHOES, "v1", "base", "app")
        await ledger.put_manifest(put(SHOES, "boots", "v1", drafts=drafts))
        assert await chain(ledger, "shoes", "tag:red/boots:v1") == [
            "tag:red/boots:v1",
            "layer:base-app",
            "layer:base",
        ]
        found = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        assert found == await ledger.find_record(found.id)
        assert (found.project, found.kind, found.name, found.size, found.version) == (
            "shoes",
            "tag",
            "red/boots:v1",
            7,
            1,
        )
        assert (found.visibility, found.created_at, found.updated_at) == (
            "private",
            clock.now,
            clock.now,
        )
        assert found.properties["oci_tag"] == "v1"

    async def test_a_refused_put_makes_no_record(self, ledger: Ledger) -> None:
        children = (manifest("missing").digest,)
        with pytest.raises(ManifestBlobUnknown):
            await ledger.put_manifest(
                put_index(
                    SHOES, "pair", "v1", children=children, drafts=tagged(SHOES, "v1", "base")
                )
            )
        assert await keys(ledger) == []

    async def test_tags_share_layers_and_each_project_has_its_own(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base", "x")))
        await ledger.put_manifest(put(SHOES, "b", "v2", drafts=tagged(SHOES, "v2", "base", "y")))
        await ledger.put_manifest(put(HATS, "c", "v1", drafts=tagged(HATS, "v1", "base")))
        base = await find_by_key(ledger, "shoes", "layer:base")
        assert base.id != (await find_by_key(ledger, "hats", "layer:base")).id
        for key in ("layer:base-x", "layer:base-y"):
            assert (await find_by_key(ledger, "shoes", key)).parent_id == base.id

    async def test_a_tag_keeps_its_id_when_it_moves(self, ledger: Ledger, clock: Clock) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base", "x")))
        before = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        clock.now += 5
        await ledger.put_manifest(put(SHOES, "b", "v1", drafts=tagged(SHOES, "v1", "base", "y")))
        after = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        assert after.id == before.id
        assert (after.created_at, after.updated_at) == (before.created_at, clock.now)
        assert after.version == before.version + 1
        assert await chain(ledger, "shoes", after.key) == [
            "tag:red/boots:v1",
            "layer:base-y",
            "layer:base",
        ]
        assert "layer:base-x" not in await keys(ledger)

    async def test_putting_again_changes_no_record(self, ledger: Ledger, clock: Clock) -> None:
        drafts = tagged(SHOES, "v1", "base")
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=drafts))
        before = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        clock.now += 5
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=drafts))
        assert await find_by_key(ledger, "shoes", "tag:red/boots:v1") == before

    async def test_layers_end_with_the_last_tag_that_reaches_them(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base", "x")))
        await ledger.put_manifest(put(SHOES, "b", "v2", drafts=tagged(SHOES, "v2", "base", "y")))
        await ledger.delete_tag(SHOES, Tag.parse("v1"))
        assert await keys(ledger) == [
            "layer:base",
            "layer:base-y",
            "repository:red/boots",
            "tag:red/boots:v2",
        ]
        await ledger.delete_manifest(SHOES, manifest("b").digest)
        assert await keys(ledger) == ["repository:red/boots"]
        await ledger.delete_manifest(SHOES, manifest("a").digest)
        assert await keys(ledger) == []

    async def test_an_indexs_tag_keeps_its_platforms(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "left"))
        await ledger.put_manifest(put(SHOES, "right"))
        left, right = platform(SHOES, "left", "base"), platform(SHOES, "right", "base", "r")
        top = tagged(SHOES, "v1", uses=(left[-1].key, right[-1].key))
        children = (manifest("left").digest, manifest("right").digest)
        drafts = (top[0], *left, *right[1:], top[-1])
        await ledger.put_manifest(put_index(SHOES, "p", "v1", children=children, drafts=drafts))
        assert await keys(ledger) == sorted(each.key for each in drafts)
        only = tagged(SHOES, "v1", uses=(left[-1].key,))
        await ledger.put_manifest(
            put_index(SHOES, "q", "v1", children=children, drafts=(only[0], *left, only[-1]))
        )
        assert await keys(ledger) == sorted(each.key for each in (only[0], *left, only[-1]))
        await ledger.delete_tag(SHOES, Tag.parse("v1"))
        assert await keys(ledger) == ["repository:red/boots"]

    async def test_records_are_listed_page_by_page(self, ledger: Ledger, clock: Clock) -> None:
        for number in range(5):
            tag = f"v{number}"
            await ledger.put_manifest(put(SHOES, tag, tag, drafts=tagged(SHOES, tag)))
            clock.now += number % 2
        every = await ledger.list_records(projects=None, filters={}, limit=99)
        assert [each.name for each in every][:1] in (["red/boots:v4"], ["red/boots:v3"])
        assert every == sorted(every, key=lambda each: (each.created_at, each.id), reverse=True)
        assert len(every) == 5
        pages: list[ImageRecord] = []
        while page := await ledger.list_records(
            projects=None, filters={}, after=pages[-1].id if pages else None, limit=2
        ):
            pages += page
        assert pages == every
        ascending = await ledger.list_records(
            projects=None, filters={}, after=every[-1].id, limit=99, descending=False
        )
        assert ascending == every[::-1][1:]
        with pytest.raises(ManifestUnknown):
            await ledger.list_records(projects=None, filters={}, after="unknown", limit=1)

    async def test_records_are_filtered(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base")))
        await ledger.put_manifest(put(HATS, "b", "v1", drafts=tagged(HATS, "v1", "base")))

        async def count(**filters: str) -> int:
            return len(await ledger.list_records(projects=None, filters=filters, limit=99))

        base = await find_by_key(ledger, "hats", "layer:base")
        assert await count() == 4
        assert await count(os_hidden="true") == 2
        assert await count(name="red/boots:v1") == 1
        assert await count(owner="hats") == 2
        assert await count(owner="hats", oci_kind="layer") == 1
        assert await count(oci_tag="v1") == 2
        assert await count(oci_tag="v") == 0
        assert await count(oci_ta="v1") == 0
        assert await count(parent_id=base.id) == 1
        assert await count(id=base.id) == 1
        assert await count(visibility="public") == 0
        assert await count(oci_tag='v1", "x": "') == 0

    async def test_only_what_projects_may_see_is_listed(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1")))
        await ledger.put_manifest(put(HATS, "b", "v1", drafts=tagged(HATS, "v1")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")

        async def seen(*projects: str) -> list[str]:
            found = await ledger.list_records(projects=projects, filters={}, limit=99)
            return sorted(each.name or "" for each in found)

        assert await seen("hats") == ["straw:v1"]
        assert await seen() == []
        await share_with(ledger, boots.id, "hats", "pending")
        assert await seen("hats") == ["straw:v1"]
        await ledger.share_record(boots.id, Answer(Member("hats", "accepted")))
        assert await seen("hats") == ["red/boots:v1", "straw:v1"]
        await ledger.share_record(boots.id, Withdrawal("hats"))
        assert await seen("hats") == ["straw:v1"]
        await ledger.share_record(boots.id, Visibility("public"))
        assert await seen("hats") == ["red/boots:v1", "straw:v1"]
        assert await seen() == ["red/boots:v1"]

    async def test_sharing_is_kept_while_a_tag_moves(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "x")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await share_with(ledger, boots.id, "hats")
        await ledger.share_record(boots.id, Invitation("gloves"))
        await ledger.put_manifest(put(SHOES, "b", "v1", drafts=tagged(SHOES, "v1", "y")))
        assert (await ledger.find_record(boots.id)).visibility == "shared"
        members = [Member("gloves", "pending"), Member("hats", "accepted")]
        assert await ledger.list_members(boots.id) == members

    async def test_a_change_of_sharing_answers_the_record_that_it_makes(
        self, ledger: Ledger
    ) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "x")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        for change in (
            ledger.share_record(boots.id, Visibility("shared")),
            ledger.share_record(boots.id, Invitation("hats")),
            ledger.share_record(boots.id, Answer(Member("hats", "accepted"))),
            ledger.share_record(boots.id, Withdrawal("hats")),
            ledger.share_record(boots.id, Agreement(Sharing("shared", (("gloves", "pending"),)))),
            ledger.share_record(boots.id, Visibility("public")),
        ):
            shared = await change
            assert shared.record == await ledger.find_record(boots.id)
            assert shared.record.version > boots.version
            boots = shared.record

    async def test_only_a_member_answers_and_one_no_more_gains_nothing_by_it(
        self, ledger: Ledger
    ) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "x")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        accepted = Member("hats", "accepted")
        await share_with(ledger, boots.id, "hats")
        assert await ledger.list_members(boots.id) == [accepted]
        await ledger.share_record(boots.id, Withdrawal("hats"))
        before = await ledger.find_record(boots.id), await ledger.count_lines()
        with pytest.raises(ManifestUnknown):
            await ledger.share_record(boots.id, Answer(accepted))
        assert await ledger.list_members(boots.id) == []
        assert (await ledger.find_record(boots.id), await ledger.count_lines()) == before

    async def test_a_member_is_added_once_and_stays_what_it_answered(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "x")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        with pytest.raises(Denied):
            await ledger.share_record(boots.id, Invitation("hats"))  # it is not shared
        await share_with(ledger, boots.id, "hats")
        before = await ledger.find_record(boots.id), await ledger.count_lines()
        with pytest.raises(MemberTaken):
            await ledger.share_record(boots.id, Invitation("hats"))
        assert await ledger.list_members(boots.id) == [Member("hats", "accepted")]
        assert (await ledger.find_record(boots.id), await ledger.count_lines()) == before

    async def test_what_is_agreed_takes_the_place_of_what_was_said_here(
        self, ledger: Ledger
    ) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "x")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await share_with(ledger, boots.id, "hats")
        told = Sharing("shared", (("gloves", "rejected"), ("hats", "pending")))
        members = [Member(*each) for each in told.members]
        for agreed in (told, Sharing("public"), told, Sharing("shared")):
            await ledger.share_record(boots.id, Agreement(agreed))
            assert (await ledger.find_record(boots.id)).visibility == agreed.visibility
            kept = [] if agreed == Sharing("shared") else members  # with others it is not asked
            assert await ledger.list_members(boots.id) == kept

    async def test_what_is_agreed_may_be_about_one_version_only(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "x")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        shared = await ledger.share_record(boots.id, Visibility("shared"))
        before = shared.record, await ledger.count_lines()
        with pytest.raises(Changed):
            await ledger.share_record(boots.id, Agreement(Sharing("public"), boots.version))
        assert (await ledger.find_record(boots.id), await ledger.count_lines()) == before
        agreed = Agreement(Sharing("public"), shared.record.version)
        assert (await ledger.share_record(boots.id, agreed)).record.visibility == "public"

    async def test_a_record_has_so_many_members_and_no_more(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "x")))
        boots = await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        await ledger.share_record(boots.id, Visibility("shared"))
        names = [f"project-{number}" for number in range(MEMBERS_LIMIT)]
        for name in names:
            await ledger.share_record(boots.id, Invitation(name))
        with pytest.raises(Denied, match=f"at most {MEMBERS_LIMIT} members"):
            await ledger.share_record(boots.id, Invitation("one too many"))
        assert [each.project for each in await ledger.list_members(boots.id)] == sorted(names)

    async def test_what_is_unknown_is_said_to_be(self, ledger: Ledger) -> None:
        with pytest.raises(ManifestUnknown):
            await ledger.find_record("unknown")
        with pytest.raises(ManifestUnknown):
            await find_by_key(ledger, "shoes", "tag:red/boots:v1")
        with pytest.raises(ManifestUnknown):
            await ledger.share_record("unknown", Visibility("public"))
        with pytest.raises(ManifestUnknown):
            await ledger.list_members("unknown")
