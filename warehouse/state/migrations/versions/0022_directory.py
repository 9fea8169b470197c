"""The versions of the entries of the directory."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, which is only ever added to."""
    op.create_table(
        "directory_version",
        sa.Column("entry", sa.String(200), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("content", sa.JSON),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION directory_version_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'directory_version is only ever added to'; END $$"
        )
        op.execute(
            "CREATE TRIGGER directory_version_kept BEFORE UPDATE OR DELETE ON directory_version"
            " FOR EACH ROW EXECUTE FUNCTION directory_version_refuse()"
        )
        return
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER directory_version_no_{act.lower()} BEFORE {act} ON directory_version"
            " BEGIN SELECT RAISE(ABORT, 'directory_version is only ever added to'); END"
        )


def downgrade() -> None:
    """Take it back."""
    op.drop_table("directory_version")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION directory_version_refuse()")
