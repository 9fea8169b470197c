"""The columns each source was seen to have, and what changed in them from one run to the next."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of seen columns."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "stream",
        sa.Column("id", serial, primary_key=True, autoincrement=True),
        sa.Column("resource", sa.String, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("seen_at", sa.String, nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("changes", sa.JSON, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
    )
    op.create_index("stream_of_resource", "stream", ["resource", "id"])


def downgrade() -> None:
    """Drop the table of seen columns."""
    op.drop_index("stream_of_resource", "stream")
    op.drop_table("stream")
