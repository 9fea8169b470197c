"""Call records survive their process, and the ledger notices what is changed, cut or taken away afterwards."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharing import segments
from sharing.calls import Call, today
from sharing.errors import UnavailableError
from sharing.ledger import Ledger
from sharing.meter import Meter

SMALL = 1 << 14


def write(folder: Path, count: int, *, close: bool = True, size: int = SMALL, **told: object) -> list[str]:
    """Record that many calls as one process would; their request ids in order."""
    meter = Meter(folder, size)
    calls = [Call.begin() for _ in range(count)]
    for call in calls:
        for name, value in ({"department": "tax", "status": 200} | told).items():
            setattr(call, name, value)

    async def run() -> None:
        for start in range(0, count, 7):
            await asyncio.gather(*(meter.record(call) for call in calls[start : start + 7]))

    asyncio.run(run())
    if close:
        meter.close()
    return [call.id for call in calls]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.calls"))


def kinds(folder: Path) -> list[str]:
    return [finding.kind for finding in Ledger(folder).verify().findings]


def test_what_is_recorded_is_read_back_once_and_in_order(tmp_path: Path) -> None:
    ids = write(tmp_path, 50, key="91330100MA2A0001XD", matter="税务登记")
    ids += write(tmp_path, 3)
    assert [call.id for call in Ledger(tmp_path).records()] == ids
    audit = Ledger(tmp_path).verify()
    assert (audit.calls, audit.findings, audit.sound) == (53, (), True)


def test_records_of_one_turn_share_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter, syncs, real = Meter(tmp_path, SMALL), [], os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (syncs.append(fd), real(fd)))

    async def run() -> None:
        await asyncio.gather(*(meter.record(Call.begin()) for _ in range(20)))

    asyncio.run(run())
    assert len(syncs) == 1
    meter.close()
    assert len(list(Ledger(tmp_path).records())) == 20


def test_a_full_segment_is_followed_by_the_next(tmp_path: Path) -> None:
    ids = write(tmp_path, 300)
    assert len(files(tmp_path)) > 2
    assert [call.id for call in Ledger(tmp_path).records()] == ids
    assert kinds(tmp_path) == []
    assert not list(tmp_path.glob("*.blank"))


def test_a_record_larger_than_a_segment_still_fits(tmp_path: Path) -> None:
    write(tmp_path, 2, keys=["hmac:" + "0" * 64] * 1000)
    assert [len(call.keys) for call in Ledger(tmp_path).records()] == [1000, 1000]
    assert kinds(tmp_path) == []


def test_a_process_that_died_leaves_a_good_ledger(tmp_path: Path) -> None:
    first = write(tmp_path, 10, close=False)
    second = write(tmp_path, 10, close=False)
    assert sorted(call.id for call in Ledger(tmp_path).records()) == sorted(first + second)
    assert Ledger(tmp_path).verify().sound


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_bit_of_a_record_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("flip")
    write(folder, 5, close=data.draw(st.booleans(), label="closed"))
    (path,) = files(folder)
    content = bytearray(path.read_bytes())
    used = len(bytes(content).rstrip(b"\0"))
    place = data.draw(st.integers(0, 9999), label="place") * used // 10_000
    content[place] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(content)
    audit = Ledger(folder).verify()
    assert not audit.sound
    assert audit.calls < 5 or audit.findings


def test_a_record_that_was_not_finished_is_no_alarm(tmp_path: Path) -> None:
    write(tmp_path, 5, close=False)
    (path,) = files(tmp_path)
    content = path.read_bytes()
    used = len(content.rstrip(b"\0"))
    path.write_bytes(content[: used - 60] + bytes(len(content) - used + 60))
    audit = Ledger(tmp_path).verify()
    assert [finding.kind for finding in audit.findings] == ["torn"]
    assert audit.sound
    assert audit.calls == 4


def test_a_file_cut_short_after_the_next_process_started_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, 5, close=False)
    (path,) = files(tmp_path)
    write(tmp_path, 1)
    content = path.read_bytes()
    at = segments.start(path.name)
    for count, stored in enumerate(segments.scan(path, at)):
        if count < 3:
            at = stored.after
    path.write_bytes(content[: at.offset] + bytes(len(content) - at.offset))
    assert kinds(tmp_path) == ["cut"]


def test_a_file_taken_away_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, 300)
    write(tmp_path, 1)
    files(tmp_path)[0].unlink()
    assert kinds(tmp_path) == ["missing"]


def test_a_record_rewritten_with_a_right_checksum_breaks_the_chain(tmp_path: Path) -> None:
    write(tmp_path, 5, close=False)
    (path,) = files(tmp_path)
    stored = list(segments.scan(path, segments.start(path.name)))
    before, target = stored[1].after, stored[2]
    forged = target.payload.replace(b'"department":"tax"', b'"department":"spy"')
    framed, _ = segments.frame(forged, before)
    content = path.read_bytes()
    path.write_bytes(content[: before.offset] + framed + content[before.offset + len(framed) :])
    assert not Ledger(tmp_path).verify().sound


def test_a_full_disk_fails_the_calls_of_that_turn_and_no_later_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Meter(tmp_path, SMALL)

    async def run() -> tuple[list[object], None]:
        with monkeypatch.context() as broken:
            broken.setattr(os, "pwrite", lambda fd, data, at: len(data) // 2)
            failed = await asyncio.gather(*(meter.record(Call.begin()) for _ in range(3)), return_exceptions=True)
        assert meter.problem is not None
        return failed, await meter.record(Call.begin())

    failed, _ = asyncio.run(run())
    assert [type(error) for error in failed] == [UnavailableError] * 3
    assert meter.problem is None
    meter.close()
    assert len(list(Ledger(tmp_path).records())) == 1
    assert Ledger(tmp_path).verify().sound


def test_totals_grow_with_what_is_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    write(tmp_path, 4, library="legal_person", grant="a", units=2)
    write(tmp_path, 1, department=None, status=401)
    (refused, answered) = sorted(ledger.totals(), key=lambda total: total.calls)
    assert (refused.department, refused.status, refused.calls) == (None, 401, 1)
    assert (answered.day, answered.library, answered.calls, answered.units) == (today(), "legal_person", 4, 8)
    write(tmp_path, 3, library="legal_person", grant="a", units=2)
    assert [total.calls for total in ledger.totals(department="tax")] == [7]
    assert ledger.units(today(), "tax", "a") == 14
    assert ledger.totals(since="2999-01-01") == []


def test_a_new_day_begins_a_new_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Meter(tmp_path, SMALL)
    asyncio.run(meter.record(Call.begin()))
    monkeypatch.setattr("sharing.meter.today", lambda: "2999-01-01")
    asyncio.run(meter.record(Call.begin()))
    meter.close()
    assert [path.name[:8] for path in files(tmp_path)] == [today().replace("-", ""), "29990101"]
    assert kinds(tmp_path) == []


def test_a_closed_segment_keeps_no_unused_room(tmp_path: Path) -> None:
    write(tmp_path, 2)
    (path,) = files(tmp_path)
    assert path.stat().st_size == list(segments.scan(path, segments.start(path.name)))[-1].after.offset < SMALL
    assert Ledger(tmp_path).verify().findings == ()


def test_the_ledger_is_plain_json_inside(tmp_path: Path) -> None:
    write(tmp_path, 1, matter="税务登记")
    (path,) = files(tmp_path)
    header, call, seal = [json.loads(stored.payload) for stored in segments.scan(path, segments.start(path.name))]
    assert header["segment"] == path.name
    assert call["matter"] == "税务登记"
    assert seal == {"sealed": True}
