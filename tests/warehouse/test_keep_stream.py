"""Reading and writing overlap: in order, with few batches in memory, and an error on either side ends both."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.values import RAW_COLUMNS, Batch, Manifest
from warehouse import raw_files, row_groups
from warehouse.content import ContentHash
from warehouse.keep import keep_pieces, received, received_batches
from warehouse.state import State
from warehouse.store import LocalStore

RESOURCE = "market.base"


class FullDisk(LocalStore):
    """A store whose disk is full from the first file on."""

    def create(self, path: str) -> AbstractContextManager[BinaryIO]:
        raise OSError(28, "No space left on device", path)


class Place:
    """A store, a state, and pulls into them."""

    def __init__(self, folder: Path, store: LocalStore | None = None) -> None:
        self.store, self.state = store or LocalStore(folder), State(f"sqlite:///{folder}/state.db")
        self.state.migrate()
        self.state.start_run("run-1", RESOURCE)

    def keep(self, batches: Iterator[Batch]) -> Manifest:
        return keep_pieces(self.store, self.state, RESOURCE, "run-1", batches)[-1]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.state.close()


def batch(columns: dict[str, pa.Array]) -> Batch:
    count = len(next(iter(columns.values())))
    raw = {"_row": pa.array(range(1, count + 1), pa.int64())}
    raw |= {name: pa.nulls(count, pa.string()) for name in RAW_COLUMNS[1:]}
    return Batch(pa.record_batch(raw | columns))


def numbers(first: int, last: int) -> Batch:
    return batch({"n": pa.array([str(n) for n in range(first, last)], pa.string())})


def test_the_source_is_read_where_it_was_opened(place: Place) -> None:
    seen = set()

    def source() -> Iterator[Batch]:
        for at in range(5):
            seen.add(threading.get_ident())
            yield numbers(at, at + 1)

    kept = place.keep(source())
    assert seen == {threading.get_ident()}
    assert received(place.store, kept)["n"].to_pylist() == [*"01234"]


def test_a_full_disk_ends_the_reading(tmp_path: Path) -> None:
    place, given = Place(tmp_path, FullDisk(tmp_path)), []

    def source() -> Iterator[Batch]:
        for at in range(10**6):
            given.append(at)
            yield numbers(at * 70_000, at * 70_000 + 70_000)

    with pytest.raises(OSError, match="No space left"):
        place.keep(source())
    assert len(given) < 10
    assert place.state.manifests() == []
    place.state.close()


def test_a_source_that_breaks_while_the_writer_is_behind_is_what_is_told(place: Place) -> None:
    def source() -> Iterator[Batch]:
        for at in range(8):
            yield numbers(at * 70_000, at * 70_000 + 70_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        place.keep(source())
    assert place.state.manifests() == []
    assert list(place.store.folder.rglob("*.parquet")) == []


def test_no_thread_is_left_behind(place: Place) -> None:
    before = threading.active_count()
    place.keep(iter([numbers(0, 3)]))
    assert threading.active_count() == before


def test_a_batch_is_read_in_parts_of_one_shape(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_files, "FILE_ROWS", 4)
    kept = place.keep(iter([numbers(0, 5), batch({"甲": pa.array(["x"] * 5)}), numbers(5, 9)]))
    parts = list(received_batches(place.store, kept, rows=3))
    assert max(part.num_rows for part in parts) <= 3
    assert {tuple(part.schema.names) for part in parts} == {(*RAW_COLUMNS, "n", "甲")}
    assert pa.Table.from_batches(parts) == received(place.store, kept)
    assert received(place.store, kept)["_row"].to_pylist() == list(range(1, 15))


def test_wide_rows_are_written_in_smaller_groups(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_groups, "GROUP_BYTES", 10_000)
    kept = place.keep(iter([batch({"x": pa.array(["y" * 6_000])}) for _ in range(4)]))
    with place.store.open(kept.files[0]) as stream:
        assert pq.ParquetFile(stream).num_row_groups == 2
    assert received(place.store, kept)["x"].to_pylist() == ["y" * 6_000] * 4


def test_any_text_type_arrives_as_text(place: Place) -> None:
    words = ["甲", None, "𠮷"]
    columns = {"large": pa.array(words, pa.large_string()), "repeated": pa.array(words).dictionary_encode()}
    found = received(place.store, place.keep(iter([batch(columns)])))
    assert found["large"].to_pylist() == found["repeated"].to_pylist() == words


@given(st.lists(st.tuples(st.text(max_size=3), st.booleans()), max_size=12))
def test_bytes_under_a_null_are_no_content(values: list[tuple[str, bool]]) -> None:
    texts = pa.array([text for text, _ in values], pa.string())
    there = pa.array([known for _, known in values], pa.bool_())
    shown = pa.Array.from_buffers(pa.string(), len(values), [there.buffers()[1], *texts.buffers()[1:]])
    plain = pa.array([text if known else None for text, known in values], pa.string())
    assert _digest(shown) == _digest(plain)


def _digest(column: pa.Array) -> str:
    content = ContentHash()
    content.update(pa.record_batch({"a": column}))
    return content.hexdigest()
