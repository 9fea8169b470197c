"""The tables of people's accounts, invitations, sessions, log-ins under way, counted attempts, and what happened."""

from __future__ import annotations

import sqlalchemy as sa

from sharing.keys import METADATA

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Instants are Unix seconds, but for `at` of events, which people read.
ACCOUNT = sa.Table(
    "person_account",
    METADATA,
    sa.Column("person", sa.String(64), primary_key=True),
    sa.Column("secret", sa.String(200)),
    sa.Column("changed", sa.Float),
    sa.Column("invitation", sa.String(64), unique=True),
    sa.Column("invited_until", sa.Float),
    sa.Column("locked", sa.Float),
)
SESSION = sa.Table(
    "person_session",
    METADATA,
    sa.Column("number", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("person", sa.String(64), nullable=False, index=True),
    sa.Column("way", sa.String(16), nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("standing", sa.String(64), nullable=False),
    sa.Column("begun", sa.Float, nullable=False),
    sa.Column("seen", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sqlite_autoincrement=True,
)
FLOW = sa.Table(
    "person_flow",
    METADATA,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("until", sa.Float, nullable=False),
)
ATTEMPT = sa.Table(
    "login_attempt",
    METADATA,
    sa.Column("place", sa.String(80), primary_key=True),
    sa.Column("told", sa.String(80)),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("last", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
)
EVENT = sa.Table(
    "person_event",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("person", sa.String(64), index=True),
    sa.Column("event", sa.String(32), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("address", sa.String(64)),
    sa.Column("why", sa.Text),
    sqlite_autoincrement=True,
)
