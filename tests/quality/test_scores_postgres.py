"""Scores, what gates look back at, and decisions come out the same where the state database is PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import sqlalchemy as sa

from infra.testing import postgres
from quality.gate_history import Observed
from quality.gate_store import DECISION, GateStore
from quality.scores import QualityScores, Scope
from quality.scores_values import Facts
from quality.store import QUALITY_RUN, QualityStore
from runs.holds_store import Holds
from runs.holds_tables import RETURN
from schemas.standard import Rule
from schemas.values import RuleCount, Verdict
from warehouse.state.database import migrate, open_engine

RULE = Rule("code", "check_digit", ("uscc",), "校验", "check", indicator="0301")
FIRMS = "scjg.firms"


@pytest.fixture(scope="module")
def engine():
    with postgres.running() as server:
        engine = open_engine(server.url())
        migrate(engine)
        yield engine
        engine.dispose()


def told(engine, run, wrong, day, decision="pass", *, resource=FIRMS, rows=100):
    none = pa.table({"_row": pa.array([], pa.int64()), "rules": pa.array([], pa.list_(pa.string()))})
    count = RuleCount("code", "error", wrong, rows)
    found = Verdict(rows, (count,), none, pa.array([], pa.int64()), decision, "", "", {})
    row = {"resource": resource, "run": run, "department": "scjg", "batch": run, "rows": 0, "quarantined": 0}
    row |= {"decision": decision, "reason_zh": "", "reason_en": "", "results": "{}"}
    with engine.begin() as connection:
        known = sa.select(QUALITY_RUN.c.run).where(QUALITY_RUN.c.run == run, QUALITY_RUN.c.resource == resource)
        if connection.execute(known).first() is None:
            connection.execute(sa.insert(QUALITY_RUN).values(**row, checked_at=f"{day}T09:00:00.000000+08:00"))
    QualityStore(engine).record(resource, "scjg", run, run, [RULE], found, Facts(library="legal_person"))


def test_sums_by_day_and_month_follow_the_last_check_of_each_run(engine):
    told(engine, "r1", 50, "2026-01-30")
    told(engine, "r2", 2, "2026-01-31")
    told(engine, "r3", 3, "2026-02-01", resource="gsj.firms")
    told(engine, "r1", 1, "2026-01-30")
    kept, firms = QualityScores(engine, {"gsj.firms": FIRMS}), Scope(resource=FIRMS)
    days = {
        (one.group, one.period): one.base - one.met for one in kept.sums("rule", by="day", name="code", scope=firms)
    }
    assert days == {(FIRMS, "2026-01-30"): 1, (FIRMS, "2026-01-31"): 2, (FIRMS, "2026-02-01"): 3}
    months = {one.period: (one.met, one.base, one.runs) for one in kept.sums(group="library", by="month", scope=firms)}
    assert months == {"2026-01": (197, 200, 2), "2026-02": (97, 100, 1)}
    assert [one.runs for one in kept.sums(scope=Scope(resource=FIRMS, since="2026-01-31"))] == [2]


def test_checks_of_one_library_at_the_same_time_wait_for_each_other_and_lose_no_count(engine):
    def six(resource):
        for turn in range(6):  # each of three runs twice, each time on another day than the others
            told(engine, f"c{turn % 3}", turn, f"2026-05-0{turn % 3 + 1}", resource=resource)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(six, [f"d{number}.firms" for number in range(4)]))
    may = Scope(since="2026-05-01", until="2026-05-31")
    (one,) = [one for one in QualityScores(engine).sums(group="library", scope=may) if one.measure.startswith("0301")]
    assert (one.met, one.base, one.runs) == (4 * (97 + 96 + 95), 1200, 12)


def test_usual_runs_are_the_good_ones_and_those_a_data_manager_released(engine):
    resource = "mzj.societies"
    for run, decision, rows in (
        ("a", "pass", 10),
        ("b", "hold", 20),
        ("c", "hold", 30),
        ("d", "warn", 40),
        ("d#2", "pass", 2),
    ):
        told(engine, run, 0, f"2026-03-0{ord(run[0]) - 96}", decision, resource=resource, rows=rows)
    row = {"resource": resource, "batch": "c", "run": "c", "rows": 30, "decision": "release", "at": "", "who": "chen"}
    holds = Holds(engine)
    assert holds.decide([{**row, "why": "核实", "held_zh": "", "held_en": ""}], 0) == "recorded"
    assert holds.decide([{**row, "decision": "reject", "why": "晚了", "held_zh": "", "held_en": ""}], 0) == "released"
    store = GateStore(engine)
    assert store.rows_before(resource, "now", 5) == {"d": 42, "c": 30, "a": 10}
    assert store.rows_before(resource, "d", 1) == {"c": 30}
    store.keep(resource, "d", Observed({"state": {"1": 3}}, {"day": "2026-03-01"}))
    store.keep(resource, "d#2", Observed({"state": {"1": 1, "2": 1}}))
    store.keep(resource, "dd", Observed({"state": {"9": 9}}))
    assert store.seen(resource, ["d"]) == Observed({"state": {"1": 4, "2": 1}}, {"day": "2026-03-01"})


def test_decisions_and_returns_are_only_ever_added_to(engine):
    row = {"kind": "release", "origin": "b", "row": 1, "place": 1, "accepted": ["code"], "changed": []}
    holds = Holds(engine)
    holds.bring_back(FIRMS, "release-1", [row], who="chen", why="核实", at=datetime(2026, 3, 1, tzinfo=UTC))
    holds.bring_back(FIRMS, "release-1", [row], who="chen", why="核实", at=datetime(2026, 3, 1, tzinfo=UTC))
    assert [one.accepted for one in holds.of_run("release-1")] == [("code",)]
    assert holds.returned(FIRMS) == [], "no batch of that run is there yet"
    assert holds.newer(FIRMS, "b") == []
    row = {"resource": FIRMS, "batch": "b", "run": "b", "rows": 1, "decision": "reject", "at": "", "who": "chen"}
    assert holds.decide([{**row, "why": "不实", "held_zh": "", "held_en": ""}], 0) == "recorded"
    for table in (DECISION, RETURN):
        for change in (sa.update(table).values(why="别的"), sa.delete(table)):
            with pytest.raises(sa.exc.DBAPIError, match="only ever added"), engine.begin() as connection:
                connection.execute(change)
