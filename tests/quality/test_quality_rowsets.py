"""Rules about several rows: the one SELECT of each finds exactly the rows that a person would point at."""

from __future__ import annotations

import os
from datetime import date

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.dialect import lend
from quality.engine import validate
from quality.errors import QualityError
from quality.expectations import violators_table
from quality.rowsets import needed, reference_table, references, violators
from quality.suite import suite
from schemas.standard import Rule


def rule(_kind: str, *columns: str, **params) -> Rule:
    return Rule("one", _kind, columns, "一", "one", params=params)


def found(one: Rule, rows: list[dict], others: dict[str, list[dict]] | None = None) -> list[int]:
    """The `_row`s, from 1 on, that the rule's SELECT finds."""
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as connection:
        table = pa.Table.from_pylist([{"_row": place, **row} for place, row in enumerate(rows, 1)])
        connection.register("checked", table)
        for name, records in (others or {}).items():
            connection.register(reference_table(name), pa.Table.from_pylist(records))
        answer = [row for (row,) in connection.execute(violators(one)).fetchall()]
    assert len(answer) == len(set(answer))
    return sorted(answer)


def rows(names: str, *values: tuple) -> list[dict]:
    return [dict(zip(names.split(), one, strict=True)) for one in values]


def test_a_key_that_two_rows_share_is_wrong_in_both_and_nothing_is_said_of_empty_ones() -> None:
    table = rows("a b", ("x", 1), ("x", 2), ("y", 1), (None, 1), (None, 1))
    assert found(rule("unique", "a"), table) == [1, 2]
    assert found(rule("unique", "a", "b"), table) == []
    assert found(rule("unique", "a", "b"), [*table, {"a": "y", "b": 1}]) == [3, 6]


def test_a_key_may_be_asked_of_some_rows_only() -> None:
    table = rows("uscc state", ("x", "1"), ("x", "4"), ("y", "1"), ("y", "1"), ("z", None), ("z", None))
    assert found(rule("unique", "uscc", "state", by=["uscc"], where="\"state\" = '1'"), table) == [3, 4]


def test_rows_of_one_key_say_one_value() -> None:
    table = rows("id uscc", ("s1", "a"), ("s1", "a"), ("s2", "a"), ("s2", "b"), ("s2", None), ("s3", None))
    assert found(rule("single", "id", "uscc", by=["id"]), table) == [3, 4]


def test_too_many_of_a_group_are_pointed_at_and_for_too_few_the_whole_group() -> None:
    heads = rule("count", "home", "relation", by=["home"], where="\"relation\" = '02'", min=1.0, max=1.0)
    table = rows(
        "home relation",
        ("a", "02"),
        ("a", "10"),
        ("b", "10"),
        ("b", None),
        ("c", "02"),
        ("c", "02"),
        ("c", "20"),
        (None, "20"),
    )
    assert found(heads, table) == [3, 4, 5, 6]
    assert found(rule("count", "home", "relation", by=["home"], where="\"relation\" = '02'", max=1.0), table) == [5, 6]


def test_a_sum_out_of_bounds_is_wrong_in_every_row_that_adds_to_it() -> None:
    table = rows("uscc ratio", ("a", 60), ("a", 40), ("b", 60), ("b", 41), ("b", None), ("c", 1))
    assert found(rule("sum", "uscc", "ratio", by=["uscc"], max=100.0), table) == [3, 4]
    assert found(rule("sum", "uscc", "ratio", by=["uscc"], min=99.0, max=100.0), table) == [3, 4, 6]


def test_a_sum_is_held_against_what_another_relation_says() -> None:
    one = rule("sum", "uscc", "paid", by=["uscc"], to="firms", match={"uscc": "code"}, column="capital", tolerance=0.01)
    firms = rows("code capital", ("a", 100), ("b", 100), ("d", None))
    table = rows("uscc paid", ("a", 50), ("a", 51), ("b", 50), ("b", 52), ("c", 7), ("d", 7))
    assert found(one, table, {"firms": firms}) == [3, 4]
    assert references([one]) == {"firms": {"code", "capital"}}


def test_periods_that_share_a_day_are_both_wrong_and_neighbours_are_right() -> None:
    one = rule("no_overlap", "no", "begins", "ends", by=["no"])
    day = [date(2024, 1, number) for number in range(1, 31)]
    table = rows(
        "no begins ends",
        ("a", day[0], day[4]),
        ("a", day[4], day[9]),
        ("b", day[0], day[20]),
        ("b", day[2], day[3]),
        ("b", day[10], day[11]),
        ("c", day[0], None),
        ("c", day[5], day[6]),
        ("d", day[0], day[5]),
        ("d", day[5], None),
        ("e", day[5], day[0]),
        ("e", day[0], day[9]),
        ("f", None, day[9]),
        ("f", day[0], day[1]),
    )
    assert found(one, table) == [3, 4, 5, 6, 7]


PERIODS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 12), st.none() | st.integers(1, 6)), min_size=1, max_size=8
)


@given(PERIODS)
@settings(max_examples=400 if os.environ.get("SHUTONG_PROVE") else 20, deadline=None)
def test_overlaps_are_those_that_comparing_every_pair_finds(drawn) -> None:
    periods = [(one, begins, None if long is None else begins + long) for one, begins, long in drawn]
    ends = [99 if end is None else end for _, _, end in periods]
    wrong = [
        place
        for place, (key, begins, _) in enumerate(periods, 1)
        if any(
            other != place and key == theirs and begins < ends[other - 1] and start < ends[place - 1]
            for other, (theirs, start, _) in enumerate(periods, 1)
        )
    ]
    schema = [{"no": key, "begins": begins, "ends": end} for key, begins, end in periods]
    table = [*schema, {"no": "z", "begins": 1, "ends": 2}]  # so that the column has a type
    assert found(rule("no_overlap", "no", "begins", "ends", by=["no"]), table) == wrong


