"""Runs, manifests, positions, releases and publications."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _pulls()
    _releases()


def _pulls() -> None:
    op.create_table(
        "run",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("resource", sa.String, nullable=False),
        sa.Column("batch", sa.String),
        sa.Column("step", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("started_at", sa.String, nullable=False),
        sa.Column("finished_at", sa.String),
        sa.Column("pulled", sa.BigInteger),
        sa.Column("landed", sa.BigInteger),
        sa.Column("quarantined", sa.BigInteger),
        sa.Column("superseded", sa.BigInteger),
        sa.Column("decision", sa.String),
        sa.Column("error", sa.JSON),
        sa.Column("trigger", sa.String, nullable=False),
    )
    op.create_index("run_of_resource", "run", ["resource", "started_at"])
    op.create_table(
        "manifest",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("resource", sa.String, nullable=False),
        sa.Column("batch", sa.String, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("position", sa.JSON, nullable=False),
        sa.Column("pulled_at", sa.String, nullable=False),
        sa.UniqueConstraint("resource", "batch", name="manifest_once"),
    )
    op.create_index("manifest_of_run", "manifest", ["resource", "run"])
    op.create_table(
        "position",
        sa.Column("resource", sa.String, primary_key=True),
        sa.Column("cursor", sa.JSON, nullable=False),
        sa.Column("updated_at", sa.String, nullable=False),
    )


def _releases() -> None:
    op.create_table(
        "release",
        sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("tables", sa.JSON, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("changed", sa.String, nullable=False),
        sa.Column("batch", sa.String),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.UniqueConstraint("run", "kind", "changed", name="release_once"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "publication",
        sa.Column("library", sa.String, primary_key=True),
        sa.Column("generation", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("release", sa.BigInteger, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("published_at", sa.String, nullable=False),
    )


def downgrade() -> None:
    for table in ("publication", "release", "position", "manifest", "run"):
        op.drop_table(table)
