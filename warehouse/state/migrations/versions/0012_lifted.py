"""Who ended a silence of alarms before its time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of silences that were lifted so far nobody knows."""
    op.add_column("alarm_silence", sa.Column("lifted_by", sa.String(64)))


def downgrade() -> None:
    """Take it out again."""
    op.drop_column("alarm_silence", "lifted_by")
