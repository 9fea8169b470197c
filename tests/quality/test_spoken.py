"""A condition that kernels judge without SQL comes out as DuckDB has it, row by row."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import date
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.columns import DeclinedError, Part
from quality.condition import expression
from quality.dialect import DuckDBDialect
from quality.kernels import kernel

SCHEMA = pa.schema(
    {
        "a": pa.string(),
        "b": pa.string(),
        "code": pa.dictionary(pa.int8(), pa.string()),
        "n": pa.int64(),
        "m": pa.int64(),
        "x": pa.decimal128(24, 6),
        "y": pa.decimal128(24, 6),
        "d": pa.date32(),
        "e": pa.date32(),
        "f": pa.bool_(),
        "g": pa.bool_(),
        "real": pa.float64(),
    }
)
SAID = (
    '"x" <= "y" OR "x" < 0',
    'substr("a", 9, 9) = "b"',
    'substr("a", 1, 2) <> "b"',
    '"b" < substr("a", 2, 3)',
    "substr(\"a\", 1, 2) IN ('91', 'ab')",
    "substring(\"a\", 2, 1) NOT IN ('1')",
    "substr(\"code\", 2, 1) = '1'",
    '("code" = \'2\') = ("d" IS NOT NULL)',
    '("code" = \'2\') <> ("f" IS NULL)',
    "(\"code\" IN ('1', '21')) = (\"e\" IS NOT NULL)",
    "\"code\" NOT IN ('1', '2') OR length(\"a\") <> 18 OR starts_with(\"a\", '9')",
    '"code" <> \'1\' OR "b" IS NULL OR "b" = \'3\'',
    "NOT starts_with(\"a\", '数')",
    'NOT ("f" AND "g")',
    '"d" IS NULL OR coalesce("f", false)',
    'coalesce("f", false) = ("d" IS NOT NULL)',
    'coalesce("f" OR "g", true)',
    '("d" IS NULL) = ("e" IS NULL)',
    '"d" <= "e"',
    "\"d\" >= '2020-02-29'",
    '"n" BETWEEN -1 AND 2 AND 0 < "m"',
    '"n" IN (1, 2) OR "n" > "m"',
    '"real" > 1 OR "real" <= 0',
    "\"a\" = 'ab' AND \"b\" >= 'ab'",
    '"a" <> "b"',
    'length("a") BETWEEN 1 AND 3',
)
UNSAID = (
    '"n" % 2 = 1',
    "\"n\" = '1'",
    '"a" = 1',
    'TRY_CAST("a" AS INTEGER) > 1',
    '"A" = "b"',
    "substr(\"a\", -2, 1) = '1'",
    'substr("a", "n", 1) = \'1\'',
    '"f" = true',
    '"n" < "x"',
    '"n" = 1.5',
    'CASE WHEN "f" THEN "a" = \'1\' END',
    '"nowhere" = 1',
    '"n" = NULL',
    '"n" IN (1, NULL)',
    'starts_with("a", 9)',
)
TEXTS = st.sampled_from(["", "ab", "abc", "a1c", "91330106MA2ABCDE1X", "2ABCDE1X1", "MA2ABCDE1", "3", "数通", None])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": TEXTS,
            "b": TEXTS,
            "code": st.sampled_from(["1", "2", "21", None]),
            **dict.fromkeys("nm", st.sampled_from([-1, 0, 1, 2, 3, None])),
            **dict.fromkeys("xy", st.sampled_from([Decimal("-0.000001"), Decimal(0), Decimal("7.5"), None])),
            **dict.fromkeys("de", st.sampled_from([date(2020, 2, 28), date(2020, 2, 29), date(2021, 1, 1), None])),
            **dict.fromkeys("fg", st.sampled_from([True, False, None])),
            "real": st.sampled_from([-1.5, 0.0, 1.0, 2.5, float("nan"), None]),
        }
    ),
    min_size=1,
    max_size=20,
)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect(config={"threads": 1}) as opened:
        yield opened


@pytest.fixture(scope="module")
def judges(connection):
    made = {said: judged_by(connection, said) for said in SAID}
    texts = (one.compile(dialect=DuckDBDialect(), compile_kwargs={"literal_binds": True}) for _, one in made.values())
    return {said: judge for said, (judge, _) in made.items()}, f"SELECT {', '.join(map(str, texts))} FROM t"


def judged_by(connection, said):
    condition = sa.not_(sa.func.coalesce(sa.literal_column(f"({said})", sa.Boolean), sa.true()))
    return kernel(condition, SCHEMA, lambda _: pa.array([]), lambda text: expression(connection, text)), condition


@settings(max_examples=400 if os.environ.get("SHUTONG_PROVE") else 14, deadline=None)
@given(rows=ROWS, skipped=st.integers(0, 3))
def test_what_can_be_said_comes_out_as_in_sql(connection, judges, rows, skipped):
    by_text, query = judges
    table = pa.Table.from_pylist(rows * 2, SCHEMA).slice(min(skipped, len(rows)))
    connection.register("t", table)
    every = connection.execute(query).fetchall()
    for (said, judge), expected in zip(by_text.items(), zip(*every, strict=True), strict=True):
        assert judge is not None, said
        with suppress(DeclinedError):
            truth = judge(Part(table))
            assert truth.true.tolist() == list(expected), said
            assert truth.false.tolist() == [not one for one in expected], said


@pytest.mark.parametrize("said", UNSAID)
def test_what_kernels_could_not_be_sure_of_is_left_to_sql(connection, said):
    assert judged_by(connection, said)[0] is None


def test_a_column_that_differs_from_another_in_case_alone_is_left_to_sql(connection):
    schema = pa.schema({"n": pa.int64(), "N": pa.int64()})
    said = sa.literal_column('("n" > 1)', sa.Boolean)
    assert kernel(said, schema, lambda _: pa.array([]), lambda text: expression(connection, text)) is None


def test_a_piece_of_a_text_with_characters_of_several_bytes_is_left_to_sql(connection):
    judge, _ = judged_by(connection, "substr(\"a\", 1, 2) = 'ab'")
    with pytest.raises(DeclinedError):
        judge(Part(pa.Table.from_pylist([{"a": "数通"}], SCHEMA)))
