"""What every Ledger promises of upload sessions."""

import pytest

from registry.oci.errors import BlobUploadUnknown, RangeInvalid, UploadBusy
from registry.storage.ports.ledger import Ledger
from registry.storage.records import Segment, Upload
from support.ledgers import HATS, SHOES, Clock, blob

ONE = Segment("s-1", 10)
TWO = Segment("s-2", 5, "etag")
CONTENTS = (bytes(range(256)), b"\0", b"\xff" * 65_536)


async def leased(ledger: Ledger, *, at: int | None = None) -> Upload:
    """A new session with its first lease."""
    session = await ledger.begin_upload(SHOES, "anna")
    return await ledger.lease_upload(SHOES, session.id, at=at, seconds=60)


class LedgerUploadContract:
    """Sessions, leases, epochs."""

    async def test_a_new_session_is_found_empty(self, ledger: Ledger) -> None:
        begun = await ledger.begin_upload(SHOES, "anna")
        assert begun == Upload(begun.id, SHOES, "anna", 0, 0)
        assert await ledger.find_upload(SHOES, begun.id) == begun
        with pytest.raises(BlobUploadUnknown):
            await ledger.find_upload(HATS, begun.id)
        with pytest.raises(BlobUploadUnknown):
            await ledger.find_upload(SHOES, "no such session")

    async def test_a_segment_that_holds_its_content_is_kept_with_it(self, ledger: Ledger) -> None:
        begun = await ledger.begin_upload(SHOES, "alice")
        session = await ledger.lease_upload(SHOES, begun.id, at=0, seconds=60)
        held = [Segment(f"h-{n}", len(each), content=each) for n, each in enumerate(CONTENTS)]
        for segment in (*held, TWO):
            session = await ledger.record_segment(session, segment, seconds=0)
        assert session.offset == sum(map(len, CONTENTS)) + TWO.size
        assert (await ledger.find_upload(SHOES, begun.id)).segments == (*held, TWO)
        later = await ledger.lease_upload(SHOES, begun.id, at=session.offset, seconds=60)
        assert later.segments == (*held, TWO)

    async def test_segments_are_counted_and_the_last_may_grow(self, ledger: Ledger) -> None:
        session = await leased(ledger)
        session = await ledger.record_segment(session, ONE, seconds=60)
        assert (session.offset, session.segments) == (10, (ONE,))
        grown = Segment("s-1", 25)
        session = await ledger.record_segment(session, grown, seconds=60)
        assert (session.offset, session.segments) == (25, (grown,))
        session = await ledger.record_segment(session, TWO, seconds=60)
        assert (session.offset, session.segments) == (30, (grown, TWO))
        assert await ledger.find_upload(SHOES, session.id) == session

    async def test_one_lease_at_a_time(self, ledger: Ledger, clock: Clock) -> None:
        session = await leased(ledger)
        with pytest.raises(UploadBusy):
            await ledger.lease_upload(SHOES, session.id, at=None, seconds=60)
        clock.now += 61
        later = await ledger.lease_upload(SHOES, session.id, at=None, seconds=60)
        assert later.epoch == session.epoch + 1

    async def test_recording_renews_the_lease(self, ledger: Ledger, clock: Clock) -> None:
        session = await leased(ledger)
        clock.now += 59
        session = await ledger.record_segment(session, ONE, seconds=60)
        clock.now += 59
        with pytest.raises(UploadBusy):
            await ledger.lease_upload(SHOES, session.id, at=None, seconds=60)

    async def test_a_released_lease_is_free_at_once(self, ledger: Ledger) -> None:
        session = await leased(ledger)
        await ledger.release_upload(session)
        await ledger.release_upload(session)
        later = await ledger.lease_upload(SHOES, session.id, at=0, seconds=60)
        await ledger.release_upload(session)  # of an older epoch: the lease stays
        with pytest.raises(UploadBusy):
            await ledger.lease_upload(SHOES, session.id, at=None, seconds=60)
        assert (await ledger.record_segment(later, ONE, seconds=60)).offset == 10

    async def test_a_writer_of_an_older_epoch_records_nothing(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        paused = await leased(ledger)
        clock.now += 61
        later = await ledger.lease_upload(SHOES, paused.id, at=None, seconds=60)
        with pytest.raises(UploadBusy):
            await ledger.record_segment(paused, ONE, seconds=60)
        with pytest.raises(UploadBusy):
            await ledger.finish_upload(SHOES, paused, blob("sole"))
        assert (await ledger.find_upload(SHOES, paused.id)).offset == 0
        assert (await ledger.record_segment(later, TWO, seconds=60)).segments == (TWO,)

    async def test_a_writer_with_an_old_offset_records_nothing(self, ledger: Ledger) -> None:
        session = await leased(ledger)
        await ledger.record_segment(session, ONE, seconds=60)
        with pytest.raises(UploadBusy):
            await ledger.record_segment(session, TWO, seconds=60)

    async def test_a_lease_at_the_wrong_offset_is_refused(self, ledger: Ledger) -> None:
        session = await leased(ledger)
        session = await ledger.record_segment(session, ONE, seconds=0)
        await ledger.release_upload(session)
        for at in (0, 9, 11):
            with pytest.raises(RangeInvalid):
                await ledger.lease_upload(SHOES, session.id, at=at, seconds=60)
        assert (await ledger.find_upload(SHOES, session.id)).epoch == session.epoch
        assert (await ledger.lease_upload(SHOES, session.id, at=10, seconds=60)).offset == 10

    async def test_a_cancelled_session_is_unknown(self, ledger: Ledger) -> None:
        session = await leased(ledger)
        with pytest.raises(BlobUploadUnknown):
            await ledger.cancel_upload(HATS, session.id)
        await ledger.cancel_upload(SHOES, session.id)
        with pytest.raises(BlobUploadUnknown):
            await ledger.find_upload(SHOES, session.id)
        with pytest.raises(BlobUploadUnknown):
            await ledger.cancel_upload(SHOES, session.id)
        with pytest.raises(BlobUploadUnknown):
            await ledger.lease_upload(SHOES, session.id, at=None, seconds=60)
        with pytest.raises(UploadBusy):
            await ledger.record_segment(session, ONE, seconds=60)

    async def test_a_finished_session_is_over_and_known_for_an_hour(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        session = await leased(ledger)
        session = await ledger.record_segment(session, ONE, seconds=60)
        assert await ledger.finish_upload(SHOES, session, blob("sole")) == blob("sole")
        assert (await ledger.find_blob(SHOES, blob("sole").digest)).blob == blob("sole")
        clock.now += 3599
        found = await ledger.find_upload(SHOES, session.id)
        assert (found.finished, found.segments) == (blob("sole").digest, ())
        with pytest.raises(BlobUploadUnknown):
            await ledger.lease_upload(SHOES, session.id, at=None, seconds=60)
        with pytest.raises(BlobUploadUnknown):
            await ledger.cancel_upload(SHOES, session.id)
        with pytest.raises(UploadBusy):
            await ledger.finish_upload(SHOES, session, blob("lace"))
        with pytest.raises(UploadBusy):
            await ledger.record_segment(session, TWO, seconds=60)
        clock.now += 2
        with pytest.raises(BlobUploadUnknown):
            await ledger.find_upload(SHOES, session.id)

    async def test_what_another_holds_already_is_answered(self, ledger: Ledger) -> None:
        await ledger.finish_upload(HATS, None, blob("sole"))
        session = await leased(ledger)
        mine = type(blob("sole"))(blob("sole").digest, "object-mine", blob("sole").size)
        assert await ledger.finish_upload(SHOES, session, mine) == blob("sole")
        assert (await ledger.find_upload(SHOES, session.id)).finished == mine.digest
