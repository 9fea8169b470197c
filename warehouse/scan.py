"""Read one snapshot of a table: pyiceberg names the files, DuckDB reads them by field id without deleted rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from warehouse import columns, listed
from warehouse.errors import WarehouseError
from warehouse.site import SCHEME, name
from warehouse.sql import literal, quote


@dataclass(frozen=True, slots=True)
class Plan:
    """The files of one snapshot: data files, position-delete paths, and the schema the snapshot was written with."""

    schema: Schema
    data: tuple[DataFile, ...]
    deletes: tuple[str, ...]


def plan(table: Table, snapshot: int | None, only: str | BooleanExpression = "") -> Plan:
    """The files of the snapshot; None is a table without contents.

    `only` is a condition as pyiceberg reads it (`day >= '2026-01-01'`): files that hold no row that meets it are left
    out, by their partition and by what is known of their values; rows that do not meet it may be in the others.
    """
    if snapshot is None:
        return Plan(table.schema(), (), ())
    known = table.metadata.snapshot_by_id(snapshot)
    if known is None:
        raise WarehouseError(
            "WH-SNAPSHOT-GONE",
            zh=f"表 {'.'.join(table.name())} 已没有快照 {snapshot}",
            en=f"table {'.'.join(table.name())} has no snapshot {snapshot} any more",
            fix_zh="改读当前发布的快照",
            fix_en="Read the snapshot of the newest release instead",
        )
    schema = table.schemas()[known.schema_id] if known.schema_id is not None else table.schema()
    if only and only != AlwaysTrue():
        tasks = table.scan(row_filter=only, snapshot_id=snapshot).plan_files()
        named = tuple((task.file, tuple(one.file_path for one in task.delete_files)) for task in tasks)
    else:
        named = listed.files(table, known)
    deletes = {path for _file, paths in named for path in paths}
    return Plan(schema, tuple(file for file, _paths in named), tuple(sorted(deletes)))


def relation(planned: Plan, wanted: Sequence[str] | None = None) -> str:
    """SQL text, in brackets, giving the planned rows with the wanted columns (all of them by default)."""
    names = list(wanted) if wanted is not None else [field.name for field in planned.schema.fields]
    wished = ", ".join(f"t.{quote(name)}" for name in names)
    if not planned.data:
        return f"(SELECT {wished} FROM ({columns.nothing(planned.schema, names)}) t)"
    return f"(SELECT {wished} FROM {located(planned, planned.data, names)} t)"


def located(planned: Plan, files: Sequence[DataFile], names: list[str]) -> str:
    """SQL text giving the live rows of some planned data files with `filename` and `file_row_number` beside them."""
    ids = columns.by_field_id(planned.schema, names)
    # Given a schema, DuckDB looks into no file before it plans, and would hash the table rather than what is deleted.
    hints = f"explicit_cardinality={sum(one.record_count for one in files)}, filename=true, file_row_number=true"
    source = f"read_parquet({_listed([one.file_path for one in files])}, schema={ids}, {hints})"
    if not planned.deletes:
        return f"(FROM {source})"
    # Hidden columns of read_parquet are called alike, so every name below is qualified.
    gone = places(planned.deletes)
    return f"(SELECT r.* FROM {source} r ANTI JOIN {gone} g ON r.filename = g.path AND r.file_row_number = g.pos)"


def places(deletes: Sequence[str]) -> str:
    """SQL text, in brackets, giving the `path` and `pos` of every row that position-delete files name."""
    path = f"regexp_replace(d.file_path, '^{SCHEME}', '')"  # of each path once: where it repeats it is a dictionary
    return f"(SELECT {path} AS path, d.pos AS pos FROM read_parquet({_listed(deletes)}) d)"


def _listed(locations: Sequence[str]) -> str:
    return "[" + ", ".join(literal(name(one)) for one in locations) + "]"
