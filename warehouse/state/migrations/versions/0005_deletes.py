"""Deleted rows are counted, a run may land several batches, and which batches it pulled is remembered."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ONE_RELEASE = "release_once"
_SERIAL = {"sqlite_autoincrement": True}


def upgrade() -> None:
    """Add the count and the table; a release is one per run, kind, tables and batch."""
    op.add_column("run", sa.Column("deleted", sa.BigInteger))
    op.create_table(
        "piece",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("resource", sa.String, nullable=False),
        sa.Column("batch", sa.String, nullable=False),
    )
    op.execute(
        "INSERT INTO piece (run, place, resource, batch) SELECT run,"
        " row_number() OVER (PARTITION BY run ORDER BY id) - 1, resource, batch FROM manifest"
    )
    op.execute(
        "INSERT INTO piece (run, place, resource, batch) SELECT run_id, 0, resource, batch FROM run"
        " WHERE batch IS NOT NULL AND run_id NOT IN (SELECT run FROM piece)"
    )
    with op.batch_alter_table("release", table_kwargs=_SERIAL) as release:
        release.drop_constraint(_ONE_RELEASE, type_="unique")
        release.create_unique_constraint(_ONE_RELEASE, ["run", "kind", "changed", "batch"])


def downgrade() -> None:
    """Take both back."""
    with op.batch_alter_table("release", table_kwargs=_SERIAL) as release:
        release.drop_constraint(_ONE_RELEASE, type_="unique")
        release.create_unique_constraint(_ONE_RELEASE, ["run", "kind", "changed"])
    op.drop_table("piece")
    op.drop_column("run", "deleted")
