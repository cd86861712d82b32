"""When a blob's object was not there for the first time; the few bad blobs found at once."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Expand."""
    op.add_column("blob", sa.Column("missed_at", sa.Double(), nullable=True))
    bad = sa.column("bad", sa.Boolean())
    op.create_index("ix_blob_bad", "blob", ["digest"], sqlite_where=bad, postgresql_where=bad)