def test_a_share_counts_only_once_there_are_enough_rows() -> None:
    table = rows("id", *((f"{place:03d}",) for place in range(1, 100)), ("1000",), ("2000",), (None,))
    one = rule("share", "id", where="\"id\" LIKE '%000'", max=0.01, rows=100)
    assert found(one, table) == [100, 101]
    assert found(one, table[1:99] + table[99:101]) == [99, 100]
    assert found(one, table[2:101]) == []
    assert found(rule("share", "id", where="\"id\" LIKE '%000'", max=0.02, rows=100), table) == []


PEOPLE = rows("id_no name gone", ("1", "张三", False), ("2", "李四", True), ("3", "王五", None), ("3", "王武", None))


@pytest.mark.parametrize(
    ("params", "wrong"),
    [
        ({}, [5]),
        ({"when": "\"type\" = '111'"}, []),
        ({"where": '"name" = "people.name"'}, [3, 5]),
        ({"expect": "agrees", "where": '"name" = "people.name"'}, [3]),
        ({"expect": "agrees", "where": 'NOT "people.gone"'}, [2]),
        ({"expect": "absent", "where": '"people.gone"'}, [2]),
        ({"expect": "absent"}, [1, 2, 3, 4]),
    ],
)
def test_what_another_relation_must_hold(params, wrong) -> None:
    table = rows(
        "id name type",
        ("1", "张三", "111"),
        ("2", "李四", "111"),
        ("3", "赵六", "111"),
        ("3", "王武", "111"),
        ("9", "李四", "414"),
        (None, "李四", "111"),
    )
    one = rule(
        "reference", "id", "name", "type", to=["people"], match={"id": ["id_no"]}, **{"expect": "exists", **params}
    )
    assert found(one, table, {"people": PEOPLE}) == wrong


def test_a_record_may_stand_in_either_of_two_relations() -> None:
    one = rule("reference", "code", to=["one", "two"], match={"code": ["no", "id"]}, expect="exists")
    assert found(
        one, rows("code", ("a",), ("b",), ("c",)), {"one": rows("no", ("a",)), "two": rows("id", ("b",), ("b",))}
    ) == [3]
    assert references([one]) == {"one": {"no"}, "two": {"id"}}


def test_a_column_is_told_from_another_relation_s_of_the_same_name() -> None:
    one = rule(
        "reference", "id", "name", to=["people"], match={"id": ["id"]}, where='"name" = "people.name"', expect="agrees"
    )
    assert found(
        one, rows("id name", ("1", "甲"), ("2", "乙")), {"people": rows("id name", ("1", "甲"), ("2", "丙"))}
    ) == [2]


def test_nothing_is_wrong_with_no_rows_and_everything_is_missing_from_an_empty_relation() -> None:
    schema = pa.schema({"_row": pa.int64(), "id": pa.string()})
    one = rule("reference", "id", to=["people"], match={"id": ["id"]}, expect="exists")
    with duckdb.connect(":memory:") as connection:
        connection.register("checked", schema.empty_table())
        connection.register(reference_table("people"), pa.table({"id": pa.array([], pa.string())}))
        assert connection.execute(violators(one)).fetchall() == []
    with duckdb.connect(":memory:") as connection:
        connection.register("checked", pa.table({"_row": [7], "id": ["x"]}, schema))
        connection.register(reference_table("people"), pa.table({"id": pa.array([], pa.string())}))
        assert connection.execute(violators(one)).fetchall() == [(7,)]


def test_a_condition_that_reaches_further_is_refused() -> None:
    for one in (
        rule("unique", "a", where="a IN (SELECT 1)"),
        rule("reference", "a", to=["t"], match={"a": ["a"]}, expect="exists", when="read_text('x') = ''"),
        rule("reference", "a", to=["t"], match={"a": ["a"]}, expect="exists", where="\"t.a\" = getenv('HOME')"),
    ):
        with pytest.raises(QualityError) as refusal:
            violators(one)
        assert refusal.value.code == "QUA-RULE-CONDITION"
        with pytest.raises(QualityError):
            suite([one], {}, date(2024, 1, 1))


def test_names_that_need_quoting_are_quoted() -> None:
    one = rule("unique", 'na"me; DROP')
    assert found(one, [{'na"me; DROP': "x"}, {'na"me; DROP': "x"}]) == [1, 2]
    assert needed(one) == ("_row", 'na"me; DROP')


def test_great_expectations_counts_the_rows_that_were_found() -> None:
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    one = rule("unique", "a")
    with duckdb.connect(":memory:") as connection, lend(connection) as url:
        connection.register("checked", pa.table({"_row": [1, 2, 3], "a": ["x", "x", "y"]}))
        connection.execute(f'CREATE TABLE "{violators_table(one.id)}" AS {violators(one)}')
        result, _ = validate(url, "checked", suite([one], {}, date(2024, 1, 1)), {"result_format": "BASIC"})
    answer = result.results[0]
    assert not answer.exception_info.get("raised_exception")
    assert (answer.success, answer.result["unexpected_count"], answer.result["element_count"]) == (False, 2, 3)
