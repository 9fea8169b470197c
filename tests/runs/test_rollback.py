"""A release of a resource or a library is taken back: what readers are told follows, and what may come again does."""

from __future__ import annotations

import pytest

from runs.errors import RunError
from runs.recheck import in_quarantine, release
from runs.rollback import look, releases, take_back
from tests.runs.small_deployment import (
    LIBRARY,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    landed,
    lay_out,
    looked_up,
    opened,
    quarantined,
    write_small_standard,
)
from tests.runs.test_holds import BAD, CHEN, CLERK, NOW
from warehouse.serving import ServingStore

FIRMS, TAXES = "scjg.firms", "swj.taxes"


@pytest.fixture
def home(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home), percent=100, more="serve: true\n")
    return home


def delivered(wired, home, run, *rows):
    drop(home, f"{run}.csv", rows)
    report = wired.steps.ingest(FIRMS, run)
    wired.steps.merge(LIBRARY, f"{run}-m")
    wired.steps.publish(LIBRARY, f"{run}-m")
    return report


def back(wired, name, number, run, by=CHEN):
    return take_back(wired.steps, wired.parts, name, number, by, "误入库", NOW, run)


def newest(wired, name=FIRMS):
    return [one.release.id for one in releases(wired.parts, name)]


def test_the_resource_its_own_lookups_and_its_library_follow_and_the_same_content_lands_when_it_comes_again(home):
    with opened(home) as wired:
        delivered(wired, home, "r1", firm(1, "甲"), firm(2, "乙"))
        (good,) = newest(wired)
        bad = delivered(wired, home, "r2", firm(1, "错", "2025-01-01"), firm(3, "丙"), BAD)
        assert (landed(wired)[code(1)], looked_up(home, 1)["ent_name"]) == ("错", "错")
        done = back(wired, FIRMS, good, "b1")
        assert done.library == LIBRARY
        assert landed(wired) == {code(1): "甲", code(2): "乙"}
        assert quarantined(wired) == {}
        assert looked_up(home, 1)["ent_name"] == "甲"
        assert looked_up(home, 3) is None
        assert ServingStore(home / "serving", FIRMS).info().rows == 2
        assert wired.state.run("r2").status == "undone"
        assert wired.steps.ingest(FIRMS, "r3").batch is None  # it does not come back by itself
        (home / "drops" / "r1.csv").unlink()
        again = wired.steps.ingest(FIRMS, "r4", everything=True)  # but when the source brings it again
        assert (again.changed, again.repeated) == (True, True)
        assert landed(wired)[code(1)] == "错"
        assert wired.state.run("r2").status == "done"
        assert bad.batch in {one.batch for one in wired.state.releases(run="r2")}


def test_forward_brings_back_what_was_taken_back_and_so_does_running_the_run_again(home):
    with opened(home) as wired:
        delivered(wired, home, "r1", firm(1, "甲"))
        (good,) = newest(wired)
        first = delivered(wired, home, "r2", firm(1, "乙", "2025-01-01"), BAD)
        later = newest(wired)[0]
        back(wired, FIRMS, good, "b1")
        back(wired, FIRMS, later, "b2")
        assert (landed(wired), looked_up(home, 1)["ent_name"]) == ({code(1): "乙"}, "乙")
        count = len(wired.state.releases())
        assert wired.steps.ingest(FIRMS, "r3").batch is None
        assert (wired.state.run("r2").status, len(wired.state.releases())) == ("done", count)
        back(wired, FIRMS, good, "b3")
        again = wired.steps.ingest(FIRMS, "r2")
        assert (again.landed, again.quarantined) == (first.landed, first.quarantined) == (1, 1)
        assert landed(wired) == {code(1): "乙"}
        assert wired.state.run("r2").status == "done"


def test_a_library_goes_back_as_a_whole_until_its_next_merge(home):
    with opened(home) as wired:
        delivered(wired, home, "r1", firm(1, "甲"))
        first = newest(wired, LIBRARY)[0]
        delivered(wired, home, "r2", firm(1, "乙", "2025-01-01"), firm(2))
        assert [one.rows_then for one in look(wired.parts, LIBRARY, first).tables] == [1, 1, 0, 0]
        back(wired, LIBRARY, first, "b1")
        assert looked_up(home, 1)["ent_name"] == "甲"
        assert looked_up(home, 2) is None
        assert landed(wired)[code(1)] == "乙"
        merged = wired.steps.merge(LIBRARY, "m3")
        assert (merged.changed, merged.records) == (True, 2)
        wired.steps.publish(LIBRARY, "m3")
        assert looked_up(home, 1)["ent_name"] == "乙"


def test_rows_out_of_quarantine_are_in_quarantine_again_when_their_landing_is_taken_back(home):
    with opened(home) as wired:
        report = delivered(wired, home, "r1", firm(1), BAD)
        (good,) = newest(wired)
        resource = wired.parts.resources[FIRMS]
        release(wired.steps, wired.parts, FIRMS, report.batch, [2], CHEN, "核实", NOW, "q1")
        assert in_quarantine(wired.parts, resource) == []
        back(wired, FIRMS, good, "b1")
        assert [list(one.rows) for one in in_quarantine(wired.parts, resource)] == [[2]]
        assert len(landed(wired)) == 1
        release(wired.steps, wired.parts, FIRMS, report.batch, [2], CHEN, "核实", NOW, "q2")
        assert len(landed(wired)) == 2


def test_only_a_data_manager_takes_releases_back_and_unknown_names_are_told(home):
    with opened(home) as wired:
        with pytest.raises(RunError, match="RUN-ROLLBACK-RIGHT"):
            back(wired, FIRMS, 1, "b1", by=CLERK)
        with pytest.raises(RunError, match="RUN-RESOURCE-UNKNOWN"):
            back(wired, "scjg.nothing", 1, "b1")
