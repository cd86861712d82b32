"""Records on their way to the image service, and what is known to be there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_BYTES = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Expand."""
    op.create_table(
        "outbox",
        sa.Column("place", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("project_id", _BYTES, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("parent_id", sa.String(36), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("parked", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lease", sa.String(36), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_outbox")),
        sa.UniqueConstraint("record_id", name=op.f("uq_outbox_record_id")),
    )
    op.create_index(op.f("ix_outbox_project_id"), "outbox", ["project_id"])
    op.create_index(op.f("ix_outbox_parent_id"), "outbox", ["parent_id"])
    op.create_table(
        "projected",
        sa.Column("record_id", sa.String(36), nullable=False),
        sa.Column("parent_id", sa.String(36), nullable=True),
        sa.Column("sent_at", sa.Double(), nullable=False),
        sa.Column("missing_since", sa.Double(), nullable=True),
        sa.Column("missing_version", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_projected")),
    )
    op.create_index(op.f("ix_projected_parent_id"), "projected", ["parent_id"])
