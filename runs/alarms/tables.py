"""The tables of alarms, their messages and silences; migrations/versions/0007_alarms.py makes them."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# `open_key` names kind, level and resource while the alarm lasts: there is one such alarm at a time.
ALARM = sa.Table(
    "alarm",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("condition", sa.JSON, nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("resource", sa.String(200), nullable=False),
    sa.Column("opened_at", sa.String(40), nullable=False),
    sa.Column("ended_at", sa.String(40)),
    sa.Column("open_key", sa.String(250)),
    sa.UniqueConstraint("open_key", name="alarm_once"),
    sa.Index("alarm_opened_at", "opened_at"),
    sqlite_autoincrement=True,
)

# Written in the transaction that sees the alarm, sent afterwards: a message is never lost, but may come twice.
MESSAGE = sa.Table(
    "alarm_message",
    METADATA,
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
    sa.Index("alarm_message_waiting", "state", "next_at"),
    sqlite_autoincrement=True,
)

SILENCE = sa.Table(
    "alarm_silence",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(20)),
    sa.Column("resource", sa.String(200)),
    sa.Column("person", sa.String(64)),
    sa.Column("until", sa.String(40), nullable=False),
    sa.Column("who", sa.String(64), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("made_at", sa.String(40), nullable=False),
    sa.Column("lifted_at", sa.String(40)),
    sa.Column("lifted_by", sa.String(64)),  # added by 0012_lifted.py
    sqlite_autoincrement=True,
)
