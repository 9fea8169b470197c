"""The tables that scores are kept in; migrations/versions/0008_scores.py makes them."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

# What each check was measured to, as JSON: [[about, name, measure, version, met, base, errors], …].
SCORED = sa.Table(
    "quality_scored",
    METADATA,
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("run", sa.String(200), primary_key=True),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("department", sa.String(200), nullable=False),
    sa.Column("library", sa.String(200), nullable=False),
    sa.Column("measures", sa.Text, nullable=False),
    sa.Index("quality_scored_day", "resource", "day"),
)

# The same added up by day and by month, in the transaction that records the check; what is asked for together lies
# together. `about` is all, field or rule of a resource; department and library are all of their resources, whose rows
# have no resource and their own name.
SUMS = sa.Table(
    "quality_sums",
    METADATA,
    sa.Column("about", sa.String(10), primary_key=True),
    sa.Column("resource", sa.String(200), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("measure", sa.String(40), primary_key=True),
    sa.Column("version", sa.String(16), primary_key=True),
    sa.Column("period", sa.String(10), primary_key=True),
    sa.Column("department", sa.String(200), nullable=False),
    sa.Column("library", sa.String(200), nullable=False),
    sa.Column("met", sa.BigInteger, nullable=False),
    sa.Column("base", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("runs", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Every definition a rule has had, by its version.
DEFINITION = sa.Table(
    "quality_definition",
    METADATA,
    sa.Column("version", sa.String(16), primary_key=True),
    sa.Column("rule", sa.String(200), primary_key=True),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("first_seen", sa.String(40), nullable=False),
)
