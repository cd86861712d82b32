"""What every Ledger promises of names: blobs, links, manifests, tags, lists."""

import pytest

from contract.ledger_journal_contract import LedgerJournalContract
from contract.ledger_record_contract import LedgerRecordContract
from contract.ledger_upload_contract import LedgerUploadContract
from registry.oci.digest import Digest
from registry.oci.errors import (
    BlobUnknown,
    ManifestBlobUnknown,
    ManifestUnknown,
    NameUnknown,
)
from registry.oci.names import RepositoryName, Tag
from registry.storage.ports.ledger import Ledger
from registry.storage.records import BlobRecord
from support.ledgers import (
    HATS,
    MORE_SHOES,
    SHOES,
    Clock,
    blob,
    manifest,
    put,
    put_index,
    store,
)

LATEST = Tag.parse("latest")
UNKNOWN = Digest.of(b"never pushed")


class LedgerNameContract:
    """Subclass `LedgerContract` below, give the fixtures ``ledger`` and ``clock``."""

    async def test_a_blob_is_found_only_where_it_is_linked(self, ledger: Ledger) -> None:
        await store(ledger, SHOES, blob("sole"))
        assert (await ledger.find_blob(SHOES, blob("sole").digest)).blob == blob("sole")
        for name in (HATS, MORE_SHOES):
            with pytest.raises(BlobUnknown):
                await ledger.find_blob(name, blob("sole").digest)

    async def test_the_first_object_of_a_digest_stays(self, ledger: Ledger) -> None:
        first = blob("sole")
        second = BlobRecord(first.digest, "object-second", first.size)
        assert await ledger.finish_upload(SHOES, None, first) == first
        assert await ledger.finish_upload(HATS, None, second) == first
        assert (await ledger.find_blob(HATS, first.digest)).blob == first

    async def test_a_mount_links_what_its_source_is_linked_to(self, ledger: Ledger) -> None:
        await store(ledger, SHOES, blob("sole"))
        assert await ledger.link_blob(HATS, SHOES, blob("sole").digest) == blob("sole")
        assert (await ledger.find_blob(HATS, blob("sole").digest)).blob == blob("sole")
        with pytest.raises(BlobUnknown):
            await ledger.link_blob(HATS, MORE_SHOES, blob("sole").digest)
        with pytest.raises(BlobUnknown):
            await ledger.link_blob(HATS, SHOES, UNKNOWN)

    async def test_a_promise_raises_the_links_time(self, ledger: Ledger, clock: Clock) -> None:
        await store(ledger, SHOES, blob("sole"))
        began = clock.now
        assert (await ledger.find_blob(SHOES, blob("sole").digest)).touched_at == began
        clock.now += 10
        assert await ledger.touch_link(SHOES, blob("sole").digest)
        assert (await ledger.find_blob(SHOES, blob("sole").digest)).touched_at == began + 10
        clock.now += 10
        await store(ledger, SHOES, blob("sole"))
        assert (await ledger.find_blob(SHOES, blob("sole").digest)).touched_at == began + 20
        assert not await ledger.touch_link(SHOES, UNKNOWN)
        assert not await ledger.touch_link(HATS, blob("sole").digest)
        with pytest.raises(BlobUnknown):
            await ledger.find_blob(HATS, blob("sole").digest)

    async def test_links_are_listed_by_name(self, ledger: Ledger) -> None:
        digest = blob("sole").digest
        assert await ledger.list_links(digest, limit=9) == []
        await store(ledger, SHOES, blob("sole"))
        await ledger.link_blob(MORE_SHOES, SHOES, digest)
        await ledger.link_blob(HATS, SHOES, digest)
        assert await ledger.list_links(digest, limit=9) == [HATS, SHOES, MORE_SHOES]
        assert await ledger.list_links(digest, limit=1) == [HATS]

    async def test_an_unlinked_blob_is_gone_here_and_stays_elsewhere(self, ledger: Ledger) -> None:
        await store(ledger, SHOES, blob("sole"))
        await ledger.link_blob(HATS, SHOES, blob("sole").digest)
        await ledger.unlink_blob(SHOES, blob("sole").digest)
        with pytest.raises(BlobUnknown):
            await ledger.find_blob(SHOES, blob("sole").digest)
        assert (await ledger.find_blob(HATS, blob("sole").digest)).blob == blob("sole")
        with pytest.raises(BlobUnknown):
            await ledger.unlink_blob(SHOES, blob("sole").digest)

    async def test_a_manifest_is_found_by_digest_and_by_every_tag(self, ledger: Ledger) -> None:
        await store(ledger, SHOES, blob("sole"))
        pushed = put(SHOES, "boots", "latest", "v1", blobs=(blob("sole"),))
        await ledger.put_manifest(pushed)
        for reference in (LATEST, Tag.parse("v1"), pushed.manifest.digest):
            assert await ledger.find_manifest(SHOES, reference) == pushed.manifest
        for name in (HATS, MORE_SHOES):
            with pytest.raises(ManifestUnknown):
                await ledger.find_manifest(name, LATEST)
            with pytest.raises(ManifestUnknown):
                await ledger.find_manifest(name, pushed.manifest.digest)

    async def test_a_manifest_whose_blobs_are_missing_is_not_there_at_all(
        self, ledger: Ledger
    ) -> None:
        await store(ledger, SHOES, blob("sole"))
        await store(ledger, HATS, blob("lace"))
        with pytest.raises(ManifestBlobUnknown) as caught:
            await ledger.put_manifest(
                put(SHOES, "boots", "latest", blobs=(blob("sole"), blob("lace")))
            )
        assert isinstance(caught.value.detail, dict)
        assert caught.value.detail["missing"] == [str(blob("lace").digest)]
        with pytest.raises(ManifestUnknown):
            await ledger.find_manifest(SHOES, LATEST)
        assert await ledger.list_tags(SHOES) == []
        assert await ledger.pending_lines() == []
        assert await ledger.heads() == {}

    async def test_an_index_whose_manifests_are_missing_is_refused(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "left"))
        children = (manifest("left").digest, manifest("right").digest)
        with pytest.raises(ManifestBlobUnknown):
            await ledger.put_manifest(put_index(SHOES, "pair", "latest", children=children))
        await ledger.put_manifest(put(SHOES, "right"))
        await ledger.put_manifest(put_index(SHOES, "pair", "latest", children=children))
        assert (await ledger.find_manifest(SHOES, LATEST)).content == b"manifest pair"

    async def test_a_sparse_put_takes_what_is_not_there(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "boots", "v1", blobs=(blob("sole"),), sparse=True))
        assert (await ledger.find_manifest(SHOES, Tag.parse("v1"))).content == b"manifest boots"
        with pytest.raises(BlobUnknown):
            await ledger.find_blob(SHOES, blob("sole").digest)

    async def test_a_tag_moves(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "old", "latest"))
        await ledger.put_manifest(put(SHOES, "new", "latest"))
        assert (await ledger.find_manifest(SHOES, LATEST)).content == b"manifest new"
        assert (await ledger.find_manifest(SHOES, manifest("old").digest)).content
        assert await ledger.list_tags(SHOES) == ["latest"]

    async def test_putting_again_changes_nothing(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "boots", "latest"))
        await ledger.put_manifest(put(SHOES, "boots", "latest"))
        assert await ledger.find_manifest(SHOES, LATEST) == manifest("boots")

    async def test_a_deleted_tag_leaves_its_manifest(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "boots", "latest", "v1"))
        await ledger.delete_tag(SHOES, LATEST)
        with pytest.raises(ManifestUnknown):
            await ledger.find_manifest(SHOES, LATEST)
        with pytest.raises(ManifestUnknown):
            await ledger.delete_tag(SHOES, LATEST)
        assert await ledger.find_manifest(SHOES, Tag.parse("v1")) == manifest("boots")

    async def test_a_deleted_manifest_takes_its_tags_along(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "boots", "latest", "v1"))
        await ledger.put_manifest(put(SHOES, "other", "v2"))
        await ledger.delete_manifest(SHOES, manifest("boots").digest)
        for reference in (LATEST, Tag.parse("v1"), manifest("boots").digest):
            with pytest.raises(ManifestUnknown):
                await ledger.find_manifest(SHOES, reference)
        assert await ledger.list_tags(SHOES) == ["v2"]
        with pytest.raises(ManifestUnknown):
            await ledger.delete_manifest(SHOES, manifest("boots").digest)
        with pytest.raises(ManifestUnknown):
            await ledger.delete_manifest(HATS, manifest("other").digest)

    async def test_tags_come_in_byte_order_page_by_page(self, ledger: Ledger) -> None:
        for tag in ("b", "B", "a", "_", "10", "9", "a-b", "a.b", "aa"):
            await ledger.put_manifest(put(SHOES, "boots", tag))
        every = ["10", "9", "B", "_", "a", "a-b", "a.b", "aa", "b"]
        assert await ledger.list_tags(SHOES) == every
        assert await ledger.list_tags(SHOES, limit=2) == every[:2]
        assert await ledger.list_tags(SHOES, after="9", limit=3) == every[2:5]
        assert await ledger.list_tags(SHOES, after="a,") == every[5:]
        assert await ledger.list_tags(SHOES, after="z") == []
        assert await ledger.list_tags(SHOES, limit=0) == []

    async def test_a_repository_is_there_once_something_came(self, ledger: Ledger) -> None:
        with pytest.raises(NameUnknown):
            await ledger.list_tags(SHOES)
        await ledger.begin_upload(SHOES, "anna")
        assert await ledger.list_tags(SHOES) == []
        await store(ledger, HATS, blob("sole"))
        assert await ledger.list_tags(HATS) == []

    async def test_referrers_come_by_digest_filtered_and_paged(self, ledger: Ledger) -> None:
        about = manifest("boots").digest
        for word, kind in (("a", "sbom"), ("b", "sig"), ("c", "sbom"), ("d", None)):
            await ledger.put_manifest(put(SHOES, word, subject=about, artifact_type=kind))
        await ledger.put_manifest(put(HATS, "e", subject=about))
        every = sorted(
            [
                manifest(word, subject=about, artifact_type=kind)
                for word, kind in (("a", "sbom"), ("b", "sig"), ("c", "sbom"), ("d", None))
            ],
            key=lambda each: each.digest,
        )
        assert await ledger.list_referrers(SHOES, about) == every
        boms = [each for each in every if each.artifact_type == "sbom"]
        assert await ledger.list_referrers(SHOES, about, artifact_type="sbom") == boms
        page = await ledger.list_referrers(SHOES, about, after=every[0].digest, limit=2)
        assert page == every[1:3]
        assert await ledger.list_referrers(SHOES, UNKNOWN) == []
        assert await ledger.list_referrers(MORE_SHOES, about) == []
        await ledger.delete_manifest(SHOES, every[0].digest)
        assert await ledger.list_referrers(SHOES, about) == every[1:]

    async def test_repositories_that_hold_a_manifest_are_listed(self, ledger: Ledger) -> None:
        beside = RepositoryName("shoes", "red-boots")
        for name in (SHOES, HATS, beside):
            await ledger.put_manifest(put(name, "any"))
        await store(ledger, MORE_SHOES, blob("sole"))
        every = [HATS, beside, SHOES]
        assert await ledger.list_repositories(projects=None) == every
        assert await ledger.list_repositories(projects=["shoes"]) == [beside, SHOES]
        assert await ledger.list_repositories(projects=[]) == []
        assert await ledger.list_repositories(projects=None, after=str(HATS), limit=1) == [beside]
        await ledger.delete_manifest(HATS, manifest("any").digest)
        assert await ledger.list_repositories(projects=None) == [beside, SHOES]

    async def test_a_text_that_no_name_can_be_is_found_nowhere(self, ledger: Ledger) -> None:
        await ledger.put_manifest(put(SHOES, "boots", "latest"))
        assert await ledger.list_records(projects=None, filters={"a\0b": "c"}, limit=9) == []


class LedgerContract(
    LedgerNameContract, LedgerUploadContract, LedgerRecordContract, LedgerJournalContract
):
    """Every promise of the port."""
