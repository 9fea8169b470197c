"""The tables of work orders; migrations/versions/0006_orders.py makes them."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# `open_key` names resource and rule until the order is closed: there is one such order at a time.
ORDER = sa.Table(
    "quality_order",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("resource", sa.String(200), nullable=False),
    sa.Column("department", sa.String(200), nullable=False),
    sa.Column("rule", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("severity", sa.String(10), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("zh", sa.Text, nullable=False),
    sa.Column("en", sa.Text, nullable=False),
    sa.Column("opened_at", sa.String(40), nullable=False),
    sa.Column("due", sa.String(10), nullable=False),
    sa.Column("days", sa.Integer, nullable=False),
    sa.Column("answer_until", sa.String(10)),
    sa.Column("waived_until", sa.String(10)),
    sa.Column("assignee", sa.String(200), nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("recurrences", sa.BigInteger, nullable=False),
    sa.Column("first_run", sa.String(200), nullable=False),
    sa.Column("first_batch", sa.String(200), nullable=False),
    sa.Column("last_run", sa.String(200), nullable=False),
    sa.Column("last_batch", sa.String(200), nullable=False),
    sa.Column("last_seen_at", sa.String(40), nullable=False),
    sa.Column("proven_by", sa.String(200)),
    sa.Column("closed_at", sa.String(40)),
    sa.Column("escalated", sa.Integer, nullable=False),
    sa.Column("previous", sa.BigInteger),
    sa.Column("open_key", sa.String(401)),
    sa.UniqueConstraint("open_key", name="quality_order_once"),
    sa.Index("quality_order_of_resource", "resource", "rule"),
    sa.Index("quality_order_in_state", "state", "due"),
    sqlite_autoincrement=True,
)

# Only ever added to: the database itself refuses changes.
STEP = sa.Table(
    "quality_order_step",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("order", sa.BigInteger, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("before", sa.String(10)),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("run", sa.String(200)),
    sa.Index("quality_order_step_of_order", "order", "id"),
    sqlite_autoincrement=True,
)

# The checks whose findings have become orders, and what they had found (`digest`).
APPLIED = sa.Table(
    "quality_order_run",
    METADATA,
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("run", sa.String(200), primary_key=True),
    sa.Column("checked_at", sa.String(40), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
