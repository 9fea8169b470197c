"""A rule that takes longer than it may is an ERROR of that rule alone, whatever answers it."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from itertools import product

import duckdb
import pyarrow as pa
import pytest
from quality_cases import TODAY, rule, table

from quality import limits, rest
from quality.check import check, check_parts
from quality.dialect import lend
from quality.divisions import guarded
from quality.engine import validate
from quality.errors import QualityError
from quality.gate import Gate

import great_expectations as gx  # isort: skip
import great_expectations.expectations as gxe  # isort: skip

ANYTHING = Gate(max_percent=None)
FINE = rule("fine", "required", "name")
BLANK = dict.fromkeys(table([]).column_names[1:])
TEXT = "a" * 4_000
DAYS = rule("days", "expectation", "name", name="expect_column_values_to_be_dateutil_parseable")
JSON = rule("json", "expectation", "name", name="expect_column_values_to_be_json_parseable")


def errors(verdict):
    """The code of each rule's error, or None."""
    return {one.rule: one.error and re.findall(r"QUA-[A-Z-]+", one.error)[0] for one in verdict.counts}


@pytest.mark.parametrize(
    "sql",
    [
        "name LIKE '%a_%a_%a_%b'",
        "name NOT LIKE '%a_%a_%a_%b'",
        "name ILIKE '%A%a%a%b'",
        "name NOT ILIKE '%a%a%a%b'",
        "name LIKE '%a%a%a%b' ESCAPE '!'",
        "name LIKE '%a%' || kind || '_%a%b'",
    ],
)
def test_a_like_that_would_try_every_place_for_every_sign_ends_at_once(sql):
    text = guarded(sql.replace("kind", "'a'") if "kind" in sql else sql)
    with duckdb.connect() as connection, limits.query(connection, 20):
        connection.execute("CREATE TABLE t AS SELECT ? AS name FROM range(20)", [TEXT])
        found = connection.execute(f"SELECT DISTINCT {text} FROM t").fetchall()
    assert found == [("NOT" in sql,)]


def test_a_like_that_is_rewritten_says_what_duckdb_says():
    texts = ["".join(signs) for length in range(5) for signs in product("aA_%é\n.", repeat=length)]
    patterns = ["%a_%_%", "_%é%_", "%\n_%.%", "a%_A%é", "%%_%%a", "%É_%_a%", "%._%_%"]
    escaped = ["!_%a_%", "%!%%_%a", "a!_!%%", "!!%_%_a%"]
    wanted = [f"x {verb} '{one}'" for verb in ("LIKE", "ILIKE") for one in patterns]
    wanted += [f"x {verb} '{one}' ESCAPE '!'" for verb in ("LIKE", "ILIKE") for one in escaped]
    wanted.append("x NOT LIKE 'a%_%_%'")
    wanted.append("x NOT ILIKE 'a%' ESCAPE '!'")
    run = [guarded(one) for one in wanted]
    assert not set(wanted) & set(run)
    with duckdb.connect() as connection:
        connection.register("t", pa.table({"x": [*texts, None]}))
        for first, second in zip(wanted, run, strict=True):
            assert connection.execute(f"SELECT x FROM t WHERE ({first}) IS DISTINCT FROM ({second})").fetchall() == []


def test_a_like_is_left_alone_where_it_does_not_matter():
    for sql in ("name LIKE '%罚款%'", "name LIKE '___'", "name NOT LIKE '%a_%'", "name LIKE '%a%b%c%d'"):
        assert guarded(sql) == sql


def test_a_like_whose_escape_comes_from_the_row_is_refused():
    with pytest.raises(QualityError, match=r"直接写出.*written out"):
        guarded("name LIKE kind ESCAPE '!'")


def test_the_like_patterns_of_great_expectations_end_at_once_in_sql_too():
    rows = [{**BLANK, "name": "a" * (1 << 20) + "b"}, {**BLANK, "name": "xa"}]  # so long that no kernel takes them
    given = rule(
        "like", "expectation", "name", name="expect_column_values_to_match_like_pattern", like_pattern="%a_%a_%a_%b"
    )
    other = rule(
        "not", "expectation", "name", name="expect_column_values_to_not_match_like_pattern", like_pattern="%a_%a_%b"
    )
    verdict = check(table(rows), [given, other, FINE], {}, ANYTHING, TODAY)
    assert [(one.rows, one.error) for one in verdict.counts] == [(1, None), (1, None), (0, None)]


