"""Keeping a pull: what was received is there to the last character, named by its content, and counts once."""

from __future__ import annotations

import hashlib
import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.values import RAW_COLUMNS, Batch, Manifest, Position
from warehouse import raw_files
from warehouse.errors import WarehouseError
from warehouse.keep import keep, received
from warehouse.state import State
from warehouse.store import LocalStore

TEXTS = st.none() | st.text(max_size=4) | st.sampled_from(["𠮷", "", "９１", "330000199001011234", "\x00"])
RESOURCE = "市场.base"


class Place:
    """A store and a state in a folder."""

    def __init__(self, folder: Path) -> None:
        self.store, self.state = LocalStore(folder), State(f"sqlite:///{folder}/state.db")
        self.state.migrate()

    def keep(self, batches: list[Batch], run: str = "run-1") -> Manifest:
        return keep(self.store, self.state, RESOURCE, run, batches)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.state.close()


def batch(columns: dict[str, list[str | None]], position: Position | None = None) -> Batch:
    count = len(next(iter(columns.values())))
    raw = {"_row": pa.array(range(1, count + 1), pa.int64())}
    raw |= {name: pa.nulls(count, pa.string()) for name in RAW_COLUMNS[1:]}
    return Batch(pa.record_batch(raw | {k: pa.array(v, pa.string()) for k, v in columns.items()}), position)


@pytest.fixture(scope="module")
def shared() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        made = Place(Path(folder))
        yield made
        made.state.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=9), st.integers(1, 4), st.integers(1, 9))
def test_what_was_received_comes_back_and_its_name_does_not_depend_on_the_cut(
    shared: Place, records: list[tuple[str | None, str | None]], one: int, other: int
) -> None:
    def cut(size: int) -> list[Batch]:
        parts = [records[at : at + size] for at in range(0, len(records), size)]
        return [batch({"甲": [a for a, _ in part], "乙": [b for _, b in part]}) for part in parts]

    run = f"run-{uuid.uuid4()}"
    first = shared.keep(cut(one), run)
    again = shared.keep(cut(other), run + "-again")
    assert again == first
    found = received(shared.store, first)
    assert list(zip(found["甲"].to_pylist(), found["乙"].to_pylist(), strict=True)) == records
    assert found["_row"].to_pylist() == list(range(1, len(records) + 1))


@pytest.mark.parametrize(
    "other",
    [
        {"甲": ["ab", "c"]},
        {"甲": ["a", None]},
        {"甲": ["a", ""]},
        {"乙": ["a", "bc"]},
        {"甲": ["bc", "a"]},
        {"甲": ["a", "bc", None]},
    ],
)
def test_different_content_has_a_different_name(place: Place, other: dict[str, list[str | None]]) -> None:
    one = place.keep([batch({"甲": ["a", "bc"]})], "run-1")
    assert place.keep([batch(other)], "run-2").batch != one.batch


def test_rows_are_numbered_over_the_whole_batch_and_columns_may_differ(place: Place) -> None:
    kept = place.keep([batch({"甲": ["1", "2"]}), batch({"乙": ["3"]}), batch({"乙": ["4"], "甲": ["5"]})])
    assert received(place.store, kept).select(["_row", "甲", "乙"]).to_pylist() == [
        {"_row": 1, "甲": "1", "乙": None},
        {"_row": 2, "甲": "2", "乙": None},
        {"_row": 3, "甲": None, "乙": "3"},
        {"_row": 4, "甲": "5", "乙": "4"},
    ]
    assert (kept.rows, len(kept.files)) == (4, 2)
    assert kept.columns == (*RAW_COLUMNS, "甲", "乙")


def test_a_full_file_is_followed_by_another(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_files, "FILE_ROWS", 4)
    kept = place.keep([batch({"甲": [str(n), "x"]}) for n in range(5)])
    assert len(kept.files) == 3
    assert received(place.store, kept)["甲"].to_pylist()[::2] == ["0", "1", "2", "3", "4"]


