"""What was deleted, for as long as it can be taken back."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, select, update

from registry.storage.ledger.prepared import Prepared, chunks, columns_of, insert_into
from registry.storage.ledger.schema import manifest, reference, trash, trash_reference

_HERE: BindParameter[Any] = bindparam("here")
_DIGEST: BindParameter[Any] = bindparam("held")
_MANIFEST = Prepared(
    lambda _: select(manifest.c.media_type, manifest.c.content).where(
        manifest.c.repository_id == _HERE, manifest.c.digest == _DIGEST
    )
)
_REFERENCES = Prepared(
    lambda _: select(reference.c.digest, reference.c.kind).where(
        reference.c.repository_id == _HERE, reference.c.manifest_digest == _DIGEST
    )
)
_ADD = Prepared(lambda dialect: insert_into(dialect, trash), columns_of(trash))
_ADD_REFERENCE = Prepared(
    lambda dialect: insert_into(dialect, trash_reference), columns_of(trash_reference)
)


def throw_away(
    connection: Connection,
    here: int,
    digest: str,
    tags: Sequence[str],
    now: float,
    *,
    whole: bool = False,
) -> None:
    """Keep a manifest that loses *tags*, or goes itself, with all that it names."""
    found = _MANIFEST(connection, here=here, held=digest).one_or_none()
    if found is None:
        return
    entry = str(uuid.uuid4())
    _ADD(
        connection,
        id=entry,
        repository_id=here,
        digest=digest,
        media_type=found.media_type,
        content=found.content,
        tags=json.dumps(list(tags)),
        deleted_at=now,
        whole=whole,
    )
    kept = {digest: "manifest"}
    kept |= {row.digest: row.kind for row in _REFERENCES(connection, here=here, held=digest)}
    _ADD_REFERENCE.many(
        connection,
        [{"trash_id": entry, "digest": each, "kind": kind} for each, kind in kept.items()],
    )


def take_out(connection: Connection, here: int, digest: str, tags: Sequence[str]) -> None:
    """A manifest was put back under *tags*: its entries lose these, and end without any."""
    mine = (trash.c.repository_id == here, trash.c.digest == digest)
    ended = []
    for row in connection.execute(select(trash.c.id, trash.c.tags).where(*mine)).all():
        left = [each for each in json.loads(row.tags) if each not in tags]
        if left:
            kept = update(trash).where(trash.c.id == row.id)
            connection.execute(kept.values(tags=json.dumps(left)))
        else:
            ended.append(row.id)
    drop_trash(connection, ended)


def drop_trash(connection: Connection, entries: Sequence[str]) -> None:
    """Forget entries of the trash."""
    for some in chunks(entries):
        connection.execute(delete(trash_reference).where(trash_reference.c.trash_id.in_(some)))
        connection.execute(delete(trash).where(trash.c.id.in_(some)))
