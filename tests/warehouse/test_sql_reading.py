"""What an analyst's SQL may say: everything that reads, computes and joins, and nothing that does more."""

from __future__ import annotations

from contextlib import suppress

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.errors import WarehouseError
from warehouse.sql_functions import FUNCTIONS, TABLE_FUNCTIONS
from warehouse.sql_reading import LONGEST, read

REFUSED = {
    "files": [
        "SELECT * FROM read_parquet('/etc/passwd')", "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('x.csv')", "SELECT * FROM read_json_auto('x')", "SELECT * FROM read_blob('*')",
        "SELECT * FROM glob('/*')", "SELECT * FROM parquet_metadata('x')", "SELECT * FROM parquet_scan('x')",
        "SELECT * FROM sniff_csv('x')", "SELECT * FROM iceberg_scan('x')", "FROM 'a.parquet'", "FROM '/etc/passwd'",
        'SELECT * FROM "s3://lake/x.parquet"', "SELECT * FROM base.f, 'a.csv'",
        "SELECT (SELECT content FROM read_text('/etc/passwd'))",
        "WITH a AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM a",
        "SELECT * FROM base.f WHERE uscc IN (SELECT content FROM read_text('x'))",
        "SELECT 1 ORDER BY (SELECT content FROM read_text('x'))",
        "SELECT 1 LIMIT (SELECT length(content) FROM read_text('x'))",
        "SELECT * FROM base.f JOIN base.g ON (SELECT true FROM read_text('x'))",
        "SELECT count(*) FILTER (WHERE (SELECT true FROM read_text('x'))) FROM base.f",
        "SELECT sum(1) OVER (PARTITION BY (SELECT content FROM read_text('x'))) FROM base.f",
        "VALUES ((SELECT content FROM read_text('x')))", "SELECT * FROM (VALUES ((SELECT 1 FROM glob('*')))) v",
        "SELECT * FROM range((SELECT count(*) FROM glob('*')))", "SELECT * FROM LATERAL (SELECT * FROM glob('*'))",
    ],
    "statements": [
        "COPY base.f TO '/tmp/x.csv'", "COPY (SELECT 1) TO '/dev/shm/x'", "EXPORT DATABASE '/tmp/x'",
        "ATTACH '/tmp/x.db'", "DETACH memory", "USE memory", "INSTALL httpfs", "LOAD httpfs", "SET threads = 99",
        "RESET threads", "PRAGMA database_list", "PRAGMA version", "CALL duckdb_settings()", "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW base.f AS SELECT 1", "CREATE OR REPLACE VIEW base.f AS SELECT * FROM shown_0", "DROP VIEW base.f",
        "CREATE MACRO upper(x) AS x", "CREATE SECRET (TYPE s3)", "INSERT INTO base.f VALUES (1)", "DELETE FROM base.f",
        "UPDATE base.f SET a = 1", "ALTER VIEW base.f RENAME TO g", "BEGIN", "CHECKPOINT", "VACUUM", "EXPLAIN SELECT 1",
        "PREPARE q AS SELECT 1", "EXECUTE q", "SHOW TABLES", "SHOW ALL TABLES", "DESCRIBE base.f", "SUMMARIZE base.f",
        "FROM (SHOW TABLES)", "FROM (DESCRIBE base.f)", "SELECT 1; SELECT 2", "SELECT 1; DROP VIEW base.f",
        "SET VARIABLE x = 1", "COMMENT ON VIEW base.f IS 'x'", "PIVOT base.f ON a USING sum(b)", "IMPORT DATABASE 'x'",
        "MERGE INTO base.f USING base.g ON true WHEN MATCHED THEN DELETE", "UPDATE EXTENSIONS", "ANALYZE",
    ],
    "what the engine knows of itself": [
        "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_settings", "SELECT * FROM duckdb_tables()",
        "SELECT * FROM duckdb_views()", "SELECT * FROM duckdb_secrets()", "SELECT * FROM duckdb_logs",
        "SELECT * FROM pragma_database_list", "SELECT * FROM pragma_table_info('x')", "SELECT * FROM sqlite_master",
        "SELECT * FROM duckdb_temporary_files()", "SELECT getenv('HOME')", "SELECT current_setting('temp_directory')",
        "SELECT current_query()", "SELECT version()", "SELECT pg_get_viewdef(1)", "SELECT getvariable('x')",
        "SELECT json_serialize_plan('SELECT 1')", "SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('x')",
        "SELECT * FROM json_execute_serialized_sql('x')", "SELECT * FROM sql_auto_complete('x')",
        "SELECT * FROM shown_0", "SELECT * FROM memory.base.f", "SELECT * FROM test_all_types()",
        "SELECT main.getenv('HOME')", "SELECT pg_catalog.current_setting('x')", "SELECT system.main.getenv('x')",
        "SELECT * FROM (WITH duckdb_settings AS (SELECT 1) SELECT 1), duckdb_settings",
        "WITH a AS (SELECT * FROM pg_class), pg_class AS (SELECT 1) SELECT * FROM a",
    ],
    "without end": [
        "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT 1 FROM t) SELECT * FROM t", "SELECT repeat('x', 1000000000)",
        "SELECT range(1000000000)", "SELECT generate_series(1, 1000000000)", "SELECT lpad('x', 1000000000, 'y')",
        "SELECT sleep_ms(100000)", "SELECT pg_sleep(100)", "SELECT list_resize([1], 1000000000)", "SELECT bar(1, 0, 9, 1e9)",
        "SELECT printf('%1000000000d', 1)", "SELECT format('{:1000000000}', 1)", "SELECT write_log('x')",
        "SELECT " + " || ".join(["uscc"] * 40) + " FROM base.f", "SELECT " + "(SELECT " * 500 + "1" + ")" * 500,
    ],
    "what has no meaning here": [
        "", "   ", "SELECT ?", "SELECT $1", "SELECT #1 FROM base.f", "SELECT * FROM base.f AT (VERSION => 1)",
        "SELECT 1\x00", "-- nothing", "SELECT '" + "x" * LONGEST + "'", "SELECT nextval('s')", "SELECT setseed(0.1)",
    ],
}  # fmt: skip
ATTACKS = [(kind, sql) for kind, every in REFUSED.items() for sql in every]
ALLOWED = [
    "SELECT * FROM base.f", "FROM base.f", "select count(*) from Base.F", "WITH a AS (SELECT 1 AS x) SELECT x FROM a;",
    "SELECT division, count(*) FILTER (WHERE open) FROM base.f GROUP BY ALL HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 9",
    "SELECT a.uscc FROM base.f a LEFT JOIN market.g b USING (uscc) WHERE b.uscc IS NULL",
    "SELECT *, row_number() OVER (PARTITION BY division ORDER BY founded) AS n FROM base.f QUALIFY n = 1",
    "SELECT CASE WHEN capital > 1e6 THEN '大' ELSE '小' END, TRY_CAST(uscc AS BIGINT), founded + INTERVAL 1 MONTH FROM base.f",
    "SELECT * FROM base.f UNION ALL BY NAME SELECT * FROM market.g", "SELECT x FROM unnest([1, 2]) t(x)",
    "SELECT d FROM range(DATE '2026-01-01', DATE '2026-02-01', INTERVAL 1 DAY) t(d)",
    "SELECT * EXCLUDE (phone) REPLACE (upper(uscc) AS uscc) FROM base.f", "SELECT [x * 2 FOR x IN [1, 2]]",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 FROM a) SELECT * FROM a, b", "SELECT EXISTS (SELECT 1 FROM base.f)",
    "SELECT quantile_cont(capital, 0.5), mode(division), string_agg(uscc, ',' ORDER BY uscc) FROM base.f",
    "SELECT date_trunc('month', founded) m, sum(capital) OVER (ORDER BY m ROWS 2 PRECEDING) FROM base.f",
    "SELECT 1 -- 注释\n/* 又一条 */", "SELECT regexp_extract(ent_name, '(.+)公司', 1) FROM base.f USING SAMPLE 10",
    "SELECT uscc FROM base.f GROUP BY GROUPING SETS ((uscc), ())", 'SELECT "中文 列" FROM "base"."f"',
]  # fmt: skip


