"""Backups: after everything is destroyed the last good state is readable again, and what came later lands again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_deployment import (
    LIBRARY,
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

from shutong.cli import main
from warehouse import backup
from warehouse.errors import WarehouseError
from warehouse.site import FolderSite

FIRMS = "scjg.firms"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three firms landed and published."""
    made = tmp_path_factory.mktemp("backup")
    lay_out(made)
    write_small_standard(made)
    add_resource(made, csv_source(), standard=SMALL_STANDARD)
    with opened(made) as wired:
        drop(made, "0.csv", [firm(1), firm(2), firm(3)])
        wired.steps.ingest(FIRMS, "r0")
        wired.steps.merge(LIBRARY, "m0")
        wired.steps.publish(LIBRARY, "p0")
    return made


def asked(monkeypatch: pytest.MonkeyPatch, home: Path, *words: str) -> tuple[int, dict]:
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    done = CliRunner().invoke(main, [*words, "--json"])
    return done.exit_code, json.loads(done.output)


def test_destroyed_and_restored_the_last_good_state_is_read_and_later_batches_land_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(home) as wired:
        before = landed(wired)
    first = asked(monkeypatch, home, "backup", "create")[1]
    with opened(home) as wired:
        drop(home, "1.csv", [firm(2, "新", "2025-01-01"), firm(4)])
        wired.steps.ingest(FIRMS, "r1")
        wired.steps.merge(LIBRARY, "m1")
        later = landed(wired)
    assert later[code(2)] == "新"
    assert [one["name"] for one in asked(monkeypatch, home, "backup", "list")[1]["backups"]] == [first["name"]]
    for file in (home / "state").glob("*.db*"):
        file.write_bytes(b"not a database" * 400)
    code_, told = asked(monkeypatch, home, "backup", "restore", "--yes", "--at", first["at"])
    assert (code_, told["name"], told["batches"]) == (0, first["name"], 1)
    assert told["before"] is None  # what stood was damaged: that there is no way back to it is told, with the reason
    assert told["before_error"]["code"] == "WH-STATE-DAMAGED"
    with opened(home) as wired:
        assert landed(wired) == before
        wired.steps.ingest(FIRMS, "r2")
        assert landed(wired) == later
        assert wired.steps.merge(LIBRARY, "m2").records == 4
        assert wired.steps.publish(LIBRARY, "p2").records == 4
    assert asked(monkeypatch, home, "warehouse", "verify")[0] == 0
    again = asked(monkeypatch, home, "backup", "restore", "--yes", "--at", first["at"])[1]
    names = [one["name"] for one in asked(monkeypatch, home, "backup", "list")[1]["backups"]]
    assert again["before"] in names
    assert "before_error" not in again


def test_a_backup_that_is_damaged_or_lacks_files_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUTONG_BACKUPS", str(home / "elsewhere"))
    made = asked(monkeypatch, home, "backup", "create")[1]
    with opened(home) as wired:
        expected = landed(wired)
        needed = next(Path(one) for one in sorted(backup.spared(_place(home))) if one.endswith(".parquet"))
    moved = needed.rename(needed.with_suffix(".away"))
    told = asked(monkeypatch, home, "backup", "restore", "--yes")[1]
    assert told["error"]["code"] == "WH-BACKUP-FILES"
    moved.rename(needed)
    dumped = home / "elsewhere" / made["name"] / "catalog.db"
    dumped.write_bytes(dumped.read_bytes()[:-5])
    with pytest.raises(WarehouseError, match="WH-BACKUP-DAMAGED"):
        backup.restore(_place(home), backup.chosen(_place(home), made["at"]), FolderSite(home / "warehouse" / "tables"))
    with opened(home) as wired:
        assert landed(wired) == expected
    shutil.rmtree(home / "elsewhere")
    assert asked(monkeypatch, home, "backup", "restore", "--yes")[1]["error"]["code"] == "WH-BACKUP-NONE"


def test_only_so_many_backups_are_kept_and_what_a_killed_one_left_goes(home: Path) -> None:
    place = _place(home)
    with opened(home) as wired:
        (place.folder / "20260101T000000.part").mkdir(parents=True)
        made = [backup.create(place, wired.state, wired.tables, keep=2).name for _ in range(3)]
    assert [one.name for one in backup.backups(place)] == made[:0:-1]
    assert sorted(one.name for one in place.folder.iterdir()) == made[1:]


def _place(home: Path) -> backup.Place:
    return backup.Place(home / "elsewhere", f"sqlite:///{home}/state/state.db", f"sqlite:///{home}/state/catalog.db")
