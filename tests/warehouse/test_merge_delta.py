"""Merging only what changed comes to exactly what rebuilding everything comes to, whatever happened before."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial

import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_merge import STANDARD, deployment

from warehouse import history
from warehouse.crosswalk import Contribution
from warehouse.library_state import LibraryState
from warehouse.merge import merge, newest
from warehouse.rollback import Target, choices, roll_back
from warehouse.said import explain
from warehouse.upkeep import library_tables

WHO = [Contribution(f"{one}.base", one, f"std_{one}.base") for one in ("registry", "tax", "civil")]
KEYS = ["A", "B", "C", "D"]
SCHEMA = pa.schema(
    [(one, pa.string()) for one in ("id", "uscc", "subject_id", "reg_no", "ent_name", "dom", "_landed_at")]
    + [("reg_capital", pa.decimal128(24, 6)), ("appr_date", pa.date32())]
)
ROW = st.fixed_dictionaries({
    "id": st.sampled_from("123456"),
    "uscc": st.sampled_from([*KEYS, None]),
    "subject_id": st.sampled_from(["P1", "P2", None]),
    "reg_no": st.sampled_from(["R1", "R2", "R3", None]),
    "ent_name": st.sampled_from(["甲", "乙𠮷", None]),
    "dom": st.sampled_from(["一", "二", None]),
    "reg_capital": st.sampled_from([Decimal("1.500000"), Decimal(2), None]),
    "appr_date": st.sampled_from([date(2020, 1, 1), date(2021, 6, 1), None]),
})  # fmt: skip
STEP = st.one_of(
    st.tuples(st.just("upsert"), st.integers(0, 2), st.lists(ROW, min_size=1, max_size=4, unique_by=lambda one: one["id"])),
    st.tuples(st.just("delete"), st.integers(0, 2), st.lists(st.sampled_from("123456"), min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("replace"), st.integers(0, 2), st.lists(ROW, max_size=3, unique_by=lambda one: one["id"])),
    st.tuples(st.just("changed"), st.sampled_from(KEYS), st.sampled_from(KEYS)),
    st.tuples(st.just("decide"), st.integers(0, 9), st.integers(0, 2)),
    st.tuples(st.just("back"), st.integers(0, 3), st.integers(1, 3)),
    st.tuples(st.just("authority"), st.sampled_from(["tax", "registry"]), st.none()),
)  # fmt: skip


def rows_of(rows, landed):
    return pa.Table.from_pylist([one | {"_landed_at": landed} for one in rows], schema=SCHEMA)


class Town:
    """Three departments' tables, and the library twice: merged from changes, and rebuilt each time."""

    def __init__(self, folder):
        self.state, self.tables = deployment(folder)
        self.standard, self.day, self.seen = STANDARD, 0, {}

    def close(self):
        self.tables.close()
        self.state.close()

    def act(self, kind, one, other):
        self.day += 1
        landed = f"2026-11-{self.day:02d}T08:00:00.000000+08:00"
        if kind == "authority":
            fields = [replace(f, authority=(one,)) if f.name == "dom" else f for f in self.standard.fields]
            self.standard = replace(self.standard, fields=tuple(fields))
        elif kind == "changed":
            for library in ("small", "again"):
                LibraryState(self.state.engine).say(library, "changed", one, other, who="甲", why="换码")
        elif kind == "decide":
            self.decide(one, other)
        elif kind == "back":
            self.back(one, other)
        else:
            self.land(kind, WHO[one].table, other, landed)

    def land(self, kind, table, said, landed):
        self.tables.ensure(table, SCHEMA)
        if kind == "replace":
            snapshot = self.tables.replace(table, rows_of(said, landed))
        elif kind == "upsert":
            snapshot = self.tables.upsert(table, rows_of(said, landed), key=["id"])
        else:
            none = replace(self.tables.stage(table, SCHEMA.empty_table()), replaced=pa.table({"id": said}))
            snapshot = self.tables.commit(none, key=["id"])
        if snapshot is not None:
            self.state.commit_release(f"run-{self.day}", {table: self.tables.pin(table, snapshot)})

    def back(self, which, steps):
        """Go back so many releases of a department's table, or of the library itself."""
        names = [*((one.table,) for one in WHO), library_tables("small")][which]
        target = Target(names[0], names, partial(self.tables.lock, "merge-small"))
        found = choices(self.state, self.tables, target)
        if len(found) <= steps:
            return
        gone = newest(self.state, "small")
        run = f"back-{self.day}"
        roll_back(self.state, self.tables, target, found[steps].release.id, run=run, who="甲", why="误入库")
        stands = newest(self.state, "small")
        if gone != stands:
            self.seen = {at: rows for at, rows in self.seen.items() if stands.at >= at}

    def decide(self, number, choice):
        waiting = [one for one in self.rows("small", "_xref") if one["candidates"]]
        if waiting:
            one = waiting[number % len(waiting)]
            key = [*one["candidates"], ""][choice % (len(one["candidates"]) + 1)]
            for library in ("small", "again"):
                LibraryState(self.state.engine).say(library, "held", one["id"], key, who="甲", why="核实")

    def rows(self, library, suffix=""):
        name = f"base.{library}{suffix}"
        released = self.state.released(name)
        rows = self.tables.read(name, released).to_pylist() if released is not None else []
        return sorted(rows, key=lambda one: one.get("uscc") or one.get("id"))

    def merge(self):
        made = merge(self.state, self.tables, "small", self.standard, WHO)
        if newest(self.state, "small"):
            self.seen[newest(self.state, "small").at] = self.rows("small")
        return made

    def check(self):
        made = self.merge()
        anew = merge(self.state, self.tables, "again", self.standard, WHO, whole=True)
        assert self.rows("small") == self.rows("again")
        assert self.rows("small", "_xref") == self.rows("again", "_xref")
        assert made.compared == anew.compared
        assert (made.records, made.unlinked) == (anew.records, anew.unlinked)
        if newest(self.state, "small"):
            one, other = newest(self.state, "small"), newest(self.state, "again")
            assert one.told["freshness"] == other.told["freshness"]
            assert self.explained() == {row["uscc"]: row["_sources"] for row in self.rows("small")}

    def explained(self):
        """Of each record, its sources, told from what `explain` says."""
        found = {}
        for row in self.rows("small"):
            said = explain(self.state, self.tables, "small", row["uscc"])
            parts = [
                f'"{f.name}":["{one["department"]}", "{one["resource"]}"]'
                for f in self.standard.fields for one in said if one["field"] == f.name and one["chosen"]
            ]  # fmt: skip
            found[row["uscc"]] = "{" + ",".join(parts) + "}"
        return found


A, B = ({"id": one, "uscc": key, "subject_id": None, "reg_no": None, "ent_name": "甲", "dom": "一",
         "reg_capital": None, "appr_date": None} for one, key in (("1", "A"), ("2", "B")))  # fmt: skip


@example([("upsert", 0, [A, B]), ("upsert", 1, [A]), ("delete", 0, ["1"]), ("back", 0, 1)])
@settings(max_examples=int(os.environ.get("MERGES", "2")), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEP, min_size=3, max_size=7))
def test_changes_merged_one_after_the_other_equal_a_rebuild(tmp_path_factory, steps):
    town = Town(tmp_path_factory.mktemp("town"))
    for step in steps:
        town.act(*step)
        town.merge()
    town.check()
    for at, rows in town.seen.items():
        assert history.whole(town.state, town.tables, "small", at).to_pylist() == rows
    town.close()
