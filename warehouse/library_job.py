"""What a merge of a library is given, how its inputs are read, and what it hands to the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from schemas.standard import Standard
from schemas.values import Json
from warehouse import crosswalk
from warehouse.crosswalk import Contribution
from warehouse.sql import quote
from warehouse.survivors import DEPARTMENTS, SOURCES
from warehouse.tables import Staged, Tables
from warehouse.words import Words

BASE = "base"  # namespace of merged libraries
EVENTS = "_events"  # temporary table: records that came, changed or went, each as it was before
KEY, AT, EVENT = "_key", "_at", "_event"  # columns of base.<library>_history


@dataclass(frozen=True, slots=True)
class Job:
    """One merge: a library by its standard, from these contributions at these snapshots, at that instant."""

    library: str
    standard: Standard
    contributions: tuple[Contribution, ...]
    inputs: Mapping[str, int]
    words: Words
    at: str

    @property
    def base(self) -> str:
        """The table with one row per firm or person."""
        return f"{BASE}.{self.library}"

    @property
    def xref(self) -> str:
        """The table of rows without a key of their own: which key they belong to, or why to none."""
        return f"{self.base}_xref"

    @property
    def said(self) -> str:
        """The table of when the newest rows of each department landed."""
        return f"{self.base}_attr"

    @property
    def history(self) -> str:
        """The table of what records were before they changed or went, and when records came."""
        return f"{self.base}_history"

    @property
    def key(self) -> str:
        """The key field."""
        return crosswalk.key_of(self.standard)

    @property
    def record(self) -> list[str]:
        """The columns of the base table."""
        return [*(one.name for one in self.standard.fields), SOURCES, DEPARTMENTS]


@dataclass(frozen=True, slots=True)
class Change:
    """Rows to commit to one table: in place of those with the same key, or as its whole contents."""

    staged: Staged
    key: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a merge made: changes in the order they are committed, the base table's last, and what it counted."""

    changes: tuple[Change, ...]
    told: Mapping[str, Json]


def read(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, number: int) -> tuple[str, tuple[str, ...]]:
    """Make a view of a contribution's rows as `crosswalk.typed` has them; returns its name and the fields delivered."""
    one = job.contributions[number]
    columns = crosswalk.wanted(job.standard, one, tables.columns(one.table))
    source = tables.relation(one.table, job.inputs[one.table], columns or None)
    view = f"_input_{number}"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW {view} AS {crosswalk.typed(job.standard, one, source, columns)}")
    return view, crosswalk.delivered(job.standard, columns)


def stage(connection: duckdb.DuckDBPyConnection, tables: Tables, table: str, query: str, sort: Sequence[str]) -> Staged:
    """Write the rows of a query as files of a table, which is made or widened when it has to be."""
    rows = connection.sql(query)
    tables.ensure(table, rows.limit(0).to_arrow_table().schema)
    return tables.stage(table, rows, sort=sort)


def compare(connection: duckdb.DuckDBPyConnection, job: Job, before: str, after: str, *, more: bool = False) -> None:
    """Put into EVENTS what differs between two relations of records: key, instant, what happened, the record before.

    `more` adds to the events there are.
    """
    key = quote(job.key)
    same = " AND ".join(f"o.{quote(name)} IS NOT DISTINCT FROM n.{quote(name)}" for name in job.record)
    was = ", ".join(f"o.{quote(name)} AS {quote(name)}" for name in job.record)
    query = (
        f"SELECT coalesce(o.{key}, n.{key}) AS {KEY}, '{job.at}' AS {AT},"
        f" CASE WHEN o.{key} IS NULL THEN 'added' WHEN n.{key} IS NULL THEN 'removed' ELSE 'changed' END AS {EVENT},"
        f" {was} FROM {before} AS o FULL JOIN {after} AS n ON o.{key} = n.{key}"
        f" WHERE o.{key} IS NULL OR n.{key} IS NULL OR NOT ({same})"
    )
    connection.execute(f"INSERT INTO {EVENTS} {query}" if more else f"CREATE OR REPLACE TEMP TABLE {EVENTS} AS {query}")


def landed(tables: Tables, job: Job, newest: Mapping[str, str | None]) -> Staged:
    """Stage when the newest rows of resources landed, a row for each that has any."""
    departments = {one.resource: one.department for one in job.contributions}
    rows = [
        {"department": departments[resource], "resource": resource, "observed_at": at}
        for resource, at in newest.items()
        if at is not None
    ]
    schema = pa.schema([(name, pa.string()) for name in ("department", "resource", "observed_at")])
    tables.ensure(job.said, schema)
    return tables.stage(job.said, pa.Table.from_pylist(rows, schema=schema))


def keys(found: Sequence[tuple[str]], name: str) -> pa.Table:
    """Keys whose rows go, as `Staged.replaced` takes them; never none, so that each merge makes a snapshot."""
    return pa.table({name: pa.array([key for (key,) in found] or [""], pa.string())})


def replacing(staged: Staged, gone: pa.Table) -> Staged:
    """Staged rows with the keys whose rows they take the place of."""
    return replace(staged, replaced=gone)
