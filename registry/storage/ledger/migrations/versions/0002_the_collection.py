"""Trash, what is on its way out, who collects, and what was hashed anew."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BYTES = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Expand."""
    op.add_column("blob", sa.Column("verified_at", sa.Double(), server_default="0", nullable=False))
    op.add_column("blob", sa.Column("bad", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f("ix_blob_verified_at_digest"), "blob", ["verified_at", "digest"])
    op.create_table(
        "trash",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("repository_id", _ID, nullable=False),
        sa.Column("digest", _BYTES, nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("deleted_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repository.id"], name=op.f("fk_trash_repository_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trash")),
    )
    op.create_index(op.f("ix_trash_deleted_at"), "trash", ["deleted_at"])
    op.create_index(
        op.f("ix_trash_repository_id_deleted_at"), "trash", ["repository_id", "deleted_at"]
    )
    op.create_table(
        "trash_reference",
        sa.Column("trash_id", sa.String(36), nullable=False),
        sa.Column("digest", _BYTES, nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.ForeignKeyConstraint(
            ["trash_id"], ["trash.id"], name=op.f("fk_trash_reference_trash_id")
        ),
        sa.PrimaryKeyConstraint("trash_id", "digest", name=op.f("pk_trash_reference")),
    )
    op.create_index(op.f("ix_trash_reference_digest"), "trash_reference", ["digest"])
    op.create_table(
        "removal",
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("object", name=op.f("pk_removal")),
    )
    op.create_index(op.f("ix_removal_since"), "removal", ["since"])
    op.create_table(
        "job",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.String(36), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job")),
    )
