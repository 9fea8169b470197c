"""The steps over a real deployment: what comes in lands, waits or is refused, and is told so; nothing gets lost."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest
from small_deployment import (
    HEADER,
    LIBRARY,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    ingest_all,
    landed,
    lay_out,
    looked_up,
    opened,
    quarantined,
    shown,
)

from runs.batch import check_batch
from runs.errors import RunError
from schemas.errors import ShutongError, StandardError
from warehouse.keep import received
from warehouse.land import land

FIRMS = "scjg.firms"
BAD = ["911101084X", "乙公司", "2024-01-01", "杭州"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    lay_out(tmp_path)
    add_resource(tmp_path, csv_source())
    (tmp_path / "drops").mkdir()
    return tmp_path


def fates(report) -> int:
    return report.landed + report.quarantined + report.superseded + report.held


def test_a_drop_goes_the_whole_way_and_every_row_has_one_fate(home):
    rows = [firm(1), firm(2, "旧名", "2023-01-01"), firm(2, "𠮷祥贸易", "2024-06-01"), BAD, [code(3), "短"]]
    drop(home, "a.csv", rows)
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "r1")
        assert (report.pulled, report.landed, report.quarantined, report.superseded, report.held) == (5, 2, 2, 1, 0)
        assert report.decision == "warn"
        assert report.changed
        assert report.rules["uscc_check"] == 1
        assert landed(wired) == {code(1): "甲有限公司", code(2): "𠮷祥贸易"}
        assert "uscc_check" in quarantined(wired)[4]
        assert quarantined(wired)[5] == ["domicile_required", "row_shape"]
        assert wired.state.run("r1").status == "done"
        merged = wired.steps.merge(LIBRARY, "m1")
        assert (merged.records, merged.changed) == (2, True)
        published = wired.steps.publish(LIBRARY, "m1")
        assert (published.records, published.changed) == (2, True)
        assert wired.state.run("m1").status == "done"
    assert looked_up(home, 2)["ent_name"] == "𠮷祥贸易"
    assert looked_up(home, 3) is None


def test_a_held_batch_lands_nothing_says_why_and_a_later_good_one_lands(home):
    drop(home, "a.csv", [firm(1), BAD, BAD])
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "r1")
        assert report.decision == "hold"
        assert (report.pulled, report.held, fates(report)) == (3, 3, 3)
        assert "66.67%" in report.reason_zh
        assert "2 of 3 rows" in report.reason_en
        assert landed(wired) == {}
        assert quarantined(wired) == {}
        assert wired.state.run("r1").status == "held"
        drop(home, "b.csv", [firm(7)])
        later = wired.steps.ingest(FIRMS, "r2")
        assert (later.pulled, later.landed) == (1, 1)
        assert landed(wired) == {code(7): "甲有限公司"}
        assert wired.state.run("r1").status == "held"
        assert wired.steps.report(FIRMS, report.batch).held == 3


def test_held_content_that_comes_again_stays_held(home):
    drop(home, "a.csv", [firm(1), BAD, BAD])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        again = wired.steps.ingest(FIRMS, "r2", everything=True)
        assert (again.repeated, again.decision, again.held, again.changed) == (True, "hold", 3, False)
        assert "2 of 3 rows" in again.reason_en
        assert landed(wired) == {}


def test_held_content_lands_when_it_comes_again_under_a_wider_gate(home):
    drop(home, "a.csv", [firm(1), BAD, BAD])
    with opened(home) as wired:
        assert wired.steps.ingest(FIRMS, "r1").held == 3
    path = next((home / "resources").glob("*/firms.yaml"))
    said = path.read_text(encoding="utf-8")
    assert "max_percent: 50" in said
    path.write_text(said.replace("max_percent: 50", "max_percent: 100"))
    with opened(home) as wired:
        again = wired.steps.ingest(FIRMS, "r2", everything=True)
        assert (again.landed, again.quarantined, again.held, again.repeated, again.changed) == (1, 2, 0, True, True)
        assert wired.state.run("r1").status == "done"
        assert landed(wired) == {code(1): "甲有限公司"}


def test_a_batch_whose_key_is_empty_throughout_is_held(home):
    add_resource(home, csv_source(), percent=100)
    drop(home, "a.csv", [["", "甲", "2024-01-01", "杭州"], ["N/A", "乙", "2024-01-01", "杭州"]])
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "r1")
        assert (report.decision, report.held) == ("hold", 2)
        assert "关键列 uscc" in report.reason_zh
        assert "key column uscc is empty" in report.reason_en
        assert landed(wired) == {}


def test_a_renamed_column_fails_the_run_keeps_the_batch_and_lands_once_the_file_is_corrected(home):
    add_resource(home, csv_source(), more="map: {domicile: 住所}\n")
    drop(home, "a.csv", [firm(1), firm(2)], header=[*HEADER[:3], "注册所在地"])
    with opened(home) as wired:
        with pytest.raises(StandardError, match="STD-COLUMN-MISSING") as caught:
            wired.steps.ingest(FIRMS, "r1")
        assert "住所" in caught.value.zh
        assert "注册所在地" in caught.value.en
        assert caught.value.fix_zh
        assert caught.value.fix_en
        failed = wired.state.run("r1")
        assert failed.status == "failed"
        assert failed.error["code"] == "STD-COLUMN-MISSING"
        [kept] = wired.state.manifests(FIRMS)
        assert received(wired.store, kept)["企业名称"].to_pylist() == ["甲有限公司"] * 2
        assert landed(wired) == {}
    add_resource(home, csv_source(), more="map: {domicile: 注册所在地}\n")
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "r2")
        assert set(landed(wired)) == {code(1), code(2)}
        assert report.landed == 2
        assert wired.state.run("r1").status == "done"
        assert wired.state.run("r2").status == "done"


def test_broken_content_that_comes_again_fails_again_for_the_same_reason(home):
    drop(home, "a.csv", [firm(1)], header=["代号", *HEADER[1:]])
    with opened(home) as wired:
        for run in ("r1", "r2"):
            with pytest.raises(StandardError, match="STD-COLUMN-MISSING"):
                wired.steps.ingest(FIRMS, run, everything=True)
        assert [wired.state.run(run).status for run in ("r1", "r2")] == ["failed", "failed"]
        assert wired.state.run("r2").error["code"] == "STD-COLUMN-MISSING"
    add_resource(home, csv_source(), more="map: {uscc: 代号}\n")
    with opened(home) as wired:
        again = wired.steps.ingest(FIRMS, "r3", everything=True)
        assert (again.repeated, again.landed) == (True, 1)
        assert again.changed
        assert landed(wired) == {code(1): "甲有限公司"}


def test_a_broken_older_batch_does_not_keep_newer_ones_from_landing(home):
    drop(home, "a.csv", [firm(1)], header=["代号", *HEADER[1:]])
    with opened(home) as wired:
        with pytest.raises(StandardError, match="STD-COLUMN-MISSING"):
            wired.steps.ingest(FIRMS, "r1")
        drop(home, "b.csv", [firm(2), firm(3)])
        report = wired.steps.ingest(FIRMS, "r2")
        assert (report.pulled, report.landed, report.decision) == (2, 2, "pass")
        assert set(landed(wired)) == {code(2), code(3)}
        assert wired.state.run("r2").status == "done"
        assert wired.state.run("r1").status == "failed"
        assert wired.state.run("r1").error["code"] == "STD-COLUMN-MISSING"
        nothing = wired.steps.ingest(FIRMS, "r3")
        assert (nothing.pulled, nothing.changed) == (0, False)
        assert wired.state.run("r3").status == "done"


def test_a_run_that_finds_nothing_new_ends_well_and_changes_nothing(home):
    drop(home, "a.csv", [firm(1)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        before = wired.state.release()
        report = wired.steps.ingest(FIRMS, "r2")
        assert (report.pulled, report.landed, report.changed, report.batch) == (0, 0, False, None)
        run = wired.state.run("r2")
        assert (run.status, run.pulled, run.landed) == ("done", 0, 0)
        assert wired.state.release() == before


def test_an_empty_folder_is_nothing_new(home):
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "r1", everything=True)
        assert (report.pulled, report.changed) == (0, False)
        assert wired.state.run("r1").status == "done"


def test_the_same_content_again_is_told_to_be_a_repetition_and_adds_nothing(home):
    drop(home, "a.csv", [firm(1), BAD])
    with opened(home) as wired:
        first = wired.steps.ingest(FIRMS, "r1")
        before, rows, kept = wired.state.release(), shown(wired, "std_scjg.firms"), quarantined(wired)
        again = wired.steps.ingest(FIRMS, "r2", everything=True)
        assert again.repeated
        assert not again.changed
        assert (again.run, again.batch) == ("r2", first.batch)
        assert (again.pulled, again.landed, again.quarantined) == (first.pulled, first.landed, first.quarantined)
        assert wired.state.release() == before
        assert (shown(wired, "std_scjg.firms"), quarantined(wired)) == (rows, kept)
        assert wired.state.run("r2").status == "done"
        assert wired.state.run("r2").landed == 0
        assert len(wired.state.manifests(FIRMS)) == 1


def test_three_runs_at_once_are_told_apart_as_the_one_that_brought_the_content_and_two_repetitions(home):
    drop(home, "a.csv", [firm(1), firm(2)])
    with opened(home) as wired:
        runs = ("first", "second", "third")
        for run in runs:
            wired.steps.pull(FIRMS, run, everything=True)
        wired.steps.check(FIRMS, "third")
        found = {run: wired.steps.land(FIRMS, run) for run in reversed(runs)}
        assert [found[run].repeated for run in runs] == [False, True, True]
        told = [wired.state.run(run) for run in runs]
        assert [(one.status, one.decision, one.pulled, one.landed) for one in told] == [
            ("done", "pass", 2, 2),
            ("done", "repeat", 2, 0),
            ("done", "repeat", 2, 0),
        ]


def test_a_run_whose_batch_arrived_after_the_check_of_another_does_not_keep_that_one_from_landing(home):
    drop(home, "a.csv", [firm(1)])
    with opened(home) as wired:
        wired.steps.pull(FIRMS, "mine", everything=True)
        wired.steps.check(FIRMS, "mine")
        drop(home, "a.csv", [firm(2)])
        for run in ("theirs", "repeating"):
            wired.steps.pull(FIRMS, run, everything=True)
        assert wired.steps.land(FIRMS, "mine").landed == 1
        assert wired.state.run("repeating").status == "running"
        wired.steps.check(FIRMS, "theirs")
        wired.steps.land(FIRMS, "theirs")
        assert {wired.state.run(run).status for run in ("mine", "theirs", "repeating")} == {"done"}


def test_the_same_run_again_does_nothing_twice(home):
    drop(home, "a.csv", [firm(1), BAD])
    with opened(home) as wired:
        first = wired.steps.ingest(FIRMS, "r1")
        drop(home, "b.csv", [firm(2)])
        again = wired.steps.ingest(FIRMS, "r1")
        assert (again.batch, again.landed, again.quarantined) == (first.batch, first.landed, first.quarantined)
        assert set(landed(wired)) == {code(1)}
        assert wired.state.run("r1").status == "done"
        assert wired.steps.ingest(FIRMS, "r2").landed == 1


def test_without_everything_only_new_and_changed_files_are_taken(home):
    drop(home, "a.csv", [firm(1)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1")
        drop(home, "b.csv", [firm(2)])
        assert wired.steps.ingest(FIRMS, "r2").pulled == 1
        drop(home, "a.csv", [firm(1, "改名公司", "2025-01-01"), firm(3)])
        assert wired.steps.ingest(FIRMS, "r3").pulled == 2
        assert wired.steps.ingest(FIRMS, "r4").pulled == 0
        assert landed(wired) == {code(1): "改名公司", code(2): "甲有限公司", code(3): "甲有限公司"}
        every = wired.steps.ingest(FIRMS, "r5", everything=True)
        assert (every.pulled, every.landed, every.superseded) == (3, 0, 3)


def test_two_resources_of_one_library_are_merged_by_authority(home):
    add_resource(home, csv_source("tax"), "taxpayers", "swj")
    drop(home, "a.csv", [firm(1, "登记名称"), firm(2)])
    drop(home, "t.csv", [firm(1, "税务名称", "2025-01-01"), firm(9, "只在税务")], folder="tax")
    with opened(home) as wired:
        ingest_all(wired, "r1", [FIRMS])
        wired.steps.ingest("swj.taxpayers", "t1")
        merged = wired.steps.merge(LIBRARY, "m2")
        assert (merged.records, merged.changed, merged.conflicts) == (3, True, 2)
        published = wired.steps.publish(LIBRARY, "m2")
        assert (published.records, published.generation) == (3, 2)
        again = wired.steps.merge(LIBRARY, "m3")
        assert (again.records, again.changed) == (3, False)
        assert not wired.steps.publish(LIBRARY, "m3").changed
    assert looked_up(home, 1)["ent_name"] == "登记名称"
    assert looked_up(home, 9)["ent_name"] == "只在税务"


def test_a_source_that_cannot_be_read_fails_the_run_and_the_next_one_lands(home):
    (home / "drops").rmdir()
    with opened(home) as wired:
        with pytest.raises(ShutongError, match="SRC-FILE-MISSING"):
            wired.steps.ingest(FIRMS, "r1")
        assert wired.state.run("r1").status == "failed"
        assert wired.state.manifests(FIRMS) == []
        drop(home, "a.csv", [firm(1)])
        assert wired.steps.ingest(FIRMS, "r1").landed == 1
        assert wired.state.run("r1").error is None
        assert wired.state.run("r1").status == "done"


def test_an_unknown_standard_names_file_line_and_the_nearest_one(home):
    path = add_resource(home, csv_source(), standard="legal_persn@1")
    with pytest.raises(StandardError, match="STD-UNKNOWN") as caught, opened(home):
        pass
    for told in (caught.value.zh, caught.value.en, str(caught.value)):
        assert f"{path}:3" in told
    assert "legal_person" in caught.value.fix_zh + caught.value.fix_en


def test_unknown_resources_and_libraries_are_named_with_those_there_are(home):
    with opened(home) as wired:
        with pytest.raises(RunError, match="RUN-RESOURCE-UNKNOWN") as caught:
            wired.steps.ingest("scjg.firm", "r1")
        assert "scjg.firms" in caught.value.zh
        with pytest.raises(RunError, match="RUN-LIBRARY-UNKNOWN") as caught:
            wired.steps.merge("legal", "m1")
        assert "legal_person" in caught.value.en


def test_a_batch_that_is_checked_again_while_it_lands_lands(home, monkeypatch):
    drop(home, "a.csv", [firm(1), firm(2)])
    with opened(home) as wired:
        wired.steps.pull(FIRMS, "r1")
        wired.steps.check(FIRMS, "r1")
        (batch,) = wired.state.manifests(FIRMS)
        again = Thread(target=check_batch, args=(wired.parts, wired.deployment.resource(FIRMS), batch))

        def beside(*args, **said):
            again.start()
            again.join(1)
            return land(*args, **said)

        monkeypatch.setattr("runs.batch.land", beside)
        assert wired.steps.land(FIRMS, "r1").landed == 2
        again.join()
        assert wired.state.run("r1").status == "done"
        assert set(landed(wired)) == {code(1), code(2)}
