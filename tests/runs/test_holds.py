"""A held batch waits until a data manager decides; what was rejected never lands, what was released lands whole."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
import sqlalchemy as sa

from quality.errors import QualityError
from quality.gate_store import DECISION
from quality.orders_values import Actor
from quality.scores import QualityScores
from runs.errors import RunError
from runs.holds import decide, waiting
from runs.holds_store import Holds
from tests.runs.small_deployment import (
    HEADER,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    landed,
    lay_out,
    opened,
    quarantined,
    write_small_standard,
)

FIRMS = "scjg.firms"
BAD = ["913301001111111111", "坏有限公司", "2024-01-01", "杭州"]
CHEN = Actor("chen", "bigdata", frozenset({"data_manager"}))
CLERK = Actor("wang", "scjg", frozenset({"member"}))
NOW = datetime(2026, 3, 2, 9, tzinfo=timezone(timedelta(hours=8)))


@pytest.fixture
def home(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home), percent=20)
    return home


def say(wired, decision, by=CHEN, why="来源已核实", run=None):
    return decide(wired.steps, wired.parts, FIRMS, decision, by, why, NOW, run)


def held_run(wired, home, run="r1", name="a.csv"):
    drop(home, name, [BAD, BAD, firm(1, "甲一")])
    report = wired.steps.ingest(FIRMS, run)
    assert (report.held, report.landed) == (3, 0)


def test_a_released_batch_lands_whole_and_the_decision_says_who_when_why_and_for_what_it_was_held(home):
    with opened(home) as wired:
        held_run(wired, home)
        (one,) = waiting(wired.parts)
        assert (one.resource, one.run, one.rows) == (FIRMS, "r1", 3)
        assert "66.67%" in one.reason_zh
        report = say(wired, "release")
        assert (report.landed, report.quarantined, report.held, report.changed) == (1, 2, 0, True)
        assert landed(wired) == {code(1): "甲一"}
        assert wired.state.run("r1").status == "done"
        assert waiting(wired.parts) == []
        (decided,) = Holds(wired.state.engine).decisions(FIRMS)
        assert (decided.decision, decided.who, decided.why, decided.rows) == ("release", "chen", "来源已核实", 3)
        assert decided.at.startswith("2026-03-02T09:00")
        assert "66.67%" in decided.held_en
        assert (wired.steps.land(FIRMS, "r1").landed, len(wired.state.releases())) == (1, 1)


def test_a_rejected_batch_never_lands_not_even_when_the_same_content_comes_again(home):
    with opened(home) as wired:
        held_run(wired, home)
        report = say(wired, "reject")
        assert (report.rejected, report.landed) == (3, 0)
        assert (wired.state.run("r1").status, waiting(wired.parts)) == ("rejected", [])
        again = wired.steps.ingest(FIRMS, "r2", everything=True)
        assert (again.rejected, again.landed, again.held) == (3, 0, 0)
        assert wired.state.run("r2").status == "rejected"
        wired.steps.land(FIRMS, "r1")
        (home / "drops" / "a.csv").unlink()
        drop(home, "b.csv", [firm(2)])
        wired.steps.ingest(FIRMS, "r3", everything=True)
        assert set(landed(wired)) == {code(2)}
        assert quarantined(wired) == {}


def test_a_rejected_batch_lands_when_a_data_manager_releases_it_after_all(home):
    with opened(home) as wired:
        held_run(wired, home)
        say(wired, "reject")
        with pytest.raises(RunError, match="RUN-HELD-NONE"):
            say(wired, "release")
        assert say(wired, "release", run="r1").landed == 1
        assert [one.decision for one in Holds(wired.state.engine).decisions(FIRMS)] == ["release", "reject"]
        with pytest.raises(RunError, match="RUN-HELD-LANDED"):
            say(wired, "reject", run="r1")


def test_only_a_data_manager_decides_and_says_why(home):
    with opened(home) as wired:
        held_run(wired, home)
        with pytest.raises(RunError, match="RUN-HELD-RIGHT"):
            say(wired, "release", by=CLERK)
        with pytest.raises(QualityError, match="QUA-ORDER-WORDS"):
            say(wired, "reject", why="  ")
        assert len(waiting(wired.parts)) == 1


def test_where_several_runs_wait_one_is_named(home):
    with opened(home) as wired:
        held_run(wired, home)
        held_run(wired, home, "r2", "b.csv")
        runs = [one.run for one in waiting(wired.parts, FIRMS)]
        if len(runs) > 1:
            with pytest.raises(RunError, match="RUN-HELD-WHICH") as raised:
                say(wired, "release")
            assert all(run in raised.value.en for run in runs)
        say(wired, "reject", run=runs[0])
        assert runs[0] not in [one.run for one in waiting(wired.parts)]


def test_a_batch_that_is_released_late_leaves_newer_records_as_they_are(home):
    """The department delivered again before anybody looked: what it said last stays, without any order field too."""
    standard = (home / "standards" / "small_firm.yaml").read_text().replace("order: [appr_date]\n", "")
    (home / "standards" / "small_firm.yaml").write_text(standard)
    with opened(home) as wired:
        drop(home, "a.csv", [BAD, BAD, firm(1, "旧名称"), firm(2, "只在旧批")])
        wired.steps.ingest(FIRMS, "r1")
        drop(home, "b.csv", [firm(1, "新名称"), firm(3)])
        wired.steps.ingest(FIRMS, "r2")
        report = say(wired, "release")
        assert (report.landed, report.quarantined, report.superseded) == (1, 2, 1)
        assert landed(wired)[code(1)] == "新名称"
        assert landed(wired)[code(2)] == "只在旧批"


def test_a_batch_that_is_released_late_brings_no_record_back_that_was_deleted_since(home):
    more = 'read: {mode: full, deletes: {detect: flag, column: gone, values: ["Y"]}, max_deletes: 100}\n'
    add_resource(home, csv_source(), standard="small_firm@1", percent=20, more=more)
    header = [*HEADER, "gone"]
    with opened(home) as wired:
        drop(home, "a.csv", [[*firm(9, day="2023-01-01"), ""]], header)
        wired.steps.ingest(FIRMS, "r0")
        drop(home, "a.csv", [[*BAD, ""], [*firm(1), ""], [*firm(2), ""]], header)
        assert wired.steps.ingest(FIRMS, "r1", everything=True).held == 3
        drop(home, "a.csv", [[*firm(1, day="2024-02-01"), "Y"], [*firm(3, day="2024-02-01"), ""]], header)
        wired.steps.ingest(FIRMS, "r2", everything=True)
        report = say(wired, "release")
        assert (report.landed, report.quarantined, report.superseded) == (1, 1, 1)
        assert set(landed(wired)) == {code(9), code(2), code(3)}


def test_a_process_that_dies_between_decision_and_landing_is_made_up_for_by_the_next_run(home, monkeypatch):
    with opened(home) as wired:
        held_run(wired, home)

        def die(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("runs.steps.land_batch", die)
            with pytest.raises(KeyboardInterrupt):
                say(wired, "release")
        assert landed(wired) == {}
        drop(home, "b.csv", [firm(2)])
        wired.steps.ingest(FIRMS, "r2")
        assert set(landed(wired)) == {code(1), code(2)}
        assert wired.state.run("r1").status == "done"


@pytest.mark.parametrize(("decision", "status"), [("release", "done"), ("reject", "rejected")])
def test_a_decision_whose_process_died_is_finished_by_saying_it_again(home, monkeypatch, decision, status):
    with opened(home) as wired:
        held_run(wired, home)

        def die(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("runs.steps.land_batch", die)
            patch.setattr("runs.holds._settle", die)
            with pytest.raises(KeyboardInterrupt):
                say(wired, decision)
        assert wired.state.run("r1").status == "held"
        say(wired, decision)
        assert wired.state.run("r1").status == status
        assert landed(wired) == ({code(1): "甲一"} if decision == "release" else {})
        assert len(Holds(wired.state.engine).decisions(FIRMS)) == 1


@pytest.mark.parametrize("named", [None, "r1"])
def test_of_two_managers_who_decide_at_once_the_first_ones_word_counts(home, monkeypatch, named):
    with opened(home) as wired:
        held_run(wired, home)
        others = Holds.decide

        def meanwhile(holds, rows, known):
            monkeypatch.setattr(Holds, "decide", others)
            say(wired, "reject", why="误传")
            return others(holds, rows, known)

        monkeypatch.setattr(Holds, "decide", meanwhile)
        with pytest.raises(RunError, match="RUN-HELD-NONE"):
            say(wired, "release", run=named)
        assert wired.steps.land(FIRMS, "r1").rejected == 3
        assert [one.decision for one in Holds(wired.state.engine).decisions(FIRMS)] == ["reject"]
        assert landed(wired) == {}


def test_decisions_are_only_ever_added_to(home):
    with opened(home) as wired:
        held_run(wired, home)
        say(wired, "reject")
        for change in (sa.update(DECISION).values(why="别的"), sa.delete(DECISION)):
            with pytest.raises(sa.exc.DBAPIError, match="only ever added"), wired.state.engine.begin() as connection:
                connection.execute(change)


def gated(home, text):
    add_resource(home, csv_source(), standard="small_firm@1", more="").write_text(
        f"resource: firms\ntitle: {{zh: 企业登记, en: Registrations}}\nstandard: small_firm@1\n"
        f"source: {csv_source()}\ngate: {text}\n",
        encoding="utf-8",
    )


def test_a_run_with_far_fewer_rows_than_before_is_held_whole_and_released_counts_as_usual_then(home):
    gated(home, "{max_percent: 100, drop: {percent: 50, runs: 3}}")
    with opened(home) as wired:
        for run in ("r1", "r2"):
            drop(home, "a.csv", [firm(number, day=f"2024-0{run[1]}-01") for number in range(10)])
            assert wired.steps.ingest(FIRMS, run, everything=True).decision in ("pass", "warn")
        drop(home, "a.csv", [firm(1, day="2024-03-01"), firm(2, day="2024-03-01")])
        report = wired.steps.ingest(FIRMS, "r3", everything=True)
        assert (report.decision, report.held) == ("hold", 2)
        assert "少 80.0%" in report.reason_zh
        assert wired.quality.latest(FIRMS).decision == "hold"
        assert wired.state.run("r3").status == "held"
        say(wired, "release")
        assert wired.state.run("r3").landed == 2
        sums = QualityScores(wired.state.engine).sums()
        assert {one.runs for one in sums if one.measure == "0305/quarantined"} == {3}


def test_old_data_and_another_distribution_are_told_but_land_where_the_gate_only_warns(home):
    gated(home, "{freshness: {field: appr_date, within: 30d, act: warn}, drift: {fields: [domicile], nulls: 20}}")
    with opened(home) as wired:
        drop(home, "a.csv", [firm(number, day="2019-01-01") for number in range(40)])
        report = wired.steps.ingest(FIRMS, "r1")
        assert (report.decision, report.landed) == ("warn", 40)
        assert "2019-01-01" in report.reason_zh
        drop(home, "a.csv", [firm(number, day="2019-02-01", domicile="") for number in range(40)])
        report = wired.steps.ingest(FIRMS, "r2", everything=True)
        assert (report.decision, report.landed) == ("warn", 40)
        assert "domicile 的空值由 0.0% 变为 100.0%" in report.reason_zh
        assert wired.quality.latest(FIRMS).reason_zh == report.reason_zh


def test_the_pieces_of_a_run_are_judged_together_and_held_together(home):
    gated(home, "{freshness: {field: appr_date, within: 30d}}")
    with opened(home) as wired:
        drop(home, "a.csv", [firm(1, day="2019-01-01")])
        drop(home, "b.csv", [firm(2, day="2020-01-01")])
        report = wired.steps.ingest(FIRMS, "r1")
        assert (report.held, report.landed) == (2, 0)
        assert "2020-01-01" in report.reason_en
        assert say(wired, "release").landed == 2
