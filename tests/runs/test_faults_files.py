"""A full disk, odd and enormous files: said with the next step, nothing half there, and the next run lands every row."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from faulty import FIRMS, deployment, fails, kept_rows, lands
from small_deployment import LIBRARY, code, csv_source, drop, firm, landed, opened, quarantined, shown

from schemas.errors import ShutongError

LONG = 100_000_000  # bytes, of one field


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a few megabytes; call with its new size to make it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root can mount a small disk")

    def grow(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)

    grow.path = disk
    yield grow
    subprocess.run(["umount", "-l", disk], check=True)
    # Arrow tells of a file it could not finish when that is let go, by formatting an exception, which compiles its lines;
    # CPython 3.11 gives up (SystemError) where the collector lets go of it while something else is being compiled.
    gc.collect()


def test_a_disk_that_is_full_in_the_middle_is_said_and_once_there_is_room_everything_lands(small_disk, tmp_path):
    drops = tmp_path / "drops"
    home = deployment(small_disk.path / "home", f'{{kind: csv, folder: "{drops}"}}')
    names = [os.urandom(4000).hex() for _ in range(1000)]  # random, so that no compression makes it fit
    drop(tmp_path, "a.csv", [firm(n, name) for n, name in enumerate(names)])
    error = fails(home, "WH-DISK-FULL")
    assert error.retryable
    assert str(small_disk.path) in error.zh
    assert kept_rows(home) == 0
    assert not list((home / "warehouse" / "land").rglob("*.tmp"))
    small_disk("400m")
    report, firms = lands(home)
    assert (report.pulled, len(firms)) == (1000, 1000)


def test_whatever_step_meets_with_a_full_disk_says_so_and_goes_on_once_there_is_room(small_disk, tmp_path):
    small_disk("64m")
    drops, ballast = tmp_path / "drops", small_disk.path / "ballast"
    home = deployment(small_disk.path / "home", f'{{kind: csv, folder: "{drops}"}}')
    rows = [firm(n, os.urandom(400).hex()) for n in range(1500)]
    drop(tmp_path, "a.csv", [*rows, *([f"{n}", "坏" * 200, "", ""] for n in range(100))])
    with opened(home) as wired:
        steps = wired.steps
        for step, *what in (
            (steps.pull, FIRMS, "run"),
            (steps.check, FIRMS, "run"),
            (steps.land, FIRMS, "run"),
            (steps.merge, LIBRARY, "all"),
        ):
            said = []
            for left in (0, 400 << 10):
                fill(ballast, left)
                said.append(refused(step, *what))
                ballast.unlink()
            assert said[0] == "WH-DISK-FULL"
            assert set(said) <= {"WH-DISK-FULL", None}
            step(*what)
        assert (len(landed(wired)), len(quarantined(wired))) == (1500, 100)
        assert len(shown(wired, f"base.{LIBRARY}")) == 1500


def refused(step: Callable[..., object], *what: str) -> str | None:
    """The code of the error that the step raised, if any."""
    try:
        step(*what)
    except ShutongError as error:
        return error.code
    return None


def fill(ballast: Path, left: int) -> None:
    """Write a file as large as its disk but for some bytes."""
    room = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, room.f_bavail * room.f_frsize - left))


def test_an_enormous_field_is_a_reject_and_the_rows_around_it_land(tmp_path):
    home = deployment(tmp_path, csv_source())
    path: Path = drop(home, "a.csv", [firm(1), firm(2, "@"), firm(3)])
    head, _, tail = path.read_bytes().partition(b"@")
    with path.open("wb") as file:
        file.write(head + b"x" * LONG + tail)
    report, firms = lands(home)
    assert (report.pulled, report.quarantined, set(firms)) == (3, 1, {code(1), code(3)})
    with opened(home) as wired:
        assert "field_size" in quarantined(wired)[2]


def test_a_file_without_rows_brings_none_and_its_rows_are_taken_when_they_come(tmp_path):
    home = deployment(tmp_path, csv_source())
    drop(home, "a.csv", [])
    assert lands(home, "empty")[1] == {}
    drop(home, "a.csv", [firm(1), firm(1, "重复", "2025-01-01"), firm(1)])
    report, firms = lands(home)
    assert (report.pulled, report.landed, report.superseded, firms) == (3, 1, 2, {code(1): "重复"})
