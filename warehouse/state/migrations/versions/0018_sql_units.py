"""What each query in SQL was charged of its grants: the same whenever it is counted again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what was asked before has no number in it and is counted by its rows."""
    op.add_column("sql_query", sa.Column("units", sa.BigInteger))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("sql_query") as table:
        table.drop_column("units")
