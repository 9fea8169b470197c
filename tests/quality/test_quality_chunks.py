"""A verdict does not depend on how the rows came: the size of parts, their order, their files, how many rules there are."""

from __future__ import annotations

import os

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_cases import CASES, CODES, TODAY, rule, table

from quality import parts as cutting
from quality.check import check, check_parts
from quality.dialect import DuckDBDialect
from quality.fused import Condition, Scanner, marks_of, together
from quality.gate import Gate
from quality.kept import Kept, Query
from quality.parts import Parts
from quality.repeats import Repeats
from quality.streamed import Stream, _Answer

SCHEMA = pa.schema({"_row": pa.int64(), "name": pa.string(), "staff": pa.int64(), "real": pa.float64()})
CELLS = st.tuples(
    st.sampled_from(["a", "ab", "数通", "", "a" * 40, None]),
    st.sampled_from([-1, 0, 1, 2**60, None]),
    st.sampled_from([0.0, -0.0, 1.5, float("nan"), None]),
)
name, staff, real = sa.column("name"), sa.column("staff"), sa.column("real")
CONDITIONS = {
    "missing": (name.is_(None), ()),
    "long": (sa.func.length(name) > 1, (name.is_not(None),)),
    "shape": (sa.not_(name.op("~")("^[a-z]$")), (name.is_not(None),)),
    "listed": (name.not_in(["a", "数通"]), (name.is_not(None),)),
    "above": (staff > 0, (staff.is_not(None),)),
    "in_sql": (sa.literal_column("coalesce(staff % 2 = 1, false)", sa.Boolean), ()),
    "not_a_number": (sa.literal_column('isnan("real")', sa.Boolean), (real.is_not(None),)),
}


def streamed(pieces):
    """The rows of each condition, and how many were looked at, when the pieces come one after the other."""
    dialect = DuckDBDialect(paramstyle="qmark")
    with duckdb.connect(":memory:", config={"threads": "1"}) as connection:
        parts = Parts(connection, "checked", pieces, SCHEMA, lambda part: part)
        kept = Kept(connection, "checked", {"staff"})
        late = {
            "same_key": Repeats(["real", "name"], SCHEMA),
            "few": Query(kept, "SELECT _row FROM kept SEMI JOIN (SELECT staff FROM kept GROUP BY ALL"
                               " HAVING count(*) < 3) USING (staff)"),
        }  # fmt: skip
        conditions = {key: Condition(one, where, ("name",), marked=True) for key, (one, where) in CONDITIONS.items()}
        conditions |= {key: Condition(sa.false(), (), ("name",), marked=False) for key in late}
        scanner = Scanner(connection, dialect, sa.table("checked"))
        kept.begin(SCHEMA)
        found = Stream(connection, scanner.sql, scanner.selectable, conditions, late, kept=kept).run(parts)
        assert not found.failed
        marks = found.marks
        return {key: (marks.of(key).tolist(), marks.counts[key], marks.looked_at[key]) for key in conditions}


@settings(max_examples=100 if os.environ.get("SHUTONG_PROVE") else 5, deadline=None)
@given(st.lists(CELLS, max_size=30), st.data())
def test_however_the_rows_are_cut_the_same_are_found(cells, data):
    rows = [{"_row": place, "name": a, "staff": b, "real": c} for place, (a, b, c) in enumerate(cells, 1)]
    whole = pa.Table.from_pylist(rows, schema=SCHEMA)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    pieces = [whole.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
    mixed = data.draw(st.permutations(pieces))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "PART_ROWS", data.draw(st.integers(1, 9)))
        assert streamed(mixed) == streamed([whole])


@settings(max_examples=200 if os.environ.get("SHUTONG_PROVE") else 10, deadline=None)
@given(st.integers(1, 200), st.integers(0, 40), st.integers(0, 2**32), st.lists(st.integers(0, 40), max_size=4))
def test_as_many_conditions_as_one_likes_keep_their_own_bits(many, rows, seed, cuts):
    chance = np.random.default_rng(seed)
    hits = chance.random((many, rows)) < chance.random()
    marked = chance.random(many) < 0.9
    conditions = {key: Condition(sa.false(), (), (), marked=bool(marked[key])) for key in range(many)}
    numbers, found = chance.permutation(rows).astype(np.int64), []
    for part in np.split(np.arange(rows), sorted(min(cut, rows) for cut in cuts)):
        answers = {key: _Answer(hits[key, part], len(part)) for key in range(many)}
        found.append(marks_of(numbers[part], answers, conditions))
    marks = together(found)
    for key in range(many):
        wanted = sorted(numbers[hits[key]].tolist())
        assert (marks.counts[key], marks.looked_at[key], marks.holds(key)) == (len(wanted), rows, bool(marked[key]))
        assert not marked[key] or marks.of(key).tolist() == wanted


def test_one_scan_answers_more_conditions_than_a_mask_has_bits():
    limits = range(130)
    values = pa.table({"_row": list(range(1, 132)), "staff": list(range(131))})
    conditions = {key: Condition(staff > key, (), ("staff",), marked=key % 3 > 0) for key in limits}
    with duckdb.connect() as connection:
        connection.register("checked", values)
        marks = Scanner(connection, DuckDBDialect(paramstyle="qmark"), sa.table("checked")).scan(conditions)
    for key in limits:
        assert marks.counts[key] == 130 - key
        if marks.holds(key):
            assert marks.of(key).tolist() == list(range(key + 2, 132))
    assert sum(map(marks.holds, limits)) == sum(key % 3 > 0 for key in limits)


def test_several_files_of_several_row_groups_and_130_rules_are_judged_like_one_table(tmp_path):
    rules = [one for one, _ in CASES] + [rule(f"staff_{limit}", "range", "staff", max=limit) for limit in range(130)]
    rules += [rule("same_name", "unique", "name", severity="warning"), rule("pairs", "count", "staff", max=2)]
    blank = dict.fromkeys(table([]).column_names[1:])
    whole = table([{**blank, "staff": place * 3 % 140, "name": f"n{place % 50}" * (place % 3)} for place in range(120)])
    for place, (first, rows) in enumerate([(0, 31), (31, 60), (91, 0), (91, 29)]):
        pq.write_table(whole.slice(first, rows), tmp_path / f"part-{place}.parquet", row_group_size=7)
    files = [pq.ParquetFile(one) for one in sorted(tmp_path.iterdir())]
    pieces = (one.read_row_group(group) for one in files for group in range(one.num_row_groups))
    gate = Gate(max_percent=None)
    apart = check_parts(pieces, whole.schema, rules, CODES, gate, TODAY)
    at_once = check(whole, rules, CODES, gate, TODAY)
    for what in ("rows", "counts", "violations", "quarantine", "decision", "reason_zh"):
        assert getattr(apart, what) == getattr(at_once, what), what
    listed = {row["_row"]: row["rules"] for row in apart.violations.to_pylist()}
    for place in range(120):
        above = [f"staff_{limit}" for limit in range(130) if place * 3 % 140 > limit]
        assert [one for one in listed.get(place + 1, []) if one.startswith("staff_") and one[6:].isdigit()] == above
    for one in files:
        one.close()
