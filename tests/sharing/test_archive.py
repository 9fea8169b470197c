"""Putting call records away: once, whole days, as they were sealed; what is checked afterwards comes from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from books_town import books, called, keys_of, on, record

from sharing import archive, counters
from sharing.archive import MARK, TABLE, Archive
from sharing.archive_refusals import ArchiveError
from sharing.counters import Counters
from sharing.day_seals import DaySeals
from sharing.ledger import Ledger
from sharing.receipts import Receipt
from sharing.statements import make
from warehouse import backup
from warehouse.tables import Tables

DAYS = ("2026-01-30", "2026-01-31")
CHILD = """
import os, signal, sys
from pathlib import Path
from sharing.archive import Archive
from sharing.day_seals import DaySeals
from sharing.ledger import Ledger
from sharing.receipt_keys import FILE, ReceiptKeys
from warehouse.tables import Tables
folder, stop = Path(sys.argv[1]), int(sys.argv[2])
steps = []
def step(act):
    def stepped(*said, **how):
        done = act(*said, **how)
        steps.append(1)
        if len(steps) == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return stepped
Tables.stage, Tables.commit = step(Tables.stage), step(Tables.commit)
tables = Tables(folder / "warehouse", f"sqlite:///{folder}/catalog.db")
seals = DaySeals(folder / "meter", Ledger(folder / "meter"), ReceiptKeys(folder / "meter" / FILE, b"s" * 32)).seals()
Archive(tables).put(folder / "meter", seals)
"""


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = Tables(tmp_path / "warehouse", f"sqlite:///{tmp_path}/catalog.db")
    yield opened
    opened.close()


@pytest.fixture
def meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Receipt]]:
    """Two sealed days over several segments, one of them left unsealed by its process, and a third that goes on."""
    folder, receipts = tmp_path / "meter", []
    for day in DAYS:
        on(monkeypatch, day)
        receipts += record(folder, [called(day, n) for n in range(12)], size=1 << 13)
        receipts += record(folder, [called(day, n) for n in range(3)], close=False)
    on(monkeypatch, "2026-02-02")
    record(folder, [called("2026-02-02", 1)])
    for module in (archive, counters):
        monkeypatch.setattr(module, "today", lambda: "2026-02-02")
    books(folder)
    return folder, receipts


def rows(tables: Tables) -> int:
    head = tables.head(TABLE)
    return tables.row_count(TABLE, head.snapshot) if head else 0


def test_days_are_put_away_once_and_read_from_there_when_their_files_are_gone(tables, meter, monkeypatch) -> None:
    folder, receipts = meter
    audit, before = Ledger(folder).verify(), make(books(folder), "2026-01")
    used = Counters(folder).read("day")
    kept = Archive(tables)
    assert [(one.day, one.calls) for one in kept.put(folder, books(folder).seals)] == [(day, 15) for day in DAYS]
    stored = rows(tables)
    assert (kept.put(folder, books(folder).seals), rows(tables)) == ([], stored)
    assert (folder / MARK).exists()
    assert kept.remove(folder) == 0
    with pytest.raises(ArchiveError, match="SHR-ARCHIVE-SOON"):
        kept.remove(folder, 61)
    monkeypatch.setattr(archive, "today", lambda: "2026-05-01")
    files = len([path for path in folder.glob("*.calls") if path.name < "20260201"])
    assert kept.remove(folder, 62) == files
    assert [path.name[:8] for path in folder.glob("*.calls")] == ["20260202"]
    later = Ledger(folder, Archive(tables))
    assert later.verify() == audit
    assert audit.sound
    assert [call.id for call in later.records()][:30] == [one.id for one in receipts]
    assert DaySeals(folder, later, keys_of(folder)).verify() == []
    assert [(one.lines, one.seals) for one in make(books(folder, Archive(tables)), "2026-01")] == [
        (one.lines, one.seals) for one in before
    ]
    assert Counters(folder).read("day") == used
    nothing = SimpleNamespace(released=lambda _: None, folders=lambda _: [])
    backup.settle(nothing, nothing, tables, backup.Backup("b", "2026-02-02", None, 0, {}))
    assert later.verify() == audit, "a restore leaves what was put away"
    found = later.record(receipts[5].segment, receipts[5].record)
    assert found is not None
    assert found[0].id == receipts[5].id
    assert {one.kind for one in Ledger(folder).verify().findings} == {"missing"}, "without the archive they are missed"


def test_what_was_changed_in_the_table_is_found(tables, meter, monkeypatch) -> None:
    folder, receipts = meter
    Archive(tables).put(folder, books(folder).seals)
    head = tables.head(TABLE)
    stored = tables.read(TABLE, head.snapshot)
    payloads = stored["payload"].to_pylist()
    place = next(at for at, one in enumerate(payloads) if receipts[4].id.encode() in one)
    payloads[place] = payloads[place].replace(b'"units":1', b'"units":0')
    changed = stored.set_column(stored.column_names.index("payload"), stored.schema.field("payload"), [payloads])
    tables.replace(TABLE, changed)
    monkeypatch.setattr(archive, "today", lambda: "2026-05-01")
    with pytest.raises(ArchiveError, match="SHR-ARCHIVE-TABLE"):
        Archive(tables).remove(folder, 62)
    (folder / receipts[4].segment).unlink()
    ledger = Ledger(folder, Archive(tables))
    assert "damaged" in {one.kind for one in ledger.verify().findings}
    assert [one.kind for one in DaySeals(folder, ledger, keys_of(folder)).verify()] == ["unlike"]


def test_records_that_are_not_those_sealed_are_not_put_away(tables, meter) -> None:
    folder, receipts = meter
    path = folder / receipts[2].segment
    content = bytearray(path.read_bytes())
    content[content.index(receipts[2].id.encode())] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="SHR-ARCHIVE-SEAL"):
        Archive(tables).put(folder, books(folder).seals)
    assert rows(tables) == 0


@pytest.mark.parametrize("step", [pytest.param("stage", marks=pytest.mark.prove), "commit"])
def test_stopped_after_a_step_it_goes_on_and_nothing_is_there_twice(tables, meter, monkeypatch, step) -> None:
    folder, receipts = meter
    real = getattr(Tables, step)

    def stopped(*said, **how):
        real(*said, **how)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tables, step, stopped)
        with pytest.raises(KeyboardInterrupt):
            Archive(tables).put(folder, books(folder).seals)
    whole(tables, folder, receipts)


@pytest.mark.prove
@pytest.mark.kills
@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6])
def test_killed_at_any_step_it_goes_on_and_nothing_is_there_twice(tmp_path, meter, tables, stop) -> None:
    folder, receipts = meter
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), str(stop)], env=env, check=False, timeout=120)
    assert child.returncode == -signal.SIGKILL
    whole(tables, folder, receipts)


def whole(tables: Tables, folder: Path, receipts: list[Receipt]) -> None:
    """Once it was put away again, every record is there once, and holds without the files."""
    kept = Archive(tables)
    kept.put(folder, books(folder).seals)
    stored = tables.read(TABLE, tables.head(TABLE).snapshot, ["segment", "record", "id"])
    places = list(zip(stored["segment"].to_pylist(), stored["record"].to_pylist(), strict=True))
    assert len(places) == len(set(places))
    assert sorted(filter(None, stored["id"].to_pylist())) == sorted(one.id for one in receipts)
    for path in folder.glob("202601*.calls"):
        path.unlink()
    assert Ledger(folder, kept).verify().sound
