"""Pending lines in one process's hands, so that others do not append them to the journal as well.

A claim saves work and guards nothing: whoever appends a line a second time finds it there.
"""

from collections.abc import Mapping

from sqlalchemy import ClauseElement, Connection, bindparam, delete, exists, literal, select
from sqlalchemy.engine import Dialect

from registry.oci.errors import StorageUnavailable
from registry.storage.ledger.condemning import lease
from registry.storage.ledger.lines import pending_lines
from registry.storage.ledger.prepared import Prepared
from registry.storage.ledger.schema import job, journal, project
from registry.storage.records import JournalLine, Position

_JOB = "journal/"
"""What the jobs' names begin with; their projects' follow."""
_DRAWN = Prepared(lambda _: select(project.c.sequence).where(project.c.id == bindparam("name")))
_WAITS = Prepared(
    lambda _: select(journal.c.sequence).where(
        journal.c.project_id == bindparam("name"), journal.c.sequence == bindparam("number")
    )
)


def _claimable(dialect: Dialect) -> ClauseElement:
    del dialect
    name = literal(_JOB) + journal.c.project_id
    taken = (job.c.name == name, job.c.holder != bindparam("mine"), job.c.until >= bindparam("now"))
    return select(journal.c.project_id).where(~exists().where(*taken)).limit(1)


_CLAIMABLE = Prepared(_claimable)


def can_claim(connection: Connection, now: float, holder: str) -> bool:
    """Whether there are lines that no other holder has claimed: to ask costs no transaction."""
    return _CLAIMABLE(connection, mine=holder, now=now).scalar() is not None


def claim(
    connection: Connection, now: float, holder: str, after: Mapping[str, int], seconds: float
) -> list[JournalLine]:
    """As in Ledger.claim_lines."""
    lines = pending_lines(connection, after)
    names = dict.fromkeys(line.position.project for line in lines)
    mine = {name for name in names if lease(connection, now, _JOB + name, holder, seconds)}
    return [line for line in lines if line.position.project in mine]


def release(connection: Connection, holder: str) -> None:
    """End all claims of *holder*."""
    connection.execute(delete(job).where(job.c.holder == holder, job.c.name.startswith(_JOB)))


def is_pending(connection: Connection, position: Position) -> bool:
    """As in Ledger.is_pending."""
    if (_DRAWN(connection, name=position.project).scalar() or 0) < position.sequence:
        raise StorageUnavailable("the ledger has no such line for the journal")
    found = _WAITS(connection, name=position.project, number=position.sequence)
    return found.scalar() is not None
