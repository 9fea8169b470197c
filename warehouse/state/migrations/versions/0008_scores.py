"""The measures of each check, the same added up by day and by month, and every definition a rule has had."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; scores begin with the next check."""
    op.create_table(
        "quality_scored",
        sa.Column("resource", sa.String(200), primary_key=True),
        sa.Column("run", sa.String(200), primary_key=True),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("department", sa.String(200), nullable=False),
        sa.Column("library", sa.String(200), nullable=False),
        sa.Column("measures", sa.Text, nullable=False),
    )
    op.create_index("quality_scored_day", "quality_scored", ["resource", "day"])
    op.create_table(
        "quality_sums",
        sa.Column("about", sa.String(10), primary_key=True),
        sa.Column("resource", sa.String(200), primary_key=True),
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("measure", sa.String(40), primary_key=True),
        sa.Column("version", sa.String(16), primary_key=True),
        sa.Column("period", sa.String(10), primary_key=True),
        sa.Column("department", sa.String(200), nullable=False),
        sa.Column("library", sa.String(200), nullable=False),
        sa.Column("met", sa.BigInteger, nullable=False),
        sa.Column("base", sa.BigInteger, nullable=False),
        sa.Column("errors", sa.BigInteger, nullable=False),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quality_definition",
        sa.Column("version", sa.String(16), primary_key=True),
        sa.Column("rule", sa.String(200), primary_key=True),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("first_seen", sa.String(40), nullable=False),
    )


def downgrade() -> None:
    """Take them back."""
    for table in ("quality_definition", "quality_sums", "quality_scored"):
        op.drop_table(table)
