"""Quotas are exact over threads and processes, and are counted again from the ledger after a reboot."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from test_sharing_ledger import write

from sharing.ledger import Ledger
from sharing.quota import Quota

TAKER = """
import sys
from pathlib import Path
from sharing.ledger import Ledger
from sharing.quota import Quota
folder = Path(sys.argv[1])
quota = Quota(folder / "quota", Ledger(folder))
sys.stdin.readline()
print(sum(quota.take("tax", "a", 1000, 3) is not None for _ in range(800)))
"""


def test_processes_together_take_no_more_than_there_is(tmp_path: Path) -> None:
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    granted = []
    for taker in takers:
        assert taker.stdin
        taker.stdin.write("go\n")
        taker.stdin.flush()
    for taker in takers:
        out, _ = taker.communicate(timeout=60)
        granted.append(int(out))
    assert sum(granted) == 333
    assert Quota(tmp_path / "quota", Ledger(tmp_path)).used("tax", "a") == 999


def test_threads_together_take_no_more_than_there_is(tmp_path: Path) -> None:
    quota = Quota(tmp_path / "quota", Ledger(tmp_path))
    granted: list[bool] = []

    def take() -> None:
        granted.extend([quota.take("tax", "a", 500) is not None for _ in range(300)])

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 500
    quota.close()


def test_grants_and_departments_do_not_share_a_count(tmp_path: Path) -> None:
    quota = Quota(tmp_path / "quota", Ledger(tmp_path))
    assert quota.take("tax", "a", 1) == 0
    assert quota.take("tax", "a", 1) is None
    assert quota.take("tax", "b", 1) == 0
    assert quota.take("bank", "a", 1) == 0
    quota.give_back("tax", "a", 1)
    assert quota.take("tax", "a", 1) == 0


def test_after_a_reboot_the_ledger_says_what_was_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 4, grant="a", units=2)
    first = Quota(tmp_path / "quota", Ledger(tmp_path))
    assert first.used("tax", "a") == 8
    assert first.take("tax", "a", 20, 5) == 7
    monkeypatch.setattr("sharing.quota.boot_id", lambda: b"another boot....")
    assert Quota(tmp_path / "quota", Ledger(tmp_path)).used("tax", "a") == 8


def test_a_new_day_begins_at_nothing_and_old_days_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quota = Quota(tmp_path / "quota", Ledger(tmp_path))
    for day in range(10, 29):
        monkeypatch.setattr("sharing.quota.today", lambda day=day: f"2026-03-{day}")
        assert quota.take("tax", "a", 1) == 0
    assert quota.used("tax", "a") == 1
    assert len(list((tmp_path / "quota").iterdir())) <= 8


def test_what_was_charged_before_midnight_is_given_back_to_that_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = Quota(tmp_path / "quota", Ledger(tmp_path))
    quota.take("tax", "a", 10, 4, "2026-03-10")
    quota.take("tax", "a", 10, 3, "2026-03-11")
    quota.give_back("tax", "a", 4, "2026-03-10")
    assert (quota.used("tax", "a", "2026-03-10"), quota.used("tax", "a", "2026-03-11")) == (0, 3)
    monkeypatch.setattr("sharing.quota.boot_id", lambda: b"another boot....")
    again = Quota(tmp_path / "quota", Ledger(tmp_path))
    again.give_back("tax", "a", 3, "2026-03-11")  # of which no record knows
    assert again.used("tax", "a", "2026-03-11") == 0
    quota.close()
    again.close()
