"""The table of rows that came back from quarantine; migrations/versions/0010_holds.py makes it."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

# Only ever added to. A row counts once the run that brings it back has its batch (a manifest of that run).
RETURN = sa.Table(
    "quality_return",
    METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
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
    sa.Index("quality_return_of_row", "resource", "origin", "row"),
    sa.Index("quality_return_of_run", "run"),
    sqlite_autoincrement=True,
)
