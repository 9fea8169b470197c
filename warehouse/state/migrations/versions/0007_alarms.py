"""Alarms, the messages they became, and what is silenced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alarm",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("condition", sa.JSON, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("resource", sa.String(200), nullable=False),
        sa.Column("opened_at", sa.String(40), nullable=False),
        sa.Column("ended_at", sa.String(40)),
        sa.Column("open_key", sa.String(250)),
        sa.UniqueConstraint("open_key", name="alarm_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("alarm_opened_at", "alarm", ["opened_at"])
    op.create_table(
        "alarm_message",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("alarm", sa.BigInteger, nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("what", sa.String(10), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("delivery", sa.String(40), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.String(40), nullable=False),
        sa.Column("sent_at", sa.String(40)),
        sa.Column("error", sa.String(40)),
        sa.UniqueConstraint("alarm", "person", "channel", "what", "number", name="alarm_message_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("alarm_message_waiting", "alarm_message", ["state", "next_at"])
    op.create_table(
        "alarm_silence",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(20)),
        sa.Column("resource", sa.String(200)),
        sa.Column("person", sa.String(64)),
        sa.Column("until", sa.String(40), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("made_at", sa.String(40), nullable=False),
        sa.Column("lifted_at", sa.String(40)),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Take them back."""
    for table in ("alarm_silence", "alarm_message", "alarm"):
        op.drop_table(table)
