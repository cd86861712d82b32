"""The ledger's tables: the same on SQLite and on PostgreSQL.

Digests are text, as spelt. Times are seconds since the epoch, UTC. Small structures are JSON text.
Names compare byte by byte, as the distribution-spec orders them.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_BYTES = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in byte order, whatever the database's own collation."""
_ID = BigInteger().with_variant(Integer(), "sqlite")


def _repository(**named: Any) -> Column[int]:
    return Column("repository_id", _ID, ForeignKey("repository.id"), nullable=False, **named)


store = Table(
    "store",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("identity", String(36), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("whole", Boolean, nullable=False),
)
"""One row: whose ledger this is."""

project = Table(
    "project",
    metadata,
    Column("id", _BYTES, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("limits", Text),
)
"""*sequence* is that of the project's last journal line; its row is locked to draw the next.

*limits* are those that an administrator set, in JSON; null where none are.
"""

repository = Table(
    "repository",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("project_id", _BYTES, nullable=False),
    Column("path", _BYTES, nullable=False),
    Column("name", _BYTES, nullable=False),
    Column("limits", Text),
    UniqueConstraint("project_id", "path"),
    UniqueConstraint("name"),
)
"""*name* is ``<project>/<path>``: what a catalogue is ordered by. *limits* as a project's."""

holding = Table(
    "holding",
    metadata,
    Column("project_id", _BYTES, primary_key=True),
    Column("digest", _BYTES, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("uses", Integer, nullable=False),
)
"""What a project pays for: digests linked in it, or of manifests in it or in its trash.

Kept by triggers on link, manifest and trash, in whatever transaction changes them. *uses* are the
rows there that have the digest.
"""

usage = Table(
    "usage",
    metadata,
    Column("project_id", _BYTES, primary_key=True),
    Column("repository_id", _ID, primary_key=True, autoincrement=False),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("bytes", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
)
"""Sums over holding (*repository_id* 0), over a repository's links and manifests, over uploads.

Kept by triggers too. The sum of all shards counts; there are several so that transactions on
PostgreSQL, which each add to that of their connection, do not wait for each other.
"""

blob = Table(
    "blob",
    metadata,
    Column("digest", _BYTES, primary_key=True),
    Column("object", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("verified_at", Double, nullable=False, server_default="0"),
    Column("bad", Boolean, nullable=False, server_default=false()),
    Column("missed_at", Double),
    Index(None, "verified_at", "digest"),
)
"""*verified_at*: when its bytes were last hashed anew. *bad*: they were not those; absent then.
*missed_at*: since when its object is not there, as far as anybody looked."""
Index("ix_blob_bad", blob.c.digest, sqlite_where=blob.c.bad, postgresql_where=blob.c.bad)

link = Table(
    "link",
    metadata,
    _repository(primary_key=True),
    Column("digest", _BYTES, ForeignKey("blob.digest"), primary_key=True),
    Column("touched_at", Double, nullable=False),
    Index(None, "digest"),
)

manifest = Table(
    "manifest",
    metadata,
    _repository(primary_key=True),
    Column("digest", _BYTES, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("subject", _BYTES),
    Column("artifact_type", _BYTES),
    Column("annotations", Text, nullable=False),
    Column("pushed_at", Double, nullable=False),
    Index(None, "repository_id", "subject"),
)

reference = Table(
    "reference",
    metadata,
    _repository(primary_key=True),
    Column("manifest_digest", _BYTES, primary_key=True),
    Column("digest", _BYTES, primary_key=True),
    Column("kind", String(8), nullable=False),
    Index(None, "digest", "repository_id"),
)
"""What a manifest names: ``blob``, ``manifest`` or ``subject``."""

tag = Table(
    "tag",
    metadata,
    _repository(primary_key=True),
    Column("name", _BYTES, primary_key=True),
    Column("digest", _BYTES, nullable=False),
    Column("version", Integer, nullable=False),
    Column("moved_at", Double, nullable=False),
    Index(None, "repository_id", "digest"),
)

upload = Table(
    "upload",
    metadata,
    Column("id", String(36), primary_key=True),
    _repository(),
    Column("principal", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("segments", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
    Column("touched_at", Double, nullable=False, index=True),
    Column("finished", _BYTES),
    Column("finished_at", Double, index=True),
    Column("reserved", BigInteger, nullable=False, server_default="0"),
)
"""*reserved*: bytes that an open session has, or has announced."""

record = Table(
    "record",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", _BYTES, nullable=False),
    Column("key", _BYTES, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("name", _BYTES),
    Column("parent_id", String(36), ForeignKey("record.id"), index=True),
    Column("size", BigInteger, nullable=False),
    Column("properties", Text, nullable=False),
    Column("visibility", String(9), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("project_id", "key"),
    Index(None, "created_at", "id"),
)

record_use = Table(
    "record_use",
    metadata,
    Column("user_id", String(36), ForeignKey("record.id"), primary_key=True),
    Column("used_id", String(36), ForeignKey("record.id"), primary_key=True, index=True),
)
"""The manifest records that an index's tag keeps alive."""

member = Table(
    "member",
    metadata,
    Column("record_id", String(36), ForeignKey("record.id"), primary_key=True),
    Column("project_id", _BYTES, primary_key=True, index=True),
    Column("status", String(8), nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("project_id", _BYTES, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("content", LargeBinary, nullable=False),
)
"""Lines on their way beside the bytes."""

trash = Table(
    "trash",
    metadata,
    Column("id", String(36), primary_key=True),
    _repository(),
    Column("digest", _BYTES, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("tags", Text, nullable=False),
    Column("deleted_at", Double, nullable=False, index=True),
    Column("whole", Boolean, nullable=False, server_default=false()),
    Index(None, "repository_id", "deleted_at"),
)
"""Manifests and tags that were deleted, and can be taken back. *whole*: with the repository."""

trash_reference = Table(
    "trash_reference",
    metadata,
    Column("trash_id", String(36), ForeignKey("trash.id"), primary_key=True),
    Column("digest", _BYTES, primary_key=True),
    Column("kind", String(8), nullable=False),
    Index(None, "digest"),
)
"""What is kept for them: as in reference, and the manifest itself."""

removal = Table(
    "removal",
    metadata,
    Column("object", Text, primary_key=True),
    Column("since", Double, nullable=False, index=True),
)
"""Objects that no blob names any more, on their way out of the store."""

job = Table(
    "job",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", String(36), nullable=False),
    Column("until", Double, nullable=False),
)
"""Who does what only one may do at a time, and until when without another word."""

outbox = Table(
    "outbox",
    metadata,
    Column("place", _ID, primary_key=True),
    Column("record_id", String(36), nullable=False, unique=True),
    Column("project_id", _BYTES, nullable=False, index=True),
    Column("kind", String(10), nullable=False),
    Column("parent_id", String(36), index=True),
    Column("version", Integer, nullable=False),
    Column("since", Double, nullable=False),
    Column("gone", Boolean, nullable=False),
    Column("begun", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("parked", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lease", String(36), nullable=False),
    Column("due_at", Double, nullable=False),
    Column("tried", Text),
)
"""Records that the image service does not have as they are. What a row says of an ended record
stands nowhere else. *begun*: somebody set out to send it. *lease* is empty where nobody has it.
*tried* (JSON) is who was to see it, each time."""

projected = Table(
    "projected",
    metadata,
    Column("record_id", String(36), primary_key=True),
    Column("parent_id", String(36), index=True),
    Column("sent_at", Double, nullable=False),
    Column("missing_since", Double),
    Column("missing_version", Integer),
    Column("visibility", String(10)),
    Column("members", Text),
)
"""What was sent under which parent. *missing_version* is the tag's when its record was missed;
*visibility* is that with which it was last sent, *members* (JSON) those when it was shared last."""

signing_key = Table(
    "signing_key",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("pem", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
)

revoked = Table(
    "revoked",
    metadata,
    Column("token", Text, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)
