"""Applications to share data, what happened to them, the versions of grants, and the count of their changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0017"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HISTORIES = ("share_application_event", "share_grant")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "share_epoch",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("changes", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO share_epoch (id, changes, epoch) VALUES (1, 0, 0)")
    _applications()
    op.create_table(
        "share_application_event",
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
        sqlite_autoincrement=True,
    )
    op.create_index("share_application_event_of", "share_application_event", ["application", "id"])
    _grants()
    for table in _HISTORIES:
        _only_added_to(table)


def downgrade() -> None:
    """Take them back."""
    for table in (*_HISTORIES, "share_application", "share_epoch"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for table in _HISTORIES:
            op.execute(f"DROP FUNCTION {table}_refuse()")


def _applications() -> None:
    op.create_table(
        "share_application",
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
        sa.Column("granted", sa.JSON),
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
        sqlite_autoincrement=True,
    )
    op.create_index("share_application_in_state", "share_application", ["state", "due"])


def _grants() -> None:
    op.create_table(
        "share_grant",
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


def _only_added_to(table: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{table} is only ever added to'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
        )
        return
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is only ever added to'); END"
        )
