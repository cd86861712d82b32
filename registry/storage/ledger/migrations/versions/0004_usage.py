"""What projects use, counted by triggers; limits; what uploads have reserved."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_BYTES = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_HOLD = """
INSERT INTO holding (project_id, digest, size, uses)
SELECT r.project_id, NEW.digest, {size}, 1 FROM repository AS r WHERE r.id = NEW.repository_id
ON CONFLICT (project_id, digest) DO UPDATE SET uses = holding.uses + 1;
"""
_OWNER = "(SELECT r.project_id FROM repository AS r WHERE r.id = OLD.repository_id)"
_LET_GO = """
UPDATE holding SET uses = uses - 1 WHERE project_id = {owner} AND digest = OLD.digest;
DELETE FROM holding WHERE project_id = {owner} AND digest = OLD.digest AND uses = 0;
""".format(owner=_OWNER)  # noqa: UP032 - as the other statements here are written
_ADD = """
INSERT INTO usage (project_id, repository_id, shard, bytes, reserved)
SELECT r.project_id, {repository}, {shard}, {bytes}, {reserved}
FROM repository AS r WHERE r.id = {row}.repository_id
ON CONFLICT (project_id, repository_id, shard) DO UPDATE
SET bytes = usage.bytes + excluded.bytes, reserved = usage.reserved + excluded.reserved;
"""
_PAY = """
INSERT INTO usage (project_id, repository_id, shard, bytes, reserved)
VALUES ({row}.project_id, 0, {shard}, {bytes}, 0)
ON CONFLICT (project_id, repository_id, shard) DO UPDATE
SET bytes = usage.bytes + excluded.bytes;
"""
_BLOB = "(SELECT b.size FROM blob AS b WHERE b.digest = {row}.digest)"
_MANIFEST = "length({row}.content)"


def _count(row: str, size: str) -> str:
    """A repository's own sum, with a row of it, or without."""
    sign = "" if row == "NEW" else "-"
    told = {"row": row, "bytes": sign + size.format(row=row), "repository": "r.id", "reserved": "0"}
    return _ADD.format(shard="{shard}", **told)


def _reserve(row: str, reserved: str) -> str:
    """What is reserved in a repository, and in its project."""
    told = {"row": row, "bytes": "0", "reserved": reserved, "shard": "{shard}"}
    return "".join(_ADD.format(repository=each, **told) for each in ("0", "r.id"))


_TRIGGERS = {
    "link_added": (
        "AFTER INSERT ON link",
        _HOLD.format(size=_BLOB.format(row="NEW")) + _count("NEW", _BLOB),
    ),
    "link_removed": ("AFTER DELETE ON link", _LET_GO + _count("OLD", _BLOB)),
    "manifest_added": (
        "AFTER INSERT ON manifest",
        _HOLD.format(size=_MANIFEST.format(row="NEW")) + _count("NEW", _MANIFEST),
    ),
    "manifest_removed": ("AFTER DELETE ON manifest", _LET_GO + _count("OLD", _MANIFEST)),
    "trash_added": ("AFTER INSERT ON trash", _HOLD.format(size=_MANIFEST.format(row="NEW"))),
    "trash_removed": ("AFTER DELETE ON trash", _LET_GO),
    "holding_added": (
        "AFTER INSERT ON holding",
        _PAY.format(row="NEW", bytes="NEW.size", shard="{shard}"),
    ),
    "holding_removed": (
        "AFTER DELETE ON holding",
        _PAY.format(row="OLD", bytes="-OLD.size", shard="{shard}"),
    ),
    "upload_changed": (
        "AFTER UPDATE OF reserved ON upload|NEW.reserved <> OLD.reserved",
        _reserve("NEW", "NEW.reserved - OLD.reserved"),
    ),
    "upload_removed": (
        "AFTER DELETE ON upload|OLD.reserved <> 0",
        _reserve("OLD", "-OLD.reserved"),
    ),
    "repository_removed": (
        "AFTER DELETE ON repository",
        "DELETE FROM usage WHERE project_id = OLD.project_id AND repository_id = OLD.id;",
    ),
}
_FILL = (
    "UPDATE upload SET reserved = position WHERE finished IS NULL",
    """INSERT INTO holding (project_id, digest, size, uses)
    SELECT r.project_id, h.digest, max(h.size), count(*)
    FROM (
        SELECT l.repository_id, l.digest, b.size
        FROM link AS l JOIN blob AS b ON b.digest = l.digest
        UNION ALL SELECT repository_id, digest, length(content) FROM manifest
        UNION ALL SELECT repository_id, digest, length(content) FROM trash
    ) AS h JOIN repository AS r ON r.id = h.repository_id
    GROUP BY r.project_id, h.digest""",
    """INSERT INTO usage (project_id, repository_id, shard, bytes, reserved)
    SELECT r.project_id, r.id, 0, sum(h.size), sum(h.reserved)
    FROM (
        SELECT l.repository_id, b.size, 0 AS reserved
        FROM link AS l JOIN blob AS b ON b.digest = l.digest
        UNION ALL SELECT repository_id, length(content), 0 FROM manifest
        UNION ALL SELECT repository_id, 0, reserved FROM upload
    ) AS h JOIN repository AS r ON r.id = h.repository_id
    GROUP BY r.project_id, r.id""",
    """INSERT INTO usage (project_id, repository_id, shard, bytes, reserved)
    SELECT s.project_id, 0, 0, sum(s.bytes), sum(s.reserved)
    FROM (
        SELECT project_id, size AS bytes, 0 AS reserved FROM holding
        UNION ALL SELECT project_id, 0, reserved FROM usage
    ) AS s GROUP BY s.project_id""",
)
"""The same of what is there already."""


def upgrade() -> None:
    """Expand."""
    op.add_column("project", sa.Column("limits", sa.Text()))
    op.add_column("repository", sa.Column("limits", sa.Text()))
    op.add_column(
        "upload", sa.Column("reserved", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.create_table(
        "holding",
        sa.Column("project_id", _BYTES, nullable=False),
        sa.Column("digest", _BYTES, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "digest", name=op.f("pk_holding")),
    )
    op.create_table(
        "usage",
        sa.Column("project_id", _BYTES, nullable=False),
        sa.Column("repository_id", _ID, autoincrement=False, nullable=False),
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "repository_id", "shard", name=op.f("pk_usage")),
    )
    for statement in _FILL:
        op.execute(sa.text(statement))
    make = _on_postgresql if op.get_bind().dialect.name == "postgresql" else _on_sqlite
    for name, (event, body) in _TRIGGERS.items():
        make(name, *event.partition("|")[::2], body)


def _on_sqlite(name: str, event: str, when: str, body: str) -> None:
    condition = f"WHEN {when}" if when else ""
    told = body.replace("{shard}", "0")
    op.execute(f"CREATE TRIGGER count_{name} {event} {condition} BEGIN {told} END")


def _on_postgresql(name: str, event: str, when: str, body: str) -> None:
    told = body.replace("{shard}", "pg_backend_pid() % 16")
    op.execute(
        f"CREATE FUNCTION count_{name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$count$ BEGIN {told} RETURN NULL; END $count$"
    )
    condition = f"WHEN ({when})" if when else ""
    op.execute(
        f"CREATE TRIGGER count_{name} {event} FOR EACH ROW {condition} "
        f"EXECUTE FUNCTION count_{name}()"
    )
