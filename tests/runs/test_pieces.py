"""A long pull counts piece by piece: what was read stays read, every piece has its own fate, and the run has the sums."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from small_deployment import (
    SMALL_STANDARD,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    landed,
    lay_out,
    opened,
    write_small_standard,
)

import runs.steps
from connectors import SourceError
from warehouse.keep import keep_pieces

FIRMS = "scjg.firms"
BAD = ["911101084X", "乙公司", "2024-01-01", "杭州"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each file of the folder is a piece."""
    monkeypatch.setattr(runs.steps, "keep_pieces", partial(keep_pieces, piece_rows=1))
    lay_out(tmp_path)
    write_small_standard(tmp_path)
    add_resource(tmp_path, csv_source(), standard=SMALL_STANDARD)
    return tmp_path


def test_the_pieces_of_a_run_land_together_and_its_counts_are_their_sums(home):
    drop(home, "a.csv", [firm(1), firm(2, "旧", "2023-01-01"), BAD])
    drop(home, "b.csv", [firm(2, "新", "2024-01-01"), firm(3)])
    drop(home, "c.csv", [firm(3), firm(4)])
    with opened(home) as wired:
        pulled = wired.steps.pull(FIRMS, "r1")
        assert (pulled.pulled, pulled.repeated, len(wired.state.manifests(FIRMS))) == (7, False, 3)
        checked = wired.steps.check(FIRMS, "r1")
        assert (checked.pulled, checked.decision, checked.rules["uscc_check"]) == (7, "warn", 1)
        report = wired.steps.land(FIRMS, "r1")
        assert (report.pulled, report.landed, report.quarantined, report.superseded) == (7, 5, 1, 1)
        run = wired.state.run("r1")
        assert (run.status, run.pulled, run.landed, run.quarantined, run.superseded) == ("done", 7, 5, 1, 1)
        assert landed(wired)[code(2)] == "新"
        assert [one.run for one in wired.quality.history(FIRMS)] == ["r1#3", "r1#2", "r1"]
        again = wired.steps.ingest(FIRMS, "r1")
        assert (again.landed, again.pulled, len(wired.state.releases())) == (5, 7, 3)


def test_a_pull_that_broke_off_is_continued_by_the_next_run_and_its_pieces_land(home):
    drop(home, "a.csv", [firm(1)])
    drop(home, "b.csv", [firm(2)])
    promised = Path(f"{drop(home, 'c.csv', [firm(3)])}.ok")
    promised.write_text("rows=5")
    with opened(home) as wired:
        with pytest.raises(SourceError, match="SRC-FILE-MANIFEST"):
            wired.steps.ingest(FIRMS, "r1")
        assert wired.state.run("r1").status == "failed"
        kept = [one.rows for one in wired.state.manifests(FIRMS)]
        assert kept in ([1], [1, 1])
        promised.unlink()
        report = wired.steps.ingest(FIRMS, "r2")
        assert report.pulled == 3 - len(kept)
        assert set(landed(wired)) == {code(1), code(2), code(3)}
        assert wired.state.run("r1").landed == len(kept)
        assert wired.state.run("r2").status == "done"
        assert wired.steps.ingest(FIRMS, "r3").pulled == 0
        assert len(wired.state.releases()) == 3


def test_a_run_that_broke_off_and_is_tried_again_goes_on_after_its_last_piece(home):
    drop(home, "a.csv", [firm(1)])
    promised = Path(f"{drop(home, 'b.csv', [firm(2)])}.ok")
    promised.write_text("rows=5")
    with opened(home) as wired:
        with pytest.raises(SourceError):
            wired.steps.ingest(FIRMS, "r1", everything=True)
        promised.unlink()
        report = wired.steps.ingest(FIRMS, "r1", everything=True)
        assert (report.pulled, report.landed) == (2, 2)
        assert wired.state.run("r1").status == "done"


def test_a_held_piece_waits_alone(home):
    drop(home, "a.csv", [firm(1)])
    drop(home, "b.csv", [BAD, BAD, firm(2)])
    drop(home, "c.csv", [firm(3)])
    with opened(home) as wired:
        report = wired.steps.ingest(FIRMS, "r1")
        assert (report.pulled, report.landed, report.held, report.decision) == (5, 2, 3, "hold")
        run = wired.state.run("r1")
        assert (run.status, run.decision, run.landed) == ("held", "hold", 2)
        assert set(landed(wired)) == {code(1), code(3)}
    add_resource(home, csv_source(), standard=SMALL_STANDARD, percent=100)
    with opened(home) as wired:
        again = wired.steps.ingest(FIRMS, "r2", everything=True)
        assert (again.repeated, again.held, again.quarantined) == (True, 0, 2)
        assert set(landed(wired)) == {code(1), code(2), code(3)}
        assert (wired.state.run("r1").status, wired.state.run("r2").status) == ("done", "done")


def test_a_piece_that_returns_to_what_it_said_before_is_believed(home):
    drop(home, "a.csv", [firm(1, "初")])
    drop(home, "b.csv", [firm(2)])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1", everything=True)
        drop(home, "a.csv", [firm(1, "改")])
        wired.steps.ingest(FIRMS, "r2", everything=True)
        assert landed(wired)[code(1)] == "改"
        drop(home, "a.csv", [firm(1, "初")])
        report = wired.steps.ingest(FIRMS, "r3", everything=True)
        assert (report.repeated, report.landed) == (True, 1)
        assert landed(wired)[code(1)] == "初"
        releases = len(wired.state.releases())
        assert wired.steps.ingest(FIRMS, "r4", everything=True).repeated
        assert len(wired.state.releases()) == releases


def test_what_a_run_brought_again_before_it_died_is_landed_by_the_next(home):
    drop(home, "a.csv", [firm(1, "初")])
    with opened(home) as wired:
        wired.steps.ingest(FIRMS, "r1", everything=True)
        drop(home, "a.csv", [firm(1, "改")])
        wired.steps.ingest(FIRMS, "r2", everything=True)
        drop(home, "a.csv", [firm(1, "初")])
        assert wired.steps.pull(FIRMS, "died").repeated
        assert wired.steps.pull(FIRMS, "died too").batch is None
        wired.steps.ingest(FIRMS, "r3")
        assert landed(wired)[code(1)] == "初"
        assert [wired.state.run(run).status for run in ("died", "died too", "r3")] == ["done"] * 3
        assert wired.state.run("died").landed == 1
