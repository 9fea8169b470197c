"""Webhooks of departments, and the messages they are sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "share_webhook",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("department", sa.String(64), nullable=False),
        sa.Column("client", sa.String(200)),
        sa.Column("url", sa.String(2000), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("grant_id", sa.String(80)),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("cursor", sa.JSON),
        sa.Column("failing_since", sa.String(40)),
        sa.Column("disabled_at", sa.String(40)),
    )
    op.create_table(
        "share_webhook_message",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("webhook", sa.Integer, nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.String(40), nullable=False),
        sa.Column("answer", sa.String(64)),
        sa.Column("ended_at", sa.String(40)),
    )


def downgrade() -> None:
    """Take them back."""
    op.drop_table("share_webhook_message")
    op.drop_table("share_webhook")
