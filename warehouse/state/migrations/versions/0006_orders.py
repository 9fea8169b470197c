"""Work orders, the steps they take, and which checks have been turned into orders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HISTORY = "quality_order_step"


def upgrade() -> None:
    """Make the tables; checks of before this release make no orders."""
    _orders()
    op.create_table(
        _HISTORY,
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("order", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("event", sa.String(20), nullable=False),
        sa.Column("before", sa.String(10)),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("run", sa.String(200)),
        sqlite_autoincrement=True,
    )
    op.create_index("quality_order_step_of_order", _HISTORY, ["order", "id"])
    _only_added_to(_HISTORY)
    op.create_table(
        "quality_order_run",
        sa.Column("resource", sa.String(200), primary_key=True),
        sa.Column("run", sa.String(200), primary_key=True),
        sa.Column("checked_at", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    op.execute(
        "INSERT INTO quality_order_run (resource, run, checked_at, digest)"
        " SELECT resource, run, checked_at, '' FROM quality_run"
    )


def downgrade() -> None:
    """Take them back."""
    op.drop_table("quality_order_run")
    op.drop_table(_HISTORY)
    op.drop_table("quality_order")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION quality_order_step_refuse()")


def _orders() -> None:
    op.create_table(
        "quality_order",
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
        sqlite_autoincrement=True,
    )
    op.create_index("quality_order_of_resource", "quality_order", ["resource", "rule"])
    op.create_index("quality_order_in_state", "quality_order", ["state", "due"])


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
