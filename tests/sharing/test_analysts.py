"""Analysts ask in SQL and see what they may: their fields, their rows, through their masks, of one release, recorded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from sql_town import BASE, FAILED, OWN, QUARANTINE, Town, firm

from sharing.analysts import Analyst
from sharing.errors import MalformedError, NoGrantError
from warehouse.errors import WarehouseError
from warehouse.sql_worker import Limits

FIRMS = [
    firm(1, capital=Decimal("500.50"), founded=dt.date(2010, 1, 1), open=True),
    firm(2, "330203", founded=dt.date(2011, 1, 1), open=False),
    firm(3, "330212"),
    firm(4, None),
    firm(5, "330106", secret_note="致电 13812345678", ent_name="张三 110105 19491231 002X 的店"),
]


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("sql"))
    made.put("base.legal_person", FIRMS)
    made.put("std_market.base", FIRMS[:3])
    made.put("qtn.market__base", [{"key": "110105194912310021", "received": "RAW#", "rules": ["r"]}], QUARANTINE)
    yield made
    made.close()


def refused(town: Town, sql: str, department: str | None = None, **said: object) -> str:
    with pytest.raises(WarehouseError) as error:
        town.ask(sql, department, **said)
    return error.value.code


def test_a_department_sees_the_fields_and_rows_of_its_grant_through_its_masks(town):
    rows = town.rows(f"SELECT * FROM {BASE} ORDER BY uscc", "tax")
    assert [one["uscc"] for one in rows] == ["USCC-1#", "USCC-2#", "USCC-5#"]
    assert list(rows[0]) == ["uscc", "ent_name", "legal_rep_name", "legal_rep_id", "division", "capital"]
    assert rows[0]["legal_rep_name"] == "张三1"
    assert rows[0]["legal_rep_id"] == "110***********0001"[:3] + "*" * 11 + "0001"


def test_fields_that_are_not_granted_are_no_columns_at_all(town):
    for column in ("secret_note", "founded", "_hash", "filename", "file_row_number"):
        assert refused(town, f"SELECT {column} FROM {BASE}", "tax") == "WH-SQL-FAILED"


def test_without_a_department_all_fields_are_seen_and_personal_data_is_masked(town):
    (row,) = town.rows(f"SELECT * FROM {BASE} WHERE uscc = 'USCC-5#'")
    assert (row["legal_rep_name"], row["secret_note"], row["unlanded"]) == ("张**", "***", None)
    assert "1949" not in row["ent_name"]
    assert row["ent_name"].startswith("张三 ")


def test_a_department_sees_its_own_table_whole_and_masked_and_no_other(town):
    assert len(town.rows(f"SELECT legal_rep_name FROM {OWN}", "market")) == 3
    assert town.rows(f"SELECT DISTINCT legal_rep_name FROM {OWN}", "market") == [{"legal_rep_name": "张**"}]
    with pytest.raises(NoGrantError):
        town.ask(f"SELECT 1 FROM {OWN}", "tax")
    with pytest.raises(NoGrantError):
        town.ask(f"SELECT 1 FROM {BASE}", "market")


def test_an_expired_grant_gives_nothing(town):
    with pytest.raises(NoGrantError, match="2020-01-01"):
        town.ask(f"SELECT 1 FROM {BASE}", "bank")
    assert town.analysts().offers(Analyst("wang", "bank")) == []


def test_a_grant_that_is_revoked_stops_the_next_query(tmp_path):
    town = Town(tmp_path)
    town.put("base.legal_person", FIRMS)
    service, asks = town.analysts(), Analyst("wang", "tax")
    assert service.ask(asks, f"SELECT count(*) FROM {BASE}").rows.num_rows == 1
    town.grants.write_text("grants: []\n", encoding="utf-8")
    with pytest.raises(NoGrantError):
        service.ask(asks, f"SELECT count(*) FROM {BASE}")
    town.close()


def test_failed_rows_are_for_a_data_manager_with_a_reason(town):
    assert refused(town, f"SELECT * FROM {FAILED}") == "WH-SQL-TABLE"
    assert refused(town, f"SELECT * FROM {FAILED}", "market") == "WH-SQL-TABLE"
    with pytest.raises(MalformedError):
        town.ask(f"SELECT * FROM {FAILED}", clear=True)
    assert town.rows(f"SELECT received FROM {FAILED}", clear=True, why="核对") == [{"received": "RAW#"}]
    assert town.rows(f"SELECT secret_note FROM {BASE} WHERE uscc='USCC-1#'", clear=True, why="核对") == [
        {"secret_note": "SECRET_NOTE-1#"}
    ]


def test_what_is_offered_is_what_can_be_asked(town):
    service = town.analysts()
    for analyst in (Analyst("a"), Analyst("a", "tax"), Analyst("a", "market"), Analyst("a", clear=True, why="核对")):
        offers = {one.subject.name: one for one in service.offers(analyst)}
        for name, offer in offers.items():
            if name != "market.empty":
                seen = service.ask(analyst, f"SELECT * FROM {name}").rows.schema.names
                assert seen == [field.name for field, _ in offer.fields]
    assert set(offers) == {BASE, OWN, FAILED, "market.empty"}


@pytest.mark.parametrize(
    "table",
    ["temp.shown_0", "main.shown_0", "memory.shown_0", "information_schema.tables", "pg_catalog.pg_class", "base.other",
     "std_market.base", "qtn.market__base", "base.legal_person_attr", "main.duckdb_settings", "base.legal_perso"],
)  # fmt: skip
def test_only_tables_that_are_offered_have_a_name(town, table):
    assert refused(town, f"SELECT * FROM {table}") == "WH-SQL-TABLE"


def test_a_table_nothing_of_which_was_released_says_so(town):
    assert refused(town, "SELECT * FROM market.empty") == "WH-SQL-EMPTY"


LEAKS = [
    "SELECT CAST({c} AS INTEGER) FROM {t}",
    "SELECT CAST({c} AS DATE) FROM {t}",
    "SELECT strptime({c}, '%Y') FROM {t}",
    "SELECT * FROM {t} WHERE CAST({c} AS INTEGER) > 0",
    "SELECT * FROM {t} ORDER BY CAST({c} AS DECIMAL(4,1))",
    "SELECT uscc FROM {t} GROUP BY uscc HAVING max(CAST({c} AS INTEGER)) > 0",
    "SELECT CAST({c} || '' AS INTEGER) OVER () FROM {t}",
    "SELECT * FROM {t} a JOIN {t} b ON CAST(a.{c} AS INTEGER) = b.capital",
    "SELECT (SELECT {c} FROM {t})",
    "SELECT json_extract({c}, '$.x') FROM {t}",
    "SELECT CASE WHEN {c} LIKE '%-3#' THEN CAST('x' AS INTEGER) END FROM {t}",
    "SELECT list_aggregate([{c}], {c}) FROM {t}",
    "SELECT '2026-01-01'::DATE + CAST({c} AS INTERVAL) FROM {t}",
    "SELECT date_trunc({c}, DATE '2026-01-01') FROM {t}",
    "SELECT regexp_matches('x', '[' || {c}) FROM {t}",
]


@pytest.mark.parametrize("sql", LEAKS)
@pytest.mark.parametrize("column", ["legal_rep_id", "ent_name"])
def test_no_error_tells_a_value_that_may_not_be_seen(town, sql, column):
    """Neither what stands behind a mask, nor anything of a row outside the grant, whatever fails on it."""
    try:
        told = str(town.rows(sql.format(c=column, t=BASE), "tax"))
    except WarehouseError as error:
        told = str(error)
    hidden = ["-3#", "-4#", "330212", *(str(one["legal_rep_id"]) for one in FIRMS), "SECRET", "_HASH"]
    assert [one for one in hidden if one in told.replace("'%-3#'", "")] == []
    assert str(town.folder) not in told


def test_conditions_see_what_is_shown_and_not_what_is_behind_it(town):
    assert town.rows(f"SELECT uscc FROM {BASE} WHERE legal_rep_id = '{FIRMS[0]['legal_rep_id']}'", "tax") == []
    assert town.rows(f"SELECT count(*) n FROM {BASE} WHERE division = '330212' OR true", "tax") == [{"n": 3}]
    assert town.rows(f"SELECT max(length(legal_rep_name)) n FROM {BASE}") == [{"n": 3}]


def test_a_query_reads_one_release_and_says_which(town):
    answer = town.ask(f"SELECT a.uscc FROM {BASE} a JOIN {OWN} b USING (uscc)")
    assert answer.release == town.state.release().id
    assert answer.tables == {BASE: ("uscc",), OWN: ("uscc",)}


def test_a_release_during_a_query_is_not_seen_by_it(tmp_path):
    town = Town(tmp_path)
    town.put("base.legal_person", FIRMS)

    def meanwhile(task):
        from warehouse.sql_worker import answer

        town.put("base.legal_person", FIRMS[:1])
        return answer(task)

    answer = town.analysts(meanwhile).ask(Analyst("wang"), f"SELECT * FROM {BASE} a, {BASE} b")
    assert answer.rows.num_rows == 25
    assert town.ask(f"SELECT * FROM {BASE}").rows.num_rows == 1
    town.close()


def test_every_query_is_recorded_before_its_answer_leaves(town):
    seen = []

    def looked_at(task):
        from warehouse.sql_worker import answer

        seen.append(town.analysts().log.newest(1)[0])
        return answer(task)

    service = town.analysts(looked_at)
    sql = f"SELECT uscc FROM {BASE} WHERE legal_rep_id = '110105194912310021'"
    answer = service.ask(Analyst("wang", "tax", why="专项检查"), sql)
    (done,) = service.log.newest(1)
    assert (seen[0].outcome, seen[0].release, seen[0].rows) == ("running", answer.release, None)
    assert (done.who, done.department, done.purpose) == ("wang", "tax", "专项检查；税务登记")
    assert (done.outcome, done.rows, done.grants) == ("done", 0, ["tax-firms"])
    assert done.tables == {BASE: ["uscc", "legal_rep_id"]}
    assert (done.digest, done.id) == (answer.digest, answer.number)
    assert "110105194912310021" not in str(done)


def test_a_query_that_is_refused_is_recorded_with_its_reason(town):
    log = town.analysts().log
    refused(town, "SELECT * FROM read_text('/etc/passwd')")
    assert log.newest(1)[0].outcome == "WH-SQL-REFUSED"
    refused(town, f"SELECT nothing FROM {BASE}", "tax")
    assert (log.newest(1)[0].outcome, log.newest(1)[0].tables) == ("WH-SQL-FAILED", {BASE: []})
    with pytest.raises(NoGrantError):
        town.ask(f"SELECT 1 FROM {OWN}", "tax")
    assert log.newest(1)[0].outcome == "SHR-NO-GRANT"


def test_more_rows_than_the_limit_are_not_given_and_said_to_be_there(town):
    answer = town.analysts().ask(Analyst("wang"), f"SELECT * FROM {BASE}", Limits(rows=2))
    assert (answer.rows.num_rows, answer.more) == (2, True)
    answer = town.analysts().ask(Analyst("wang"), f"SELECT * FROM {BASE}", Limits(rows=5))
    assert (answer.rows.num_rows, answer.more) == (5, False)


def test_the_named_grant_is_the_one_that_counts(town):
    assert town.ask(f"SELECT 1 FROM {BASE}", "tax", grant="tax-firms").grants == ("tax-firms",)
    with pytest.raises(NoGrantError):
        town.ask(f"SELECT 1 FROM {BASE}", "tax", grant="bank-old")


def test_sql_runs_in_a_process_that_is_ended_in_time(town):
    service = town.analysts(run=None)
    asks, limits = Analyst("wang", "tax"), Limits(seconds=1, memory=64 << 20)
    answer = service.ask(asks, f"SELECT uscc, legal_rep_id FROM {BASE} ORDER BY 1", replace(limits, seconds=60))
    assert answer.rows.to_pylist()[0]["legal_rep_id"].endswith("*0001")
    for sql, code in (
        (f"SELECT count(*) FROM range(10000000) a, range(10000000) b, {BASE}", "WH-SQL-TIME"),
        ("SELECT string_agg(x::VARCHAR || 'x') FROM range(1000000000) t(x)", "WH-SQL-MEMORY"),
    ):
        with pytest.raises(WarehouseError) as ended:
            service.ask(asks, sql, replace(limits, seconds=1 if code == "WH-SQL-TIME" else 60))
        assert ended.value.code == code
    assert [one.name for one in town.tables.site.work.glob("sql-*")] == []


def test_a_name_without_its_schema_is_answered_with_the_whole_one(town):
    with pytest.raises(WarehouseError) as told:
        town.analysts().ask(Analyst("chen"), f"SELECT * FROM {BASE.partition('.')[2]}")
    assert BASE in told.value.fix_en
