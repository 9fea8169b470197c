"""Accounts and sessions of people, log-ins under way, counted attempts, and what happened to accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEPT = "person_event is only ever added to"


def upgrade() -> None:
    """Make the tables; instants are Unix seconds, but for those of events."""
    op.create_table(
        "person_account",
        sa.Column("person", sa.String(64), primary_key=True),
        sa.Column("secret", sa.String(200)),
        sa.Column("changed", sa.Float),
        sa.Column("invitation", sa.String(64), unique=True),
        sa.Column("invited_until", sa.Float),
        sa.Column("locked", sa.Float),
    )
    op.create_table(
        "person_session",
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
    op.create_table(
        "person_flow", sa.Column("hash", sa.String(64), primary_key=True), sa.Column("until", sa.Float, nullable=False)
    )
    op.create_table(
        "login_attempt",
        sa.Column("place", sa.String(80), primary_key=True),
        sa.Column("told", sa.String(80)),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("last", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )
    op.create_table(
        "person_event",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("person", sa.String(64), index=True),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("address", sa.String(64)),
        sa.Column("why", sa.Text),
        sqlite_autoincrement=True,
    )
    _keep()


def _keep() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION person_event_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{_KEPT}'; END $$"
        )
        op.execute(
            "CREATE TRIGGER person_event_kept BEFORE UPDATE OR DELETE ON person_event"
            " FOR EACH ROW EXECUTE FUNCTION person_event_refuse()"
        )
        return
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER person_event_no_{act.lower()} BEFORE {act} ON person_event"
            f" BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
        )


def downgrade() -> None:
    """Take them back."""
    for table in ("person_event", "login_attempt", "person_flow", "person_session", "person_account"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION person_event_refuse()")