def test_the_manifest_beside_the_files_proves_them(place: Place) -> None:
    kept = place.keep([batch({"甲": ["1"]}, Position({"lsn": 7}))])
    folder = kept.files[0].rpartition("/")[0]
    note = json.loads(place.store.get(f"{folder}/manifest.json"))
    digest = hashlib.sha256(place.store.get(kept.files[0])).hexdigest()
    assert note["file_sha256"] == {kept.files[0]: digest}
    assert kept.sha256 == note["sha256"] == hashlib.sha256(digest.encode()).hexdigest()
    assert kept.bytes == len(place.store.get(kept.files[0]))
    assert note["content_sha256"].startswith(kept.batch)
    assert place.state.position(RESOURCE) == Position({"lsn": 7})
    assert kept.pulled_at.endswith("+08:00")


def test_the_last_position_given_counts(place: Place) -> None:
    place.keep(
        [batch({"甲": ["1"]}, Position({"at": 1})), batch({"甲": ["2"]}, Position({"at": 2})), batch({"甲": ["3"]})]
    )
    assert place.state.position(RESOURCE) == Position({"at": 2})


def test_a_pull_without_rows_still_has_a_manifest(place: Place) -> None:
    kept = place.keep([])
    assert (kept.rows, received(place.store, kept).num_rows) == (0, 0)
    assert place.state.manifests(RESOURCE) == [kept]


def test_a_run_that_pulled_already_does_not_ask_its_source_again(place: Place) -> None:
    first = place.keep([batch({"甲": ["1"]})])

    def refuses() -> Iterator[Batch]:
        raise AssertionError("the source was read again")
        yield

    assert keep(place.store, place.state, RESOURCE, "run-1", refuses()) == first


def test_a_source_that_breaks_leaves_nothing_that_counts_and_the_next_pull_cleans_up(place: Place) -> None:
    first = place.keep([batch({"甲": ["0"]})], "run-0")

    def breaks() -> Iterator[Batch]:
        yield batch({"甲": ["1"]})
        yield batch({"乙": ["1"]})
        raise ConnectionError

    with pytest.raises(ConnectionError):
        keep(place.store, place.state, RESOURCE, "run-1", breaks())
    assert place.state.manifests(RESOURCE) == [first]
    torn = [folder for folder in place.store.folders("land") if folder.endswith("run-1")]
    assert len(torn) == 1
    second = place.keep([batch({"甲": ["2"]})], "run-2")
    kept = sorted(one.files[0].rpartition("/")[0] for one in (first, second))
    assert place.store.folders("land") == kept


def test_files_of_another_resource_are_left_alone(place: Place) -> None:
    other = keep(place.store, place.state, "市场.base2", "run-1", [batch({"甲": ["1"]})])
    place.keep([batch({"甲": ["2"]})], "run-2")
    assert received(place.store, other).num_rows == 1


@pytest.mark.parametrize("run", ["scheduled__2026-01-01T00:00:00+00:00", "../../etc", "..", "a/b", "𠮷 1%"])
def test_any_run_id_makes_a_folder_inside_the_warehouse(place: Place, run: str) -> None:
    kept = place.keep([batch({"甲": ["1"]})], run)
    assert kept.files[0].count("/") == 5
    assert received(place.store, kept).num_rows == 1


def test_the_store_refuses_a_path_that_leaves_it(place: Place) -> None:
    with pytest.raises(WarehouseError, match="WH-PATH"):
        place.store.put("../outside", b"")


def test_a_missing_file_is_named(place: Place) -> None:
    with pytest.raises(WarehouseError, match=r"WH-FILE-MISSING.*land/none"):
        place.store.get("land/none")


def test_a_file_torn_while_it_is_written_never_appears(place: Place) -> None:
    place.store.put("a/b", b"whole")

    def torn() -> None:
        with place.store.create("a/b") as stream:
            stream.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        torn()
    assert place.store.get("a/b") == b"whole"
    assert place.store.folders("a") == ["a"]
    assert list((place.store.folder / "a").iterdir()) == [place.store.folder / "a" / "b"]
