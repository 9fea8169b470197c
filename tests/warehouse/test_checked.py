"""Keeping a check as it streams: every row is there, ordered inside each group, and counts only when all is durable."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.values import Manifest, Position, RuleCount, Verdict
from warehouse import checked as checking
from warehouse.checked import CheckedWriter, KeptCheck, checked, keep_checked, kept_check
from warehouse.errors import WarehouseError
from warehouse.store import LocalStore

SCHEMA = pa.schema([("_row", pa.int64()), ("code", pa.string()), ("amount", pa.decimal128(38, 2)), ("ok", pa.bool_())])
MANIFEST = Manifest(
    "market.base", "run-1", "b1", 0, 0, "", ("land/market/base/d/run-1/part-00000.parquet",), (), Position(), ""
)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def verdict(rows: int, bad: tuple[int, ...] = ()) -> Verdict:
    violations = {"_row": pa.array(bad, pa.int64()), "rules": pa.array([["r1"]] * len(bad), pa.list_(pa.string()))}
    quarantine = pa.array(bad, pa.int64())
    counts = (RuleCount("r1", "error", len(bad), rows),)
    return Verdict(rows, counts, pa.table(violations), quarantine, "warn", "有问题", "some are wrong", {"a": 1})


def batches(codes: list[str | None], size: int) -> Iterator[pa.RecordBatch]:
    for at in range(0, len(codes), size):
        part = codes[at : at + size]
        rows = [{"_row": at + n + 1, "code": code, "amount": None, "ok": n % 2 == 0} for n, code in enumerate(part)]
        yield pa.RecordBatch.from_pylist(rows, SCHEMA)


def kept(store: LocalStore, codes: list[str | None], size: int, sort_by: tuple[str, ...] = ()) -> KeptCheck:
    with CheckedWriter(store, MANIFEST, SCHEMA, sort_by=sort_by) as writer:
        for batch in batches(codes, size):
            writer.write(batch)
        writer.keep(verdict(len(codes), (1,)))
    return kept_check(store, MANIFEST)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.none() | st.text(max_size=3), max_size=40), st.integers(1, 9), st.integers(1, 20), st.booleans())
def test_every_row_comes_back_however_it_was_cut(
    codes: list[str | None], size: int, file_rows: int, ordered: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "FILE_ROWS", file_rows)
        found = kept(LocalStore(Path(folder)), codes, size, ("code",) if ordered else ()).table()
        assert found.schema == SCHEMA
        rows = sorted(zip(found["_row"].to_pylist(), found["code"].to_pylist(), strict=True))
        assert rows == list(enumerate(codes, 1))
        assert ordered or found["_row"].to_pylist() == list(range(1, len(codes) + 1))


def test_rows_are_ordered_inside_each_group_and_the_file_says_so(store: LocalStore) -> None:
    codes = [f"{number * 7919 % 200_000:06}" for number in range(200_000)]
    found = kept(store, [*codes, None], 30_000, ("code",))
    with store.open(found.files[0]) as stream:
        file = pq.ParquetFile(stream)
        assert file.num_row_groups == 3
        for at in range(file.num_row_groups):
            group = file.read_row_group(at)["code"].to_pylist()
            assert group == sorted(group, key=lambda code: (code is None, code or ""))
            told = file.metadata.row_group(at)
            assert [one.column_index for one in told.sorting_columns] == [1]
            assert (told.column(1).statistics.min, told.column(1).statistics.max) == (
                group[0],
                max(c for c in group if c),
            )


def test_a_check_is_read_in_parts_and_by_column(store: LocalStore) -> None:
    found = kept(store, [*"cab"], 2)
    parts = list(found.reader(["ok", "code"], rows=2))
    assert [part.num_rows for part in parts] == [2, 1]
    assert pa.Table.from_batches(parts)["code"].to_pylist() == [*"cab"]
    with pytest.raises(KeyError):
        found.reader(["none"])


def test_verdict_and_rows_are_the_same_read_at_once_or_in_parts(store: LocalStore) -> None:
    table = pa.Table.from_batches(batches([*"cab"], 2), SCHEMA)
    keep_checked(store, MANIFEST, table, verdict(3, (2, 3)))
    once, parts = checked(store, MANIFEST), kept_check(store, MANIFEST)
    assert once.table == parts.table() == table
    assert once.verdict.quarantine.to_pylist() == parts.verdict.quarantine.to_pylist() == [2, 3]
    assert once.verdict.counts == parts.verdict.counts == verdict(3, (2, 3)).counts
    assert once.rules == parts.rules


def test_a_batch_without_rows_still_has_its_columns(store: LocalStore) -> None:
    assert kept(store, [], 5).table() == SCHEMA.empty_table()


def test_a_check_that_breaks_leaves_the_earlier_one(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "FILE_ROWS", 2)
    kept(store, [*"ab"], 2)
    before = store.folders("")

    def broken() -> None:
        with CheckedWriter(store, MANIFEST, SCHEMA) as writer:
            for batch in batches([*"wxyz5"], 2):
                writer.write(batch)
            raise MemoryError

    with pytest.raises(MemoryError):
        broken()
    assert kept_check(store, MANIFEST).table()["code"].to_pylist() == [*"ab"]
    assert store.folders("") == before
    files = sorted(path.name.split("-")[1] for path in store.folder.rglob("checked-*"))
    assert files == ["quarantine", "table", "violations"]


def test_a_new_check_takes_the_place_of_the_one_before(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "FILE_ROWS", 2)
    first = kept(store, [*"abcde"], 2)
    assert len(first.files) == 3
    second = kept(store, [*"xy"], 2)
    assert second.table()["code"].to_pylist() == [*"xy"]
    assert not any(store.exists(path) for path in first.files)


def test_a_batch_that_was_not_checked_says_so(store: LocalStore) -> None:
    with pytest.raises(WarehouseError, match="WH-CHECK-MISSING"):
        kept_check(store, MANIFEST)
