"""On a disk that is full counters are not made: calls are refused and told so, and no process dies or waits for good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sharing_town import PERSON, SECRET, Town, build

from sharing.grant_file import Grant
from sharing.grant_pace import Pace
from sharing.guessing import Guesses
from sharing.ledger import Ledger

DAY = "2026-01-05"


def full(_fd: int, _start: int, _size: int) -> None:
    raise OSError(28, "no space left on device")


def test_a_quota_without_room_for_its_counter_refuses_for_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = build(tmp_path)

    def ask(town: Town) -> tuple[int, str | None]:
        told = town.ask("/v1/libraries/population/records", "school", "POST", json={"key": PERSON})
        return told.status_code, told.json().get("code")

    files = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as now:
        now.setattr(os, "posix_fallocate", full)
        assert [ask(town) for _ in range(3)] == [(503, "SHR-STATE")] * 3
    assert len(list(Path("/proc/self/fd").iterdir())) <= files + 5
    assert [ask(town)[0] for _ in range(4)] == [200, 200, 200, 429]
    town.desk.close()
    town.config.engine.dispose()


def test_claims_that_have_no_room_keep_nobody_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Guesses(tmp_path / "g", Ledger(tmp_path), SECRET, slots=4) for _ in range(2))
    for one in (first, second):
        one.open(DAY)
    marks = [first.mark("tax", "k", f"f{number}", "1") for number in range(8)]
    with monkeypatch.context() as now:
        now.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="no space"):
            first.take(DAY, marks)
    assert (second.take(DAY, marks), first.take(DAY, marks)) == (None, None)
    first.close()
    second.close()


def test_a_limit_of_calls_a_second_without_room_for_its_counter_is_an_error_and_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace, grant = (
        Pace(tmp_path),
        Grant("g", "tax", "x", (), frozenset(), {}, "m", "b", "2999-12-31", None, per_second=2),
    )
    with monkeypatch.context() as now:
        now.setattr(os, "posix_fallocate", full)
        with pytest.raises(OSError, match="no space"):
            pace.take(grant)
    pace.take(grant)
    pace.close()
