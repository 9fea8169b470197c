"""Who took releases back, to which one, and why."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "rollback",
        sa.Column("release", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("back_to", sa.BigInteger, nullable=False),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("rollback")