@pytest.mark.parametrize(("kind", "sql"), ATTACKS, ids=[f"{kind}-{at}" for at, (kind, _) in enumerate(ATTACKS)])
def test_what_does_more_than_read_is_refused(kind, sql):
    with pytest.raises(WarehouseError) as refused:
        read(sql)
    assert refused.value.code in {"WH-SQL-REFUSED", "WH-SQL-TABLE", "WH-SQL-SYNTAX"}


@pytest.mark.parametrize("sql", ALLOWED)
def test_what_reads_is_let_through(sql):
    assert {one.name for one in read(sql).tables} <= {"base.f", "market.g"}


def test_the_tables_are_those_the_text_names_once_each_and_in_small_letters():
    asked = read("SELECT * FROM Base.F a, base.f b WHERE EXISTS (SELECT 1 FROM market.g) -- FROM x.y")
    assert [one.name for one in asked.tables] == ["base.f", "market.g"]


def test_a_name_that_is_used_only_where_it_is_not_known_is_no_name_of_a_query():
    read("WITH a AS (SELECT 1) SELECT * FROM (WITH b AS (SELECT * FROM a) SELECT * FROM b)")
    with pytest.raises(WarehouseError, match="WH-SQL-TABLE"):
        read("SELECT * FROM (WITH b AS (SELECT 1) SELECT * FROM b) x, b")


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT uscc FROM base.f", ("uscc",)),
        ("SELECT USCC FROM base.f WHERE \"Name\" = 'phone'", ("uscc", "name")),
        ("SELECT count(*) FROM base.f", ("uscc",)),
        ("SELECT f.name FROM base.f JOIN market.g USING (phone)", ("name", "phone")),
        ("SELECT f FROM base.f", ("uscc", "name", "phone")),
        ("SELECT x FROM base.f AS x", ("uscc", "name", "phone")),
        ("SELECT COLUMNS('u.*') FROM base.f", ("uscc", "name", "phone")),
        ("SELECT 1 FROM base.f NATURAL JOIN market.g", ("uscc", "name", "phone")),
        ("SELECT a FROM base.f AS t(a, b, c)", ("uscc", "name", "phone")),
        ("SELECT 1 FROM base.f ORDER BY ALL", ("uscc", "name", "phone")),
    ],
)
def test_only_columns_that_may_be_used_are_read(sql, wanted):
    assert read(sql).wanted(("uscc", "name", "phone")) == wanted


def test_an_error_says_where_by_line_and_character_in_both_languages():
    with pytest.raises(WarehouseError) as refused:
        read("SELECT '数通',\n  ent_name, getenv('HOME')\nFROM base.f")
    assert "第 2 行第 13 列" in refused.value.zh
    assert "line 2, column 13" in refused.value.en
    with pytest.raises(WarehouseError) as wrong:
        read("SELECT '数通' FORM base.f")
    assert "column 18" in wrong.value.en


def test_every_function_that_may_be_called_is_one_of_the_engine():
    with duckdb.connect() as connection:
        known = {name for (name,) in connection.execute("SELECT function_name FROM duckdb_functions()").fetchall()}
    assert (FUNCTIONS | TABLE_FUNCTIONS) - known <= {
        "!",
        "coalesce",
        "ifnull",
        "grouping",
        "grouping_id",
    }


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("SELECT FROMbase.f,()'\"*;-/1=\n数"), max_size=60))
def test_whatever_is_said_is_a_query_or_an_explained_error(text):
    with suppress(WarehouseError):
        read(text)
