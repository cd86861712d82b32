"""Who was to see a record at each attempt to send it that may have broken off."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Expand."""
    op.add_column("outbox", sa.Column("tried", sa.Text(), nullable=True))
