"""Keeping a check as it streams: every row is there, ordered inside each group, and counts only when all is durable."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.values import Manifest, Position, RuleCount, Verdict
from warehouse import checked as checking
from warehouse import landed
from warehouse.checked import CheckedWriter, KeptCheck, kept_check
from warehouse.errors import WarehouseError
from warehouse.store import LocalStore

SCHEMA = pa.schema([("_row", pa.int64()), ("code", pa.string()), ("amount", pa.decimal128(38, 2)), ("ok", pa.bool_())])
COLUMNS = {"code": "编号", "amount": "金额", "ok": "有效"}
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


def written(store: LocalStore) -> CheckedWriter:
    return CheckedWriter(store, MANIFEST, landed.form(SCHEMA, COLUMNS, MANIFEST), key=("code",))


def kept(store: LocalStore, codes: list[str | None], size: int) -> KeptCheck:
    with written(store) as writer:
        for batch in batches(codes, size):
            writer.write(batch)
        writer.keep(verdict(len(codes), (1,)))
    return kept_check(store, MANIFEST)


@settings(max_examples=200 if os.environ.get("SHUTONG_PROVE") else 10, deadline=None)
@given(st.lists(st.none() | st.text(max_size=3), max_size=40), st.integers(1, 9), st.integers(1, 20))
def test_every_row_comes_back_in_the_form_of_its_table_however_it_was_cut(
    codes: list[str | None], size: int, file_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "FILE_ROWS", file_rows)
        found = kept(LocalStore(Path(folder)), codes, size).table()
        assert found.schema == landed.form(SCHEMA, COLUMNS, MANIFEST).schema
        rows = sorted(zip(found["_row"].to_pylist(), found["code"].to_pylist(), strict=True))
        assert rows == list(enumerate(codes, 1))
        assert set(found["_batch"].to_pylist()) <= {"b1"}


def test_rows_are_ordered_inside_each_group_and_the_file_says_so(store: LocalStore) -> None:
    codes = [f"{number * 7919 % 200_000:06}" for number in range(200_000)]
    found = kept(store, [*codes, None], 30_000)
    with store.open(found.files[0]) as stream:
        file = pq.ParquetFile(stream)
        assert file.num_row_groups == 3
        for at in range(file.num_row_groups):
            group = file.read_row_group(at)["code"].to_pylist()
            assert group == sorted(group, key=lambda code: (code is None, code or ""))
            told = file.metadata.row_group(at)
            assert [one.column_index for one in told.sorting_columns] == [0]
            assert (told.column(0).statistics.min, told.column(0).statistics.max) == (
                group[0],
                max(c for c in group if c),
            )


def test_a_reader_passes_over_the_groups_that_cannot_hold_a_key(store: LocalStore) -> None:
    codes = [f"{number * 7919 % 150_000:06}" for number in range(150_000)]
    found = kept(store, codes, 30_000)
    file = str(store.local(found.files[0]))
    with duckdb.connect() as connection:

        def passed_over(code: str) -> list[bool]:
            probe = "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, 'code', ?) ORDER BY row_group_id"
            return [one for (one,) in connection.execute(probe, [file, code]).fetchall()]

        there = [passed_over(codes[number]) for number in range(0, 150_000, 5_000)]
        absent = [passed_over(f"{number:06}x") for number in range(0, 150_000, 5_000)]
    assert all(False in one for one in there)
    assert sum(all(one) for one in absent) > len(absent) / 2


def test_a_check_is_read_in_parts_and_by_column(store: LocalStore) -> None:
    found = kept(store, [*"cab"], 2)
    parts = list(found.reader(["ok", "code"], rows=2))
    assert [part.num_rows for part in parts] == [2, 1]
    assert pa.Table.from_batches(parts)["code"].to_pylist() == [*"abc"]
    with pytest.raises(KeyError):
        found.reader(["none"])


def test_the_verdict_is_read_as_it_was_kept(store: LocalStore) -> None:
    found, told = kept(store, [*"cab"], 2), verdict(3, (1,))
    assert found.verdict().violations == told.violations
    assert found.verdict().quarantine.to_pylist() == [1]
    assert (found.counts, found.decision, found.results) == (told.counts, "warn", {"a": 1})


def test_a_batch_without_rows_still_has_its_columns(store: LocalStore) -> None:
    assert kept(store, [], 5).table() == landed.form(SCHEMA, COLUMNS, MANIFEST).schema.empty_table()


def test_a_check_that_breaks_leaves_the_earlier_one(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "FILE_ROWS", 2)
    kept(store, [*"ab"], 2)
    before = store.folders("")

    def broken() -> None:
        with written(store) as writer:
            for batch in batches([*"wxyz5"], 2):
                writer.write(batch)
            raise MemoryError

    with pytest.raises(MemoryError):
        broken()
    assert kept_check(store, MANIFEST).table()["code"].to_pylist() == [*"ab"]
    assert store.folders("") == before
    files = sorted(path.name.split("-")[1] for path in store.folder.rglob("checked-*"))
    assert files == ["deletions", "quarantine", "table", "violations"]


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
