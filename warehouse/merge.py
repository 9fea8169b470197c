"""Merge what the departments of a library have landed into one record per firm or person, and release it as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import duckdb

from schemas.points import reached
from schemas.standard import Standard
from schemas.values import Json
from warehouse import crosswalk, survivors
from warehouse.crosswalk import Contribution
from warehouse.state import Release, State
from warehouse.survivors import Compared, Conflict
from warehouse.tables import Tables

__all__ = ["Combined", "Conflict", "Contribution", "Merged", "agreeing", "base_table", "combine", "explain", "merge"]

BASE = "base"  # namespace of merged libraries
RUN, TOLD = "shutong.run", "shutong.merge"  # properties of the snapshots a merge commits
NOTHING = '{"records": 0, "conflicts": [], "unlinked": {}}'
XREF = "_xref"  # temporary table of a merge, beside survivors.RECORD and survivors.ATTR


@dataclass(frozen=True, slots=True)
class Combined:
    """What combining counted: what several departments spoke of, and per resource the rows linked to no key."""

    compared: tuple[Compared, ...]
    unlinked: Mapping[str, int]

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """Of what was compared, the disagreements."""
        return tuple(
            Conflict(one.field, one.department, one.other, one.differing) for one in self.compared if one.differing
        )


@dataclass(frozen=True, slots=True)
class Merged:
    """How a merge came out.

    `records` are the firms or persons of the library; `conflicts` how often two departments disagree about a field;
    `inputs` the released snapshot of each table read; `unlinked` the rows per resource that no identifier links to a
    key; `changed` whether anything was written: not when the same inputs were merged before.
    """

    records: int
    conflicts: tuple[Conflict, ...]
    inputs: Mapping[str, int]
    unlinked: Mapping[str, int]
    changed: bool
    release: int | None


def base_table(library: str) -> str:
    """The table with one row per firm or person; its `_attr` and `_xref` stand beside it."""
    return f"{BASE}.{library}"


def merge(state: State, tables: Tables, library: str, standard: Standard,
          contributions: Sequence[Contribution]) -> Merged:  # fmt: skip
    """Rebuild a library from the released snapshots of its contributions and release its three tables together.

    The order of contributions counts where a field names no authority. One process merges a library at a time. A merge
    killed half way is completed when its inputs are still the newest, and dropped otherwise.
    """
    crosswalk.key_of(standard)
    with tables.lock(f"merge-{library}"):
        release = state.release()
        there = [one for one in contributions if _snapshot(release, one.table) is not None]
        inputs = {one.table: snapshot for one in there if (snapshot := _snapshot(release, one.table)) is not None}
        if not there:
            return Merged(0, (), {}, {}, changed=False, release=None)
        names = [base_table(library) + suffix for suffix in ("", "_attr", "_xref")]
        mark = _mark(standard, there, inputs)
        made = state.releases(limit=1, changed=names[0])
        if made and made[0].run.startswith(f"merge-{library}-{mark}-") and _heads(tables, names) == {made[0].run}:
            return _merged(tables, names[0], inputs, made[0].id, changed=False)
        run = f"merge-{library}-{mark}-{_snapshot(release, names[0]) or 0}"
        if _heads(tables, names) != {run}:
            for name in names:
                if tables.exists(name):
                    tables.rollback_to(name, _snapshot(release, name))
            _write(tables, names, standard, there, inputs=inputs, run=run)
        reached("merge.committed")
        pins = {name: tables.pin(name, head.snapshot) for name in names if (head := tables.head(name))}
        number = state.commit_release(run, pins, kind="merge").id
        reached("merge.released")
        return _merged(tables, names[0], inputs, number, changed=True)


def explain(state: State, tables: Tables, library: str, key: str) -> list[dict[str, Json]]:
    """Who said what about one firm or person, as released: the rows of `base.<library>_attr`, best statement first."""
    name = base_table(library) + "_attr"
    released = state.released(name)
    if released is None:
        return []
    rows = tables.read(name, released, where="key = ?", params=[key])
    return rows.sort_by([("field", "ascending"), ("rank", "ascending")]).to_pylist()  # type: ignore[no-any-return]


def combine(connection: duckdb.DuckDBPyConnection, standard: Standard, contributions: Sequence[Contribution],
            relations: Sequence[str]) -> Combined:  # fmt: skip
    """Combine relations known to the connection into the temporary tables `_record`, `_attr` and `_xref`.

    The outcome depends on the rows and on the order of contributions, not on the order of rows.
    """
    delivered = [
        crosswalk.stage(connection, standard, one, relation, number)
        for number, (one, relation) in enumerate(zip(contributions, relations, strict=True))
    ]
    left = crosswalk.link(connection, standard, len(contributions))
    survivors.gather(connection, standard, contributions)
    survivors.decide(connection, standard, contributions, delivered)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {XREF} AS {crosswalk.xref(standard, contributions)}")
    unlinked = {one.resource: rows for one, rows in zip(contributions, left, strict=True)}
    return Combined(survivors.compared(connection), unlinked)


def agreeing(tables: Tables, library: str) -> tuple[int, int] | None:
    """Pairs of statements of two departments about the same field of the same record: equal ones, and all.

    As the newest merge counted them; None before the first.
    """
    head = tables.head(base_table(library))
    told = json.loads(head.summary.get(TOLD, NOTHING)) if head else {}
    return tuple(told["agreeing"]) if "agreeing" in told else None


def _write(tables: Tables, names: Sequence[str], standard: Standard, contributions: Sequence[Contribution],
           *, inputs: Mapping[str, int], run: str) -> None:  # fmt: skip
    """Combine the inputs and commit the three tables; nobody sees them before they are released."""
    with tables.connect() as connection:
        relations = [f"_input_{number}" for number in range(len(contributions))]
        for relation, one in zip(relations, contributions, strict=True):
            source = tables.relation(one.table, inputs[one.table])
            connection.execute(f"CREATE TEMP VIEW {relation} AS SELECT * FROM {source}")
        counted = combine(connection, standard, contributions, relations)
        records = connection.table(survivors.RECORD).count("*").fetchall()[0][0]
        told = {"records": records, "conflicts": [asdict(one) for one in counted.conflicts]}
        told["agreeing"] = [
            sum(one.records - one.differing for one in counted.compared),
            sum(one.records for one in counted.compared),
        ]
        properties = {RUN: run, TOLD: json.dumps(told | {"unlinked": dict(counted.unlinked)}, ensure_ascii=False)}
        made = (survivors.RECORD, survivors.ATTR, XREF)
        sorts = (
            (crosswalk.key_of(standard),),
            ("key", "field", "rank"),
            ("identifier", "value", "key", "department", "resource"),
        )
        staged = []
        for name, temporary, sort in zip(names, made, sorts, strict=True):
            rows = connection.table(temporary)
            tables.ensure(name, rows.limit(0).to_arrow_table().schema)
            staged.append(tables.stage(name, rows, sort=sort))
    reached("merge.written")
    for files in staged:
        tables.commit(files, properties, whole=True)


def _merged(tables: Tables, name: str, inputs: Mapping[str, int], release: int, *, changed: bool) -> Merged:
    head = tables.head(name)
    told = json.loads(head.summary[TOLD] if head else NOTHING)
    conflicts = tuple(Conflict(**one) for one in told["conflicts"])
    return Merged(int(told["records"]), conflicts, inputs, told["unlinked"], changed=changed, release=release)


def _heads(tables: Tables, names: Sequence[str]) -> set[str]:
    """The merges that the tables' newest snapshots come from: one when a merge got as far as committing all."""
    return {head.summary.get(RUN, "") if (head := tables.head(name)) else "" for name in names}


def _snapshot(release: Release | None, table: str) -> int | None:
    pin = release.tables.get(table) if release else None
    return pin.snapshot if pin else None


def _mark(standard: Standard, contributions: Sequence[Contribution], inputs: Mapping[str, int]) -> str:
    """What a merge's outcome hangs on, as a short digest: inputs, their order, and the standard's word on fields."""
    ruled = [(one.name, one.type, one.authority) for one in standard.fields]
    said = [standard.key, standard.order, standard.identifiers, ruled, [asdict(one) for one in contributions], inputs]
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
