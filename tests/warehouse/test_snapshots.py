"""Against the snapshot of an earlier read a full read is its new, changed and gone records, whatever they hold."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.values import RAW_COLUMNS
from warehouse.snapshots import SnapshotDiff, sweep
from warehouse.store import LocalStore

Row = tuple[str | None, str | None, str | None]
TEXT = st.one_of(st.none(), st.sampled_from(["", "1", "11", "-", "1:1", "𠮷", "a", "A", "１"]))
READS = st.lists(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=12), min_size=1, max_size=4)


def rows(values: Sequence[Row]) -> pa.RecordBatch:
    about = {"_row": pa.array(range(1, len(values) + 1), pa.int64())}
    about |= {name: pa.nulls(len(values), pa.string()) for name in RAW_COLUMNS[1:]}
    columns = {name: pa.array([one[at] for one in values], pa.string()) for at, name in enumerate(("k", "K", "v"))}
    return pa.record_batch(about | columns)


def listed(batch: pa.RecordBatch) -> list[Row]:
    return [(one["k"], one["K"], one["v"]) for one in batch.select(["k", "K", "v"]).to_pylist()]


def differences(store: LocalStore, before: str | None, read: Sequence[Row], cut: int = 5):
    """What a read brings and which keys it lacks, and the snapshot it leaves."""
    with SnapshotDiff(store, store.folder / "scratch", ("k", "K"), before) as diff:
        came: list[Row] = []
        for at in range(0, len(read), cut):
            came += listed(diff.take(rows(read[at : at + cut])))
        for late in diff.late():
            came += listed(late)
        gone = [tuple(one.values()) for keys in diff.gone_keys() for one in keys.to_pylist()]
        return came, gone, diff.commit("d.r")


def expected(before: Sequence[Row], now: Sequence[Row]) -> tuple[set[Row], set[tuple[str | None, str | None]]]:
    """In plain Python: the records that must come, and the keys that are gone and can be named."""

    def by_key(values: Sequence[Row]) -> dict[tuple[str | None, str | None], list[str]]:
        found: dict[tuple[str | None, str | None], list[str]] = {}
        for *key, value in values:
            found.setdefault(tuple(key), []).append(repr(value))
        return {key: sorted(said) for key, said in found.items()}

    old, new = by_key(before), by_key(now)
    must = set()
    for one in now:
        said = old.get(one[:2], [])
        unchanged = said == new[one[:2]] if len(said) > 1 else repr(one[2]) in said
        if not unchanged:
            must.add(one)
    return must, {key for key in old if key not in new and None not in key}


@settings(
    max_examples=100 if os.environ.get("SHUTONG_PROVE") else 6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@example([[(None, None, None)], [(None, None, None), (None, None, None), (None, None, "")]])
@given(READS)
def test_read_after_read_exactly_the_differences_come(reads: list[list[Row]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store, path, before = LocalStore(Path(folder)), None, []
        for read in reads:
            came, gone, path = differences(store, path, read)
            must, lost = expected(before, read)
            assert set(came) == must
            assert sorted(map(repr, gone)) == sorted(map(repr, lost))
            assert differences(store, path, read)[:2] == ([], [])
            before = read
        sweep(store, "d.r", [path])
        assert store.folders("snapshots") == [path.rpartition("/")[0]]
        sweep(store, "d.r", [])
        assert store.folders("snapshots") == []


def test_a_record_told_to_stay_is_still_known_and_gone_the_next_time(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    path = differences(store, None, [("1", "a", "x"), ("2", "b", "x"), ("2", "b", "y")])[2]
    with SnapshotDiff(store, tmp_path / "scratch", ("k", "K"), path) as diff:
        diff.take(rows([("1", "a", "x")]))
        diff.keep_gone()
        assert diff.gone() == 1
        assert diff.commit("d.r") == path
    assert differences(store, path, [("1", "a", "x")])[1] == [("2", "b")]


def test_a_column_that_is_new_and_empty_changes_no_record(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    path = differences(store, None, [("1", "a", "x")])[2]
    with SnapshotDiff(store, tmp_path / "scratch", ("k", "K"), path) as diff:
        read = rows([("1", "a", "x")])
        assert diff.take(read.append_column("w", pa.nulls(1, pa.string()))).num_rows == 0
        assert diff.take(read.append_column("w", pa.array(["说"]))).num_rows == 1
