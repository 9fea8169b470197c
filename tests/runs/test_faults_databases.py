"""Whatever happens to a departmental database, a run says it and the next step, and the next run lands every row."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from departmental_table import MAP
from faulty import PIECE, deployment, fails, kept_rows, lands
from present import needs
from small_deployment import code

from connectors.databases.source import SqlSource
from infra.testing import postgres, wire

COUNT = 60  # firms: eight ranges
RANGES = f"{{kind: sql, table: ent, split_rows: {PIECE}}}"
WHOLE = "{kind: sql, table: ent}"
BY_CHANGE = "{kind: sql, table: ent, cursor: {column: changed, lag: 10m}}"
TEMPERS = "timeouts: {connect: 1, silence: 1}"
LONG = 200_000_000  # bytes, of one text
WAIT = 20.0  # seconds in which a fault must be noticed


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Postgres]:
    needs(postgres)
    with postgres.running() as one:
        yield one


@pytest.fixture(scope="module")
def line(server: postgres.Postgres) -> Iterator[wire.Wire]:
    with wire.between(server.port) as one:
        yield one


@pytest.fixture
def execute(server: postgres.Postgres) -> Iterator[Callable[[str], None]]:
    """Does SQL at the department, which has sixty firms."""
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password, dbname="postgres",
        autocommit=True,
    ) as database:  # fmt: skip

        def do(statement: str) -> None:
            database.execute(statement)

        do("DROP TABLE IF EXISTS ent")
        do("CREATE TABLE ent (id int PRIMARY KEY, uniscid text, entname text, apprdate text, dom text,"
           " changed timestamp)")  # fmt: skip
        with database.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO ent VALUES (%s, %s, %s, '2024-01-01', '杭州', '2024-05-01')",
                [(n, code(n), f"公司{n}𠮷") for n in range(COUNT)],
            )
        do("ANALYZE ent")
        yield do


@pytest.fixture
def registry(tmp_path, server, line, execute):
    """A deployment over the table, reached through the line; call with the YAML of the source."""
    line.mend()

    def of(source: str, user: str = server.user, more: str = ""):
        url = f"postgresql+psycopg://{user}@127.0.0.1:{line.port}/postgres"
        return deployment(
            tmp_path / "home", source, connection=f'{{url: "{url}", password_secret: pg}}', more=MAP + more
        )

    yield of
    line.mend()


def everybody(*beyond: int) -> set[str]:
    return {code(n) for n in (*range(COUNT), *beyond)}


@contextmanager
def in_time() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < WAIT


def after_planning(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something at the department after a run has planned and before it reads."""
    plan = SqlSource.plan

    def planned(source: SqlSource, position):
        splits = plan(source, position)
        act()
        return splits

    monkeypatch.setattr(SqlSource, "plan", planned)


@pytest.mark.parametrize("fault", ["cut", "hang"])
def test_a_source_that_dies_or_hangs_in_the_middle_is_gone_on_with_where_it_stopped(
    registry, server, line, fault, monkeypatch
):
    home = registry(RANGES.replace("}", f", {TEMPERS}}}"))
    with in_time(), monkeypatch.context() as once:
        once.setattr("warehouse.keep.reached", lambda point: point == "pull.committed" and line.breaks(fault))
        error = fails(home, "SRC-SQL-UNAVAILABLE", pg=server.password)
    assert error.retryable
    kept = kept_rows(home, pg=server.password)
    assert 0 < kept < COUNT
    line.mend()
    report, firms = lands(home, pg=server.password)
    assert set(firms) == everybody()
    assert report.pulled == COUNT - kept


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(registry, server, line):
    home = registry(WHOLE.replace("}", f", {TEMPERS}}}"))
    line.breaks("mute")
    with in_time():
        assert fails(home, "SRC-SQL-UNAVAILABLE", pg=server.password).retryable
    line.mend()
    assert set(lands(home, pg=server.password)[1]) == everybody()


def test_a_password_that_rotates_between_runs_is_asked_for_and_not_tried_again(registry, server, execute):
    execute("DROP ROLE IF EXISTS reader")
    execute("CREATE ROLE reader LOGIN PASSWORD 'spring-1234'; GRANT SELECT ON ent TO reader")
    home = registry(WHOLE, "reader", "read: {mode: snapshot_diff}\n")
    lands(home, "spring", pg="spring-1234")
    execute("ALTER ROLE reader PASSWORD 'summer-5678'")
    execute(f"INSERT INTO ent VALUES (90, '{code(90)}', '新', '2024-01-01', '杭州', now())")
    assert not fails(home, "SRC-SQL-REFUSED", pg="spring-1234").retryable
    report, firms = lands(home, pg="summer-5678")
    assert (report.pulled, set(firms)) == (1, everybody(90))
    execute("DROP OWNED BY reader; DROP ROLE reader")


