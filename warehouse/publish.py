"""Put a library, or a landed table, where it can be looked up: write its serving files, switch readers, record that."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import duckdb

from schemas.points import reached
from schemas.standard import Standard
from warehouse import changed, crosswalk, serving_build, serving_care, serving_changes, serving_log, survivors
from warehouse.clock import now_text
from warehouse.errors import WarehouseError
from warehouse.json_text import text_of
from warehouse.land import landed_table
from warehouse.landed import LANDED_AT
from warehouse.lock import exclusive
from warehouse.merge import base_table
from warehouse.serving import Generation, TornGenerationError, current
from warehouse.serving_changes import Changes
from warehouse.sql import literal, quote
from warehouse.state import Publication, State
from warehouse.tables import Tables

LOG = logging.getLogger(__name__)
MEMORY = "1GB"  # of DuckDB while a library is published; what does not fit is spilled
NAMES = (
    "ent_name",
    "name",
    "full_name",
)  # fields people look up by that identify nobody; identifiers come by themselves
_FORMAT = 3  # of serving files; another number publishes every library anew


class NotMergedError(WarehouseError):
    """The library has no released base table; the same call works once it has been merged."""

    retryable: ClassVar[bool] = True

    def __init__(self, library: str) -> None:
        super().__init__(
            "WH-NOT-MERGED",
            zh=f"基础库 {library} 尚无已发布的归并结果",
            en=f"library {library} has not been merged yet",
            fix_zh="先接入该库的资源，归并后再发布",
            fix_en="Ingest the library's resources and merge them, then publish",
        )


@dataclass(frozen=True, slots=True)
class _Shown:
    """What is published under a name: a table's columns by key, and the table that tells how fresh departments are.

    `said_by` and `said_at` are SQL over the columns `saying` of the table `said`.
    """

    name: str
    table: str
    key: str
    columns: tuple[str, ...]
    shape: str
    indexed: tuple[str, ...]
    embedded: tuple[str, ...]
    said: str
    saying: tuple[str, ...]
    said_by: str
    said_at: str


def publish(state: State, tables: Tables, folder: Path, library: str, standard: Standard,
            *, indexed: Sequence[str] | None = None, rebuild: bool = False) -> Publication:  # fmt: skip
    """Serve the released base table of a library from `folder`; nothing happens when it is served already.

    Where the table's files tell which rows changed since, and these are few, just they are written; otherwise, and with
    `rebuild`, and where the files in force are damaged, everything is. Readers keep what they have until it is done.
    `indexed` are the fields it can be looked up by besides its key; by default the standard's identifiers and names.
    A publish killed half way is completed, or dropped and done anew, by the next one. Raises NotMergedError.
    """
    base, names = base_table(library), _indexed(standard, indexed)
    shown = _Shown(
        library, base, crosswalk.key_of(standard),
        (*(one.name for one in standard.fields), survivors.SOURCES, survivors.DEPARTMENTS), _shape(standard, names),
        names, (survivors.SOURCES,), base + "_attr", ("department", "observed_at"), "department", "observed_at",
    )  # fmt: skip
    return _publish(state, tables, folder, shown, rebuild=rebuild)


def publish_landed(state: State, tables: Tables, folder: Path, resource: str, standard: Standard,
                   *, indexed: Sequence[str] | None = None, rebuild: bool = False) -> Publication:  # fmt: skip
    """Serve the landed records of a resource (`market.base`) in the same way; its standard has a key of one field."""
    table, names, department = landed_table(resource), _indexed(standard, indexed), resource.partition(".")[0]
    shown = _Shown(
        resource, table, standard.key[0], tuple(one.name for one in standard.fields), _shape(standard, names), names,
        (), table, (LANDED_AT,), literal(department), text_of(LANDED_AT, "TIMESTAMP WITH TIME ZONE"),
    )  # fmt: skip
    return _publish(state, tables, folder, shown, rebuild=rebuild)


def _indexed(standard: Standard, wanted: Sequence[str] | None) -> tuple[str, ...]:
    names = tuple(standard.identifiers) + NAMES if wanted is None else tuple(wanted)
    return tuple(dict.fromkeys(one.name for one in standard.fields if one.name in names))


def _publish(state: State, tables: Tables, folder: Path, shown: _Shown, *, rebuild: bool) -> Publication:
    name = shown.name
    with exclusive(folder / f"{name}.lock"):
        release = state.release()
        pin = release.tables.get(shown.table) if release else None
        if release is None or pin is None:
            raise NotMergedError(name)
        serving = None if rebuild else serving_care.published(folder, name)
        plan = serving_build.Plan(
            library=name,
            key=shown.key,
            generation=_next(state, folder, name),
            indexed=shown.indexed,
            embedded=shown.embedded,
            release=release.id,
            snapshot=f"{pin.snapshot}-{shown.shape}",
            read={table: release.tables[table].snapshot for table in (shown.table, shown.said)},
            published_at=now_text(),
        )
        if serving is not None and serving.snapshot == plan.snapshot and serving_care.damages(folder, name):
            serving = None  # nothing has changed, so there is time to look at every byte
        if serving is None or serving.snapshot != plan.snapshot:
            serving = _write(tables, folder, shown, plan, serving)
            reached("publish.built")
            serving_log.note(folder / name, serving.id)  # before readers see it: they are told of all that it changes
            serving_care.switch(folder, name, serving.id)
        else:
            serving_care.sweep(folder, name)
        reached("publish.switched")
        publication = state.commit_publication(name, serving.id, serving.release, serving.rows)
        reached("publish.recorded")
        return publication


def _write(tables: Tables, folder: Path, shown: _Shown, plan: serving_build.Plan,
           before: Generation | None) -> Generation:  # fmt: skip
    """The next generation: just what changed since `before` where that can be told, else all of it."""
    # Read through the snapshot: the table may have gained columns since it was released.
    there = {field.name for field in tables.plan(shown.table, plan.read[shown.table]).schema.fields}
    wanted = [name for name in shown.columns if name in there]
    with tables.connect(memory=MEMORY) as connection:
        connection.execute("SET preserve_insertion_order = false")
        if before is not None and _shape_of(before.snapshot) == shown.shape:
            fresh = _newer(connection, tables, shown, plan=plan, before=before)
            changes = _changes(connection, tables, shown.table, wanted, plan=plan, before=before) if fresh else None
            if changes is not None and fresh is not None:
                made = _applied(folder, changes, replace(plan, freshness=fresh))
                if made is not None:
                    return made
        statements = tables.relation(shown.said, plan.read[shown.said], shown.saying)
        listed = ", ".join(quote(name) for name in wanted)
        rows = tables.relation(shown.table, plan.read[shown.table])
        connection.execute(f"CREATE TEMP VIEW served AS SELECT {listed} FROM {rows}")
        newest = _newest(connection, shown, statements)
        return serving_build.build(folder, connection, "served", replace(plan, freshness=newest))


def _changes(connection: duckdb.DuckDBPyConnection, tables: Tables, base: str, wanted: Sequence[str], *,
             plan: serving_build.Plan, before: Generation) -> Changes | None:  # fmt: skip
    """What changed in the base table since the generation in force was read; None where its files do not tell."""
    found = changed.between(tables, base, before.read.get(base, 0), plan.read[base], wanted)
    if found is None or found.rows > serving_changes.MOST:
        return None
    connection.execute(f"CREATE TEMP TABLE came AS SELECT * FROM {found.came}")
    gone = found.gone(connection, [plan.key])
    connection.execute(f"CREATE TEMP TABLE gone AS SELECT DISTINCT {quote(plan.key)} FROM {gone}")
    return Changes(connection, "came", "gone")


def _applied(folder: Path, changes: Changes, plan: serving_build.Plan) -> Generation | None:
    """The changes on top of what is in force; None where that cannot be read any more, or they are too many."""
    try:
        return serving_changes.apply(folder, changes, plan)
    except TornGenerationError as error:
        LOG.warning("%s; it is built anew", error.en)
        return None


def _newer(connection: duckdb.DuckDBPyConnection, tables: Tables, shown: _Shown, *, plan: serving_build.Plan,
           before: Generation) -> dict[str, str] | None:  # fmt: skip
    """When each department's newest record landed, from the statements that came; None where files do not tell."""
    found = changed.between(tables, shown.said, before.read.get(shown.said, 0), plan.read[shown.said], shown.saying)
    if found is None:
        return None
    newest = _newest(connection, shown, found.came)
    return {
        one: max(newest.get(one, ""), before.freshness.get(one, "")) for one in sorted({*newest, *before.freshness})
    }


def _newest(connection: duckdb.DuckDBPyConnection, shown: _Shown, statements: str) -> dict[str, str]:
    return dict(
        connection.execute(
            f"SELECT {shown.said_by} AS department, max({shown.said_at}) FROM {statements}"
            f" WHERE {shown.said_at} IS NOT NULL GROUP BY ALL ORDER BY department"
        ).fetchall()
    )


def _shape_of(snapshot: str) -> str:
    return snapshot.rpartition("-")[2]


def _next(state: State, folder: Path, library: str) -> int:
    """A number above every generation the library ever had, should the folder or the state database be new."""
    recorded = state.publication(library)
    return max(current(folder / library), recorded.generation if recorded else 0) + 1


def _shape(standard: Standard, indexed: Sequence[str]) -> str:
    told = [_FORMAT, standard.key, [(one.name, one.type) for one in standard.fields], indexed]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:12]
