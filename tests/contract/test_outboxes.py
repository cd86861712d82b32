"""The outbox on SQLite, between two processes, and on a real PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from contract.outbox_contract import OutboxContract
from contract.sightings_contract import OpeningsContract, SightingsContract
from contract.test_sql_ledgers import Alternating
from registry.oci.names import Tag
from registry.storage.ledger import SqlLedger, apply, marks, outbox, schema, sightings
from registry.storage.ledger.prepared import upsert
from registry.storage.ports.projection import Due
from support.ledgers import SHOES, Clock, Template, put, tagged


class Every(OutboxContract, SightingsContract, OpeningsContract):
    """Every promise of the three ports."""


class TestSqliteOutbox(Every):
    @pytest.fixture
    async def ledger(
        self, clock: Clock, template: Template, tmp_path: Path
    ) -> AsyncIterator[SqlLedger]:
        url = await template.copy(tmp_path / "ledger.db")
        ledger = SqlLedger(url, clock=clock, projecting=True)
        yield ledger
        await ledger.close()


class TestOneOfTwoSqliteOutboxes(Every):
    @pytest.fixture
    async def ledger(
        self, clock: Clock, template: Template, tmp_path: Path
    ) -> AsyncIterator[SqlLedger]:
        url = await template.copy(tmp_path / "ledger.db")
        both = [SqlLedger(url, clock=clock, projecting=True) for _ in range(2)]
        yield Alternating(*both)
        for each in both:
            await each.close()


class TestPostgresqlOutbox(Every):
    @pytest.fixture
    async def ledger(self, clock: Clock, schema_url: str) -> AsyncIterator[SqlLedger]:
        ledger = SqlLedger(schema_url, clock=clock, projecting=True)
        await ledger.migrate()
        yield ledger
        await ledger.close()


class TestNoProjection:
    async def test_a_ledger_that_is_not_projected_has_no_rows(self, tmp_path: Path) -> None:
        ledger = await SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db")
        await ledger.put_manifest(put(SHOES, "a", "v1", drafts=tagged(SHOES, "v1", "base", "x")))
        await ledger.put_manifest(put(SHOES, "b", "v1", drafts=tagged(SHOES, "v1", "base")))
        await ledger.restart("shoes", 0)
        assert await ledger.outbox.lease_due(limit=9, seconds=9) == []
        assert (await ledger.outbox.lag()).count == 0
        await ledger.close()


class TestPlantedFaults:
    """The contract goes red on faults put in on purpose."""

    @pytest.fixture
    async def ledger(
        self, clock: Clock, template: Template, tmp_path: Path
    ) -> AsyncIterator[SqlLedger]:
        url = await template.copy(tmp_path / "ledger.db")
        ledger = SqlLedger(url, clock=clock, projecting=True)
        yield ledger
        await ledger.close()

    async def test_a_row_cleared_whatever_changed(
        self, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done = outbox._done

        def clear(connection: Connection, now: float, due: Due) -> bool:
            row = outbox._held(connection, due)
            return done(connection, now, due if row is None else replace(due, version=row.version))

        monkeypatch.setattr(outbox, "_done", clear)
        with pytest.raises(AssertionError):
            await Every().test_a_change_on_the_way_is_due_at_once(ledger)

    async def test_a_late_sender_whom_nobody_corrects(
        self, ledger: SqlLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "_send_again", lambda *_: None)
        with pytest.raises(AssertionError):
            await Every().test_what_he_sent_after_the_end_is_sent_again(ledger, clock)

    async def test_an_ended_record_revived(
        self, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(marks, "bury", lambda *_: None)
        with pytest.raises(AssertionError):
            await Every().test_an_ended_record_is_never_revived(ledger)

    async def test_a_tag_removed_after_one_look(
        self, ledger: SqlLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sightings, "ABSENCE", 0.0)
        with pytest.raises(AssertionError):
            await Every().test_absence_counts_after_ten_minutes(ledger, clock)

    async def test_a_tag_removed_though_it_was_put_again(
        self, ledger: SqlLedger, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(marks, "mark_keyed", lambda *_: None)
        again = Every().test_a_tag_put_again_since_it_was_missed_stays
        await again(ledger, clock)  # its version alone says so too
        await ledger.delete_tag(SHOES, Tag.parse("v1"))
        monkeypatch.setattr(apply, "_MOVE_TAG", upsert(schema.tag, "digest", "moved_at"))
        with pytest.raises(AssertionError):
            await again(ledger, clock)
