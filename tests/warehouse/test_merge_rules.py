"""Of what several departments say about a firm, the authoritative word survives, and who said what is kept."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.standard import Field, Standard
from warehouse import merge_whole, survivors
from warehouse.crosswalk import Contribution, KeyShapeError, delivered
from warehouse.crosswalk import typed as typed_rows
from warehouse.library_job import Job
from warehouse.survivors import Compared
from warehouse.words import Words, resolve

STANDARD = Standard(
    name="firm", version=1, zh="企业", en="firm", library="firms", rules=(), key=("uscc",), order=("appr_date",),
    identifiers=("subject_id", "uscc", "reg_no", "org_code", "tax_no"),
    fields=(
        Field("uscc", "统一社会信用代码", "USCC", "uscc"), Field("subject_id", "主体身份代码", "subject id"), Field("reg_no", "注册号", "registration number"),
        Field("org_code", "组织机构代码", "organisation code"), Field("tax_no", "纳税人识别号", "tax number"),
        Field("ent_name", "名称", "name", authority=("registry",)), Field("dom", "住所", "address", authority=("tax", "registry")),
        Field("reg_capital", "注册资本", "capital", "capital"), Field("appr_date", "核准日期", "approved", "date"), Field("staff", "从业人数", "staff", "integer"),
    ),
)  # fmt: skip
TYPES = {"capital": pa.decimal128(24, 6), "date": pa.date32(), "integer": pa.int64()}
NAMES = [one.name for one in STANDARD.fields]
REGISTRY, TAX, CIVIL = (Contribution(f"{who}.base", who, f"std_{who}.base") for who in ("registry", "tax", "civil"))
NO_WORDS = Words()
A, B = "91330300AAAAAAAAA1", "91330300BBBBBBBBB2"


def rows_of(rows, only=None):
    names = [name for name in NAMES if only is None or name in only]
    schema = pa.schema(
        [(name, TYPES.get(STANDARD.field(name).type, pa.string())) for name in names] + [("_landed_at", pa.string())]
    )
    return pa.Table.from_pylist(
        [{"_landed_at": "2026-11-22T08:00:00.000000+08:00"} | row for row in rows], schema=schema
    )


@dataclass
class Counted:
    compared: tuple[Compared, ...]
    unlinked: dict[str, int]

    @property
    def conflicts(self):
        return tuple((one.field, one.department, one.other, one.differing) for one in self.compared if one.differing)


def merged(*given_tables, standard=STANDARD, words=NO_WORDS):
    """Merge (contribution, rows) pairs; returns records by key, statements, cross-walk and what was counted."""
    job = Job("firms", standard, tuple(one for one, _ in given_tables), {}, words, "2026-11-22T08:00:00.000000+08:00")
    with duckdb.connect() as connection:
        inputs = []
        for number, (one, table) in enumerate(given_tables):
            connection.register(f"landed_{number}", table)
            typed = typed_rows(standard, one, f"landed_{number}", table.column_names)
            connection.execute(f"CREATE TEMP VIEW input_{number} AS {typed}")
            inputs.append((f"input_{number}", delivered(standard, table.column_names)))
        merge_whole.lead(connection, job, [view for view, _ in inputs])
        parts = [merge_whole.part(connection, job, n, (None, None), one) for n, one in enumerate(inputs)]
        compared = survivors.make(connection, standard, parts, "records")
        counted = Counted(compared, merge_whole.unlinked(connection, job, "_links"))
        records, attr, xref = (
            connection.execute(query).to_arrow_table().to_pylist()
            for query in ("FROM records", survivors.statements(connection, standard, parts), "FROM _links")
        )
    for record in records:
        record["_sources"] = json.loads(record["_sources"])
    return {one["uscc"]: one for one in records}, attr, xref, counted


def test_the_authoritative_department_wins_and_the_others_fill_what_it_leaves_open():
    records, attr, _, counted = merged(
        (REGISTRY, rows_of([{"uscc": A, "ent_name": "温州𠮷祥公司", "dom": "旧址", "staff": None}])),
        (
            TAX,
            rows_of(
                [{"uscc": A, "ent_name": "温州吉祥公司", "dom": "新址", "staff": 12, "reg_no": "330300000012345678"}]
            ),
        ),
    )
    assert records[A] | {"_sources": None} == dict.fromkeys(NAMES) | {
        "uscc": A, "ent_name": "温州𠮷祥公司", "dom": "新址", "staff": 12, "reg_no": "330300000012345678", "_departments": ["registry", "tax"], "_sources": None,
    }  # fmt: skip
    assert records[A]["_sources"] == {
        "uscc": ["registry", "registry.base"], "ent_name": ["registry", "registry.base"], "dom": ["tax", "tax.base"], "staff": ["tax", "tax.base"], "reg_no": ["tax", "tax.base"],
    }  # fmt: skip
    assert counted.conflicts == (("dom", "registry", "tax", 1), ("ent_name", "registry", "tax", 1))
    said = [
        (one["department"], one["value"], one["rank"], one["chosen"])
        for one in sorted(attr, key=lambda one: one["rank"])
        if one["field"] == "dom"
    ]
    assert said == [("tax", "新址", 1, True), ("registry", "旧址", 2, False)]


def test_where_no_department_is_named_the_first_contribution_counts_and_the_unnamed_come_last():
    tables = (
        (CIVIL, rows_of([{"uscc": A, "staff": 1, "dom": "民政"}])),
        (REGISTRY, rows_of([{"uscc": A, "staff": 2, "dom": "市监"}])),
    )
    assert [merged(*order)[0][A]["staff"] for order in (tables, tables[::-1])] == [1, 2]
    assert [merged(*order)[0][A]["dom"] for order in (tables, tables[::-1])] == ["市监", "市监"]


def test_a_row_without_a_key_joins_through_its_strongest_telling_identifier():
    keyed = rows_of([{"uscc": A, "subject_id": "P1", "reg_no": "R1"}, {"uscc": B, "subject_id": "P2", "reg_no": "R2"}])
    keyless = rows_of([
        {"reg_no": "R1", "staff": 1}, {"subject_id": "P2", "dom": "按主体代码归入乙"}, {"reg_no": "R9", "ent_name": "无处可归"}, {"ent_name": "同名也不归"},
    ])  # fmt: skip
    records, _, xref, counted = merged((REGISTRY, keyed), (TAX, keyless))
    assert (records[A]["staff"], records[B]["dom"], len(records)) == (1, "按主体代码归入乙", 2)
    assert counted.unlinked == {"registry.base": 0, "tax.base": 2}
    led = {(one["subject_id"], one["reg_no"]): (one["key"], one["reason"], one["rows"]) for one in xref}
    assert led == {(None, "R1"): (A, None, 1), ("P2", None): (B, None, 1), (None, "R9"): (None, "unknown", 1),
                   (None, None): (None, "unknown", 1)}  # fmt: skip


def test_a_row_whose_identifiers_lead_to_two_records_is_held_and_joined_to_neither():
    keyed = rows_of([{"uscc": A, "subject_id": "P1", "reg_no": "R1"}, {"uscc": B, "subject_id": "P2", "reg_no": "R2"}])
    torn = rows_of([{"subject_id": "P2", "reg_no": "R1", "staff": 9}])
    records, _, (one,), counted = merged((REGISTRY, keyed), (TAX, torn))
    assert (one["reason"], one["candidates"], one["key"], counted.unlinked["tax.base"]) == (
        "contradiction",
        [A, B],
        None,
        1,
    )
    assert [records[key]["staff"] for key in (A, B)] == [None, None]
    decided = merged((REGISTRY, keyed), (TAX, torn), words=Words(decisions={one["id"]: A}))
    assert (decided[0][A]["staff"], decided[0][B]["staff"], decided[3].unlinked["tax.base"]) == (9, None, 0)
    apart = merged((REGISTRY, keyed), (TAX, torn), words=Words(decisions={one["id"]: ""}))
    assert (apart[0][A]["staff"], apart[2][0]["reason"]) == (None, "apart")


def test_a_key_that_became_another_brings_what_was_said_of_it_along():
    rows = rows_of(
        [{"uscc": A, "ent_name": "旧", "staff": 3}, {"uscc": B, "ent_name": "新", "appr_date": date(2024, 1, 1)}]
    )
    records, *_ = merged((REGISTRY, rows), words=Words(frozenset({(A, B)})))
    assert list(records) == [B]
    assert (records[B]["ent_name"], records[B]["staff"]) == ("新", 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({("A", "B"), ("B", "A")}, "cycle"),
        ({("A", "B"), ("A", "C")}, "split"),
        ({("A", "C"), ("B", "C")}, "joined"),
        ({("A", "B"), ("B", "C"), ("C", "B")}, "joined"),
    ],
)
def test_key_changes_that_would_make_one_of_two_are_held_until_somebody_decides(changes, reason):
    renamed, (one,) = resolve(Words(frozenset(changes)))
    assert (renamed, one.reason, one.candidates) == ({}, reason, tuple(sorted({k for edge in changes for k in edge})))
    decided = resolve(Words(frozenset(changes), {one.id: "B"}))
    assert decided == ({key: "B" for key in one.candidates if key != "B"}, [])
    assert resolve(Words(frozenset(changes), {one.id: ""})) == ({}, [])


def test_a_chain_of_key_changes_ends_at_its_last_key():
    assert resolve(Words(frozenset({("A", "B"), ("B", "C"), ("X", "Y")}))) == ({"A": "C", "B": "C", "X": "Y"}, [])


def test_an_identifier_that_two_records_share_tells_nothing_and_a_weaker_one_may():
    keyed = rows_of([{"uscc": A, "subject_id": "P1", "reg_no": "R1"}, {"uscc": B, "subject_id": "P1", "reg_no": "R2"}])
    keyless = rows_of([{"subject_id": "P1", "staff": 5}, {"subject_id": "P1", "reg_no": "R2", "staff": 6}])
    records, _, _, counted = merged((REGISTRY, keyed), (TAX, keyless))
    assert (records[A]["staff"], records[B]["staff"], counted.unlinked["tax.base"]) == (None, 6, 1)


def test_an_organisation_code_is_found_inside_the_credit_code():
    records, *_ = merged((REGISTRY, rows_of([{"uscc": A}])), (TAX, rows_of([{"org_code": "AAAAAAAA-A", "staff": 3}])))
    assert records[A]["staff"] == 3


def test_names_never_link_and_a_shared_weak_identifier_never_joins_two_keys():
    records, *_ = merged(
        (REGISTRY, rows_of([{"uscc": A, "ent_name": "同名", "reg_no": "R"}])),
        (TAX, rows_of([{"uscc": B, "ent_name": "同名", "reg_no": "R"}])),
    )
    assert sorted(records) == [A, B]


def test_of_two_rows_of_one_resource_the_newer_counts_field_by_field():
    rows = rows_of([
        {"uscc": A, "appr_date": date(2020, 1, 1), "ent_name": "旧名", "staff": 3}, {"uscc": A, "appr_date": date(2021, 1, 1), "ent_name": "新名"}, {"uscc": A, "ent_name": "无日期"},
    ])  # fmt: skip
    assert merged((REGISTRY, rows))[0][A] | {} == merged((REGISTRY, rows.take([2, 1, 0])))[0][A]
    assert (merged((REGISTRY, rows))[0][A]["ent_name"], merged((REGISTRY, rows))[0][A]["staff"]) == ("新名", 3)
    assert merged((replace(REGISTRY, order=("staff",)), rows))[0][A]["ent_name"] == "旧名"


def test_a_resource_may_deliver_some_fields_only():
    records, attr, *_ = merged(
        (TAX, rows_of([{"uscc": A, "dom": "址"}], only=("uscc", "dom"))), (CIVIL, rows_of([], only=("uscc", "staff")))
    )
    assert (records[A]["dom"], records[A]["staff"]) == ("址", None)
    assert {one["field"] for one in attr} == {"uscc", "dom"}


def test_amounts_and_dates_keep_their_types_and_are_told_exactly():
    records, attr, *_ = merged(
        (
            REGISTRY,
            rows_of([{"uscc": A, "reg_capital": Decimal("123456789012345678.123456"), "appr_date": date(1987, 5, 6)}]),
        )
    )
    assert (records[A]["reg_capital"], records[A]["appr_date"]) == (
        Decimal("123456789012345678.123456"),
        date(1987, 5, 6),
    )
    assert {one["field"]: one["value"] for one in attr} == {
        "uscc": A,
        "reg_capital": "123456789012345678.123456",
        "appr_date": "1987-05-06",
    }


def test_equal_amounts_written_with_other_zeros_are_no_conflict():
    tables = [
        (who, rows_of([{"uscc": A, "reg_capital": Decimal(text)}]))
        for who, text in ((REGISTRY, "100"), (TAX, "100.000"))
    ]
    assert merged(*tables)[3].conflicts == ()


@pytest.mark.parametrize("key", [(), ("uscc", "reg_no")])
def test_a_library_with_another_number_of_keys_is_refused(key):
    with pytest.raises(KeyShapeError, match="WH-MERGE-KEY"):
        merged((REGISTRY, rows_of([])), standard=replace(STANDARD, key=key))


# The same rules once more, in plain Python.


def reference(tables):
    """Records, chosen sources, conflicts and unlinked rows, one row at a time."""
    points, linked, unlinked = {}, [], Counter()
    weaker = ["subject_id", "reg_no", "org_code", "tax_no"]

    def value(row, name):
        if name == "org_code":
            return (row["org_code"] or "").replace("-", "") or (
                row["uscc"][8:17] if row["uscc"] and len(row["uscc"]) == 18 else None
            )
        return row[name] or None

    for _, rows in tables:
        for row in rows:
            for name in weaker:
                if row["uscc"] and value(row, name):
                    points.setdefault((name, value(row, name)), set()).add(row["uscc"])
    for number, (who, rows) in enumerate(tables):
        for row in rows:
            told = [points.get((name, value(row, name)), set()) for name in weaker]
            sure = {min(keys) for keys in told if len(keys) == 1}
            key = row["uscc"] or (min(sure) if len(sure) == 1 else None)
            if key is None:
                unlinked[who.resource] += 1
            else:
                linked.append((key, number, who, row))
    statements = {}
    for key, number, who, row in linked:
        for name in NAMES:
            if row[name] is not None:
                ruled = STANDARD.field(name).authority
                newest = (
                    row["appr_date"] is None,
                    -(row["appr_date"] or date(1970, 1, 1)).toordinal(),
                    [-ord(c) for c in row["_landed_at"]],
                )
                ties = [(row[one] is None, row[one] if row[one] is not None else "") for one in NAMES]
                rank = (ruled.index(who.department) if who.department in ruled else 99, number, newest, ties)
                statements.setdefault((key, name), []).append((rank, who, row[name]))
    records, conflicts = {}, Counter()
    for (key, name), said in statements.items():
        said.sort(key=lambda one: one[0])
        records.setdefault(key, dict.fromkeys(NAMES) | {"uscc": key, "_sources": {}})[name] = (
            said[0][2] if name != "uscc" else key
        )
        records[key]["_sources"][name] = [said[0][1].department, said[0][1].resource]
        best = {}
        for _, who, text in said:
            best.setdefault(who.department, text)
        conflicts.update(
            (name, one, other) for one in best for other in best if one < other and best[one] != best[other]
        )
    for key, record in records.items():
        record["_departments"] = sorted({who.department for other, _, who, _ in linked if other == key})
    return records, conflicts, unlinked


def row_strategy():
    few = {
        "uscc": [A, B, None],
        "subject_id": ["P1", "P2", None],
        "reg_no": ["330300000012345678", "R2", None],
        "org_code": ["AAAAAAAA-A", "BBBBBBBBB", "X", None],
        "tax_no": ["T1", None],
    }
    rest = {
        "ent_name": ["甲", "乙𠮷", None],
        "dom": ["一", "二", None],
        "reg_capital": [Decimal("1.500000"), Decimal(2), None],
        "appr_date": [date(2020, 1, 1), date(2021, 6, 1), None],
        "staff": [1, -2, None],
    }
    landed = {"_landed_at": ["2026-11-22T08:00:00.000000+08:00", "2026-11-23T08:00:00.000000+08:00"]}
    return st.fixed_dictionaries({name: st.sampled_from(values) for name, values in (few | rest | landed).items()})


@settings(max_examples=120 if os.environ.get("SHUTONG_PROVE") else 4, deadline=None)
@given(st.lists(st.lists(row_strategy(), max_size=7), min_size=1, max_size=4), st.randoms())
def test_the_merge_equals_the_same_rules_in_plain_python_whatever_the_order_of_rows(contributed, random):
    who = [REGISTRY, TAX, CIVIL, Contribution("tax.more", "tax", "std_tax.more")]
    tables = list(zip(who, contributed, strict=False))
    records, conflicts, unlinked = reference(tables)
    shuffled = [(one, random.sample(rows, len(rows))) for one, rows in tables]
    found, attr, _, counted = merged(*((one, rows_of(rows)) for one, rows in shuffled))
    assert found == records
    assert {tuple(one[:3]): one[3] for one in counted.conflicts} == dict(conflicts)
    assert {who: rows for who, rows in counted.unlinked.items() if rows} == dict(unlinked)
    assert sum(one["chosen"] for one in attr) == sum(len(one["_sources"]) for one in records.values())
