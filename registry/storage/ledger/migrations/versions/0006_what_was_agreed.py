"""Who saw a record when it was last sent: so that a change out there is told from one here."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Expand."""
    op.add_column("projected", sa.Column("visibility", sa.String(10), nullable=True))
    op.add_column("projected", sa.Column("members", sa.Text(), nullable=True))
