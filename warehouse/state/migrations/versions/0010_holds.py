"""What checks saw of a run, what data managers decided about held batches, and rows that came back from quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEPT = ("quality_decision", "quality_return")


def upgrade() -> None:
    """Make the tables; decisions and returns are only ever added to."""
    op.create_table(
        "quality_observed",
        sa.Column("resource", sa.String(200), primary_key=True),
        sa.Column("run", sa.String(200), primary_key=True),
        sa.Column("observed", sa.Text, nullable=False),
    )
    op.create_table(
        "quality_decision",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("resource", sa.String(200), nullable=False),
        sa.Column("batch", sa.String(200), nullable=False),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.String(10), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("held_zh", sa.Text, nullable=False),
        sa.Column("held_en", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("quality_decision_of_batch", "quality_decision", ["resource", "batch", "id"])
    op.create_table(
        "quality_return",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("resource", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("row", sa.BigInteger, nullable=False),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.JSON, nullable=False),
        sa.Column("changed", sa.JSON, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("quality_return_of_row", "quality_return", ["resource", "origin", "row"])
    op.create_index("quality_return_of_run", "quality_return", ["run"])
    for table in _KEPT:
        _only_added_to(table)


def downgrade() -> None:
    """Take them back."""
    for table in (*_KEPT, "quality_observed"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        for table in _KEPT:
            op.execute(f"DROP FUNCTION {table}_refuse()")


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
