"""Profiles of the fields of checked batches, one per resource and run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; profiles are made when they are asked for."""
    op.create_table(
        "quality_profile",
        sa.Column("resource", sa.String(200), primary_key=True),
        sa.Column("run", sa.String(200), primary_key=True),
        sa.Column("made_at", sa.String(40), nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
    )
