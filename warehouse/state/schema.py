"""The state tables as SQLAlchemy sees them; migrations/versions/0001_state.py and 0005_deletes.py make them."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()
_COUNT = sa.BigInteger()
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("resource", sa.String, nullable=False),
    sa.Column("batch", sa.String),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("finished_at", sa.String),
    sa.Column("pulled", _COUNT),
    sa.Column("landed", _COUNT),
    sa.Column("quarantined", _COUNT),
    sa.Column("superseded", _COUNT),
    sa.Column("deleted", _COUNT),
    sa.Column("decision", sa.String),
    sa.Column("error", sa.JSON(none_as_null=True)),
    sa.Column("trigger", sa.String, nullable=False),
    sa.Index("run_of_resource", "resource", "started_at"),
)

MANIFEST = sa.Table(
    "manifest",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("resource", sa.String, nullable=False),
    sa.Column("batch", sa.String, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("rows", _COUNT, nullable=False),
    sa.Column("bytes", _COUNT, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),
    sa.Column("columns", sa.JSON, nullable=False),
    sa.Column("position", sa.JSON, nullable=False),
    sa.Column("pulled_at", sa.String, nullable=False),
    sa.UniqueConstraint("resource", "batch", name="manifest_once"),
    sa.Index("manifest_of_run", "resource", "run"),
)

# The batches a run pulled, in order, those of earlier runs that came again among them.
PIECE = sa.Table(
    "piece",
    METADATA,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("resource", sa.String, nullable=False),
    sa.Column("batch", sa.String, nullable=False),
)

POSITION = sa.Table(
    "position",
    METADATA,
    sa.Column("resource", sa.String, primary_key=True),
    sa.Column("cursor", sa.JSON, nullable=False),
    sa.Column("updated_at", sa.String, nullable=False),
)

RELEASE = sa.Table(
    "release",
    METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("created_at", sa.String, nullable=False),
    sa.Column("run", sa.String, nullable=False),
    sa.Column("tables", sa.JSON, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("changed", sa.String, nullable=False),
    sa.Column("batch", sa.String),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.UniqueConstraint("run", "kind", "changed", "batch", name="release_once"),
    sqlite_autoincrement=True,
)

PUBLICATION = sa.Table(
    "publication",
    METADATA,
    sa.Column("library", sa.String, primary_key=True),
    sa.Column("generation", _COUNT, primary_key=True, autoincrement=False),
    sa.Column("release", _COUNT, nullable=False),
    sa.Column("rows", _COUNT, nullable=False),
    sa.Column("published_at", sa.String, nullable=False),
)
