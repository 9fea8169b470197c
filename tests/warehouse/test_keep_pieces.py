"""A pull in pieces: each counts with the position it allows, and a killed pull goes on after the last of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.values import RAW_COLUMNS, Batch, Manifest, Position
from warehouse.keep import folder_of, keep_pieces, pulled, received
from warehouse.state import State
from warehouse.store import LocalStore

RESOURCE = "market.base"


class SourceDiedError(Exception):
    """What the tests' source dies of."""


class Place:
    """A store and a state in a folder, and a source of numbered records that can be read from any of them."""

    def __init__(self, folder: Path) -> None:
        self.store, self.state = LocalStore(folder), State(f"sqlite:///{folder}/state.db")
        self.state.migrate()

    def keep(self, batches: Iterator[Batch], run: str = "run-1", rows: int = 4) -> tuple[Manifest, ...]:
        self.state.start_run(run, RESOURCE)
        return keep_pieces(self.store, self.state, RESOURCE, run, batches, piece_rows=rows)

    def values(self, pieces: tuple[Manifest, ...]) -> list[list[str]]:
        return [received(self.store, one)["n"].to_pylist() for one in pieces]

    def all_values(self, pieces: tuple[Manifest, ...]) -> list[str]:
        return [value for piece in self.values(pieces) for value in piece]

    def begin(self) -> int:
        position = self.state.position(RESOURCE)
        return int(str(position.cursor.get("after", 0))) if position else 0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.state.close()


def batch(first: int, last: int, position: int | None = None) -> Batch:
    count = last - first + 1
    raw = {"_row": pa.array(range(1, count + 1), pa.int64())}
    raw |= {name: pa.nulls(count, pa.string()) for name in RAW_COLUMNS[1:]}
    numbers = {"n": pa.array([str(n) for n in range(first, last + 1)], pa.string())}
    return Batch(pa.record_batch(raw | numbers), None if position is None else Position({"after": position}))


def source(first: int, last: int, *, places: set[int], dies_after: int | None = None) -> Iterator[Batch]:
    """Batches of two records; those that end at one of `places` can be resumed from."""
    for at in range(first, last + 1, 2):
        end = min(at + 1, last)
        yield batch(at, end, end if end in places else None)
        if dies_after is not None and end >= dies_after:
            raise SourceDiedError


def test_a_piece_ends_with_the_first_position_after_enough_rows(place: Place) -> None:
    pieces = place.keep(source(1, 13, places={2, 6, 8, 10, 12}))
    assert place.values(pieces) == [[*"123456"], [*"789", "10"], ["11", "12", "13"]]
    assert [received(place.store, one)["_row"].to_pylist() for one in pieces] == [
        [*range(1, 7)],
        [1, 2, 3, 4],
        [1, 2, 3],
    ]
    assert [one.position for one in pieces] == [Position({"after": at}) for at in (6, 10, 12)]
    assert len({folder_of(one) for one in pieces}) == 3
    assert place.state.manifests(RESOURCE) == list(reversed(pieces))


def test_without_a_position_in_the_middle_a_pull_stays_one_piece(place: Place) -> None:
    pieces = place.keep(source(1, 12, places={12}))
    assert [one.rows for one in pieces] == [12]
    assert place.begin() == 12


def test_the_last_piece_has_rows_where_the_pull_has(place: Place) -> None:
    def with_an_empty_end() -> Iterator[Batch]:
        yield from source(1, 4, places={2, 4})
        yield Batch(batch(1, 1).rows.slice(0, 0), Position({"after": 9}))

    assert [one.rows for one in place.keep(with_an_empty_end())] == [4]
    assert place.begin() == 9


def test_a_killed_pull_goes_on_after_its_last_piece_under_the_same_run(place: Place) -> None:
    with pytest.raises(SourceDiedError):
        place.keep(source(1, 20, places={4, 8, 12}, dies_after=11))
    assert (place.begin(), pulled(place.state, RESOURCE, "run-1")) == (8, None)
    pieces = place.keep(source(place.begin() + 1, 20, places={12, 16, 20}))
    assert place.all_values(pieces) == [str(n) for n in range(1, 21)]
    assert len(place.store.folders("land")) == len(pieces) == 5


def test_another_run_goes_on_too_and_answers_with_its_own_pieces_alone(place: Place) -> None:
    with pytest.raises(SourceDiedError):
        place.keep(source(1, 20, places={4, 8}, dies_after=11))
    pieces = place.keep(source(place.begin() + 1, 12, places=set()), run="run-2")
    assert place.values(pieces) == [["9", "10", "11", "12"]]
    assert [one.rows for one in place.state.manifests(RESOURCE)] == [4, 4, 4]


def test_a_complete_run_is_answered_with_its_pieces_and_reads_nothing(place: Place) -> None:
    first = place.keep(source(1, 10, places={4, 8}))

    def refuses() -> Iterator[Batch]:
        raise AssertionError("the source was read again")
        yield

    assert place.keep(refuses()) == first == pulled(place.state, RESOURCE, "run-1")


def test_a_run_that_brought_only_known_content_is_complete_with_the_earlier_batch(place: Place) -> None:
    first = place.keep(source(1, 3, places=set()))
    assert place.keep(source(1, 3, places=set()), run="run-2") == first
    assert pulled(place.state, RESOURCE, "run-2") == first
    assert len(place.store.folders("land")) == 1


def test_no_other_runs_folder_can_be_that_of_a_piece(place: Place) -> None:
    one = place.keep(source(1, 8, places={4, 8}), run="a")
    other = place.keep(source(11, 18, places={14, 18}), run="a,2")
    assert len({folder_of(each) for each in (*one, *other)}) == 4
    assert place.all_values(one) == [str(n) for n in range(1, 9)]


@settings(
    max_examples=100 if os.environ.get("SHUTONG_PROVE") else 6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    records=st.integers(1, 30),
    places=st.sets(st.integers(1, 30)),
    deaths=st.lists(st.integers(1, 30), max_size=4),
    rows=st.integers(1, 9),
)
def test_whatever_dies_every_record_counts_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, records: int, places: set[int], deaths: list[int], rows: int
) -> None:
    place = Place(tmp_path_factory.mktemp("pieces"))
    try:
        for death in deaths:
            try:
                place.keep(source(place.begin() + 1, records, places=places, dies_after=death), rows=rows)
            except SourceDiedError:
                continue
            break
        else:
            place.keep(source(place.begin() + 1, records, places=places), rows=rows)
        kept = pulled(place.state, RESOURCE, "run-1")
        assert kept is not None
        assert place.all_values(kept) == [str(n) for n in range(1, records + 1)]
        assert sorted({folder_of(one) for one in kept}) == place.store.folders("land")
    finally:
        place.state.close()
