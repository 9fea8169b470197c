"""What each check found: one row per run, one per run and rule."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quality_run",
        sa.Column("resource", sa.String(200), primary_key=True),
        sa.Column("run", sa.String(200), primary_key=True),
        sa.Column("department", sa.String(200), nullable=False),
        sa.Column("batch", sa.String(200), nullable=False),
        sa.Column("checked_at", sa.String(40), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.String(10), nullable=False),
        sa.Column("reason_zh", sa.Text, nullable=False),
        sa.Column("reason_en", sa.Text, nullable=False),
        sa.Column("results", sa.Text, nullable=False),
    )
    op.create_index("quality_run_checked_at", "quality_run", ["resource", "checked_at"])
    op.create_table(
        "quality_rule",
        sa.Column("resource", sa.String(200), primary_key=True),
        sa.Column("run", sa.String(200), primary_key=True),
        sa.Column("rule", sa.String(200), primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("severity", sa.String(10), nullable=False),
        sa.Column("indicator", sa.String(20), nullable=False),
        sa.Column("zh", sa.Text, nullable=False),
        sa.Column("en", sa.Text, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("evaluated", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
    )


def downgrade() -> None:
    op.drop_table("quality_rule")
    op.drop_index("quality_run_checked_at", "quality_run")
    op.drop_table("quality_run")
