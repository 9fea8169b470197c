"""What each merge of a library read, decided by and counted, and what people said about its keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "library_merge",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("library", sa.String(200), nullable=False),
        sa.Column("run", sa.String(200), nullable=False, unique=True),
        sa.Column("snapshot", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("rules", sa.JSON, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("told", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("library_merge_of_snapshot", "library_merge", ["library", "snapshot"])
    op.create_table(
        "library_word",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("library", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("about", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("library_word_of_library", "library_word", ["library", "id"])


def downgrade() -> None:
    """Take them back."""
    op.drop_table("library_word")
    op.drop_table("library_merge")