def test_rules_that_pandas_answers_are_stopped_one_by_one(monkeypatch):
    monkeypatch.setattr(limits, "RULE", 0.4)
    slow = ["2024-01-01 and " + "1 " * 300 + str(number) for number in range(4_000)]
    data = table([{**BLANK, "name": one} for one in slow])
    verdict = check(data, [DAYS, JSON, FINE], {}, ANYTHING, TODAY)
    assert errors(verdict) == {"days": "QUA-EVAL-TIME", "json": None, "fine": None}
    assert verdict.counts[1].rows == len(slow)


def test_a_pattern_that_explodes_in_pandas_is_stopped_in_the_middle_of_a_value(monkeypatch):
    monkeypatch.setattr(limits, "RULE", 0.4)
    schema = {"type": "string", "pattern": "^(a+)+$"}
    suite = gx.ExpectationSuite(
        name="s",
        expectations=[
            gxe.ExpectColumnValuesToMatchJsonSchema(column="name", json_schema=schema),
            gxe.ExpectColumnValuesToBeJsonParseable(column="name"),
        ],
    )
    data = table([{**BLANK, "name": '"' + "a" * 200 + '!"'}])
    with duckdb.connect() as connection, lend(connection) as url:
        connection.register("t", data)
        found, _ = validate(url, "t", suite, {"result_format": "BASIC"})
    first, second = found.results
    assert limits.STOPPED in str(first.exception_info)
    assert (first.success, second.success) == (False, True)


def test_a_value_that_is_stopped_is_not_taken_for_a_bad_one_in_another_thread_either():
    told = []

    def work():
        try:
            with limits.python(0.2):
                while True:
                    with suppress(Exception):  # as those do who judge values one by one
                        sum(range(1000))
        except limits.OverdueError:
            told.append("stopped")
        with limits.python(30):
            told.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert told == ["stopped", "done"]


def test_what_all_rows_are_needed_for_is_stopped(monkeypatch):
    monkeypatch.setattr(limits, "RULE", 0.2)
    monkeypatch.setattr(
        rest, "in_time", lambda *_: connection.execute("SELECT count(*) FROM range(1000000) a, range(1000000) b")
    )
    with duckdb.connect() as connection, lend(connection) as url:
        connection.register("t", table([BLANK]))
        suite = gx.ExpectationSuite(name="s", expectations=[gxe.ExpectColumnValuesToBeJsonParseable(column="name")])
        began = time.monotonic()
        with pytest.raises(duckdb.InterruptException):
            validate(url, "t", suite, {"result_format": "BASIC"})
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    "slow",
    [
        rule("slow", "condition", "name", sql="regexp_matches(\"name\", '(a?){900}b')"),
        rule("slow", "pattern", "name", regex="(a?){900}b"),
    ],
    ids=lambda slow: slow.kind,
)
def test_a_pattern_that_takes_too_long_on_one_part_is_an_error_of_its_rule_alone(monkeypatch, slow):
    monkeypatch.setattr(limits, "PART", 0.1)
    monkeypatch.setattr(limits, "_IN_HAND", 600)
    rows = table([{**BLANK, "name": f"{number}" + TEXT[:300]} for number in range(28)])
    quick = rule("quick", "condition", "name", sql="\"name\" <> 'x'")
    verdict = check(rows, [slow, quick, FINE], {}, ANYTHING, TODAY)
    assert errors(verdict) == {"slow": "QUA-EVAL-TIME", "quick": None, "fine": None}


@pytest.mark.parametrize(
    ("pattern", "heavy"),
    [
        ("^[0-9]{17}[0-9X]$", False),
        (r"^[A-Z]{8}-\d{4}-[]x]{4}-.{4}-.{12}$", False),
        ("(a+)+", False),
        ("a{1,1000}", True),
        ("((a?){20}b){20}", True),
        ("\\(" * 90 + "{2,}", False),
    ],
)
def test_a_pattern_is_heavy_by_what_it_repeats(pattern, heavy):
    assert limits.heavy(pattern) is heavy


def test_a_column_kernel_that_took_too_long_is_not_asked_again(monkeypatch):
    monkeypatch.setattr(limits, "RULE", 0.0)
    monkeypatch.setattr("quality.streamed._WORKERS", 1)
    whole = table([{**BLANK, "name": "a", "sex": "1"}] * 6)
    pieces = [whole.slice(at, 1) for at in range(6)]
    verdict = check_parts(
        pieces, whole.schema, [rule("shape", "pattern", "name", regex="^(a|b)+$")], {}, ANYTHING, TODAY
    )
    assert errors(verdict) == {"shape": "QUA-EVAL-TIME"}
