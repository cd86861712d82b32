"""What went with its whole repository comes back with it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Expand."""
    op.add_column(
        "trash", sa.Column("whole", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
