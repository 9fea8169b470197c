"""What lies in quarantine is judged by several workers as one process judges it."""

from __future__ import annotations

import pytest

from runs.recheck import Judging, judge, recheck
from shutong import spreading
from tests.runs.small_deployment import add_resource, code, csv_source, drop, firm, landed, lay_out, opened
from tests.runs.small_deployment import write_small_standard as standard
from tests.runs.test_recheck import FIRMS, NOW, WRONG, loosened
from warehouse.spread import Here, Processes


@pytest.fixture
def home(tmp_path):
    """Two batches with rows in quarantine, most of which pass by now."""
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=standard(home), percent=100)
    for run, numbers in (("r1", range(1, 9)), ("r2", range(9, 12))):
        drop(home, "a.csv", [*(firm(number, name="") for number in numbers), [WRONG, "", "2024-01-01", "杭州"]])
        with opened(home) as wired:
            assert wired.steps.ingest(FIRMS, run).quarantined == len(numbers) + 1
    loosened(home)
    return home


def test_shares_of_batches_are_judged_one_by_one_and_land_once(home):
    with opened(home) as wired:
        shares = []

        def judging(share):
            shares.append((share.batch, len(share.rows)))
            return judge(wired.parts, share)

        back = recheck(wired.steps, wired.parts, FIRMS, "system", NOW, "recheck-1", Judging(Here(), 4, judging))
        assert (back.looked_at, back.passed, back.landed) == (13, 11, 11)
        assert set(landed(wired)) == {code(number) for number in range(1, 12)}
        assert sorted(size for _, size in shares) == [2, 2, 3, 3, 3]


def test_a_worker_opens_the_deployment_it_is_told_to_and_judges_alike(home, monkeypatch):
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    with opened(home) as wired:
        judging = Judging(Processes(1), 1, spreading.judge)
        back = recheck(wired.steps, wired.parts, FIRMS, "system", NOW, "recheck-1", judging)
        assert (back.looked_at, back.passed, back.landed) == (13, 11, 11)
