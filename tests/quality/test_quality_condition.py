"""A condition is one boolean expression over its row; anything that could reach further is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.condition import accept
from quality.errors import QualityError


@pytest.mark.parametrize(
    "sql",
    [
        "appr_date >= est_date",
        "\"raw:企业名称\" <> '' AND NOT regexp_matches(name, '^[0-9]+$')",
        "status IN ('1', '2') OR cancel_date IS NOT NULL",
        "CASE WHEN kind = '个体' THEN capital IS NULL ELSE capital > 0 END",
        "capital BETWEEN 0 AND 1e12",
        "est_date < today() - INTERVAL 1 DAY",
        "est_date <= current_date",
        "name LIKE '%有限公司'",
        "try_cast(code AS BIGINT) % 11 = 0",
        "length(trim(name)) > 1 AND coalesce(a, b, 'x') = 'x'",
        "extract(year FROM est_date) > 1949",
        "(a = 1) OR (b = 2)",
        "a = 1 /* 注释 */",
        "position('x' IN name) = 0",
        "replace(org_code, '-', '') = substr(uscc, 9, 9)",
        "a IS DISTINCT FROM b AND a || b <> 'x'",
        '"population.name" = "name"',
    ],
)
def test_an_ordinary_condition_is_accepted_as_it_stands(sql):
    assert accept(f"  {sql}\n") == sql


@pytest.mark.parametrize(
    "sql",
    [
        "(SELECT count(*) FROM read_csv('/etc/passwd')) = 0",
        "EXISTS (SELECT 1)",
        "a IN (SELECT 1)",
        "a = ANY (SELECT 1)",
        "a = ANY ([1, 2])",
        "getenv('HOME') = ''",
        "read_text('/etc/passwd') IS NULL",
        "read_csv('/etc/passwd') IS NULL",
        "current_setting('home_directory') = ''",
        "main.getenv('HOME') = ''",
        "query('SELECT 1') IS NULL",
        "true; ATTACH 'x.db' AS x",
        "ATTACH 'x.db' AS x",
        "true) FROM t; COPY t TO '/tmp/x' --",
        "true) FROM read_csv('/etc/passwd') --",
        "true FROM read_csv('/etc/passwd')",
        "true FROM t, read_csv('/etc/passwd')",
        "true FROM t WHERE false",
        "true UNION SELECT true",
        "true FROM t ORDER BY 1 LIMIT 1",
        "a = 1) OR (b = 2",
        "a = 1 --",
        "a, b",
        "a AS b",
        "*",
        "COLUMNS('a')",
        "sum(a) > 1",
        "row_number() OVER () = 1",
        "random() > 0.5",
        "now() > est_date",
        "nextval('s') > 1",
        "repeat('x', 1000000000) = ''",
        "list_transform([1], x -> x + 1) = [1]",
        "$1 = 1",
        "? = 1",
        "other.a = 1",
        "a::my_type = 1",
        "error('x') IS NULL",
        "pg_sleep(10)",
        "",
        "   ",
        "a = " + "1 + " * 2000 + "1",
        "not sql at all",
        "current_user = 'x'",
        "Session_User = 'x'",
        "current_timestamp > est_date",
        "localtimestamp > est_date",
        "current_schema = 'x'",
        "try(read_text('x')) IS NULL",
        "a.read_text() = ''",
        "t.* = 1",
        "COLUMNS(*) = 1",
        "{'a': 1} IS NULL",
        "ROW(a, b) IS NULL",
        "getvariable('x') = 1",
        "generate_series(1, 10) IS NULL",
        "lpad(a, 1000000000, 'x') = a",
        "printf('%9999999d', 1) = a",
        "glob('/etc/*') IS NULL",
        "system.main.read_text('x') = ''",
        "a BETWEEN (SELECT 1) AND 2",
        "a::JSON IS NULL",
        "a::VARCHAR[] IS NULL",
        "uuid() = a",
        "replace(a, 'x', a) = a",
        "replace(a, 'x', 'xxxxxxxx') = a",
        "regexp_replace(a, 'x', b) = a",
        "||".join("a" * 20) + " = 'x'",
        "replace(" * 9 + "a" + ", 'x', 'xx')" * 9 + " = a",
        "NOT " * 900 + "a",
        "a = 1\0",
    ],
)
def test_anything_that_reaches_further_is_refused_with_a_way_out(sql):
    with pytest.raises(QualityError) as refusal:
        accept(sql)
    assert refusal.value.code == "QUA-RULE-CONDITION"
    assert refusal.value.fix_zh


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=30) | st.text("ab=1()'\"-*/ ,;", max_size=12))
def test_any_text_is_either_accepted_or_refused(text):
    try:
        outcome = accept(text)
    except QualityError as refusal:
        outcome = refusal.code
    assert outcome in (text.strip(), "QUA-RULE-CONDITION")
