"""The tables of applications and grants; migrations/versions/0019_applications.py makes them."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# One row, which every change of applications or grants writes first: so none overlaps another, in any process.
# `epoch` counts the changes of grants; whoever answers calls compares it with the one they know.
EPOCH = sa.Table(
    "share_epoch",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("changes", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)

APPLICATION = sa.Table(
    "share_application",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("department", sa.String(200), nullable=False),
    sa.Column("client", sa.String(200)),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("provider", sa.String(200), nullable=False),
    sa.Column("sharing", sa.String(1), nullable=False),
    sa.Column("matter_code", sa.String(64), nullable=False),
    sa.Column("matter", sa.String(200), nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("asked", sa.JSON, nullable=False),
    sa.Column("granted", sa.JSON(none_as_null=True)),
    sa.Column("renews", sa.String(80)),
    sa.Column("grant", sa.String(80)),
    sa.Column("state", sa.String(15), nullable=False),
    sa.Column("filed_at", sa.String(40), nullable=False),
    sa.Column("due", sa.String(10)),
    sa.Column("left", sa.Integer),
    sa.Column("supplements", sa.Integer, nullable=False),
    sa.Column("extension", sa.Integer),
    sa.Column("extended", sa.Boolean, nullable=False),
    sa.Column("disputed_from", sa.String(15)),
    sa.Column("escalated", sa.Integer, nullable=False),
    sa.Index("share_application_in_state", "state", "due"),
    sqlite_autoincrement=True,
)

# Only ever added to: the database itself refuses changes.
EVENT = sa.Table(
    "share_application_event",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("application", sa.BigInteger, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("before", sa.String(15)),
    sa.Column("state", sa.String(15), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("department", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("basis", sa.Text),
    sa.Column("due", sa.String(10)),
    sa.Index("share_application_event_of", "application", "id"),
    sqlite_autoincrement=True,
)

# Each change of a grant is another version, the highest counts; only ever added to as well.
GRANT = sa.Table(
    "share_grant",
    METADATA,
    sa.Column("id", sa.String(80), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("application", sa.BigInteger, nullable=False),
    sa.Column("department", sa.String(200), nullable=False),
    sa.Column("client", sa.String(200)),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("provider", sa.String(200), nullable=False),
    sa.Column("matter", sa.Text, nullable=False),
    sa.Column("basis", sa.Text, nullable=False),
    sa.Column("terms", sa.JSON, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
)