def test_a_source_clock_that_jumps_hides_no_later_change(registry, server, execute):
    home = registry(BY_CHANGE)
    lands(home, "first", pg=server.password)

    def changes(number: int, moment: str) -> dict[str, str]:
        execute(f"INSERT INTO ent VALUES ({number}, '{code(number)}', '钟', '2024-01-01', '杭州', {moment})")
        return lands(home, f"clock-{number}", pg=server.password)[1]

    ahead = dt.timedelta(days=365 * 70)
    assert code(91) in changes(91, f"now() at time zone 'UTC' + interval '{ahead.days} days'")
    assert code(92) in changes(92, "now() at time zone 'UTC'")
    assert code(93) in changes(93, "now() at time zone 'UTC' - interval '5 minutes'")
    assert code(94) in changes(94, "'infinity'")
    assert code(95) in changes(95, "now() at time zone 'UTC'")


def test_of_duplicate_keys_the_newest_lands_and_every_row_is_counted(registry, server, execute):
    execute(f"INSERT INTO ent VALUES (96, '{code(1)}', '新名', '2025-01-01', '杭州', now())")
    execute(f"INSERT INTO ent VALUES (97, '{code(2)}', '旧名', '2020-01-01', '杭州', now())")
    report, firms = lands(registry(WHOLE, more="order: [appr_date]\n"), pg=server.password)
    assert (report.pulled, report.landed, report.superseded) == (COUNT + 2, COUNT, 2)
    assert (firms[code(1)], firms[code(2)]) == ("新名", "公司2𠮷")


def test_an_enormous_text_is_a_reject_that_says_how_long_it_is_and_the_rest_lands(registry, server, execute):
    execute(f"UPDATE ent SET dom = repeat('甲', {LONG // 3}) WHERE id = 7")
    home = registry(WHOLE)
    report, firms = lands(home, pg=server.password)
    assert (report.landed, report.quarantined) == (COUNT - 1, 1)
    assert code(7) not in firms
    execute("UPDATE ent SET dom = '短' WHERE id = 7")
    assert set(lands(home, "mended", pg=server.password)[1]) == everybody()


def test_an_empty_table_brings_no_rows_and_is_no_error(registry, server, execute):
    execute("CREATE TABLE IF NOT EXISTS aside AS TABLE ent; TRUNCATE ent")
    home = registry(WHOLE)
    report, firms = lands(home, pg=server.password)
    assert (report.pulled, firms) == (0, {})
    execute("INSERT INTO ent TABLE aside; DROP TABLE aside")
    assert set(lands(home, "filled", pg=server.password)[1]) == everybody()


def test_a_table_dropped_between_plan_and_read_is_named_and_read_once_it_is_back(
    registry, server, execute, monkeypatch
):
    home = registry(WHOLE)
    with monkeypatch.context() as once:
        after_planning(once, lambda: execute("ALTER TABLE ent RENAME TO being_rebuilt"))
        assert "ent" in fails(home, "SRC-CHANGED", pg=server.password).zh
    assert kept_rows(home, pg=server.password) == 0
    execute("ALTER TABLE being_rebuilt RENAME TO ent")
    assert set(lands(home, pg=server.password)[1]) == everybody()


def test_in_read_only_maintenance_a_source_is_read_and_when_it_is_closed_one_waits(registry, server, execute):
    home = registry(WHOLE)
    execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
    try:
        assert set(lands(home, "read-only", pg=server.password)[1]) == everybody()
    finally:
        execute("SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only")
    execute("CREATE ROLE visitor LOGIN PASSWORD 'visitor-1234' CONNECTION LIMIT 0; GRANT SELECT ON ent TO visitor")
    home = registry(WHOLE, "visitor")
    assert fails(home, "SRC-SQL-UNAVAILABLE", "closed", pg="visitor-1234").retryable
    execute("ALTER ROLE visitor CONNECTION LIMIT 5")
    assert set(lands(home, "open", pg="visitor-1234")[1]) == everybody()
    execute("DROP OWNED BY visitor; DROP ROLE visitor")
