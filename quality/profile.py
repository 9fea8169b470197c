"""Profile the fields of a table: what is missing, how many values there are, of which shape, how they are spread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from quality.personal_numbers import named
from quality.profile_shapes import shape, shapes

Read = Callable[[Sequence[str]], pa.RecordBatchReader]
TOP: Final = 10  # values and shapes told
BINS: Final = 20
SHARED: Final = 5  # rows that have a text in common before it is told: what one record says is nobody's business
SHAPED: Final = 200_000  # distinct values whose shapes are looked at
_QUANTILES = (5, 25, 50, 75, 95)
_SETTINGS = {"memory_limit": "512MB", "threads": "2", "enable_external_access": "false"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A field to look at; of a personal one only shapes and lengths are told, never a value."""

    field: str
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """A value, or a shape, and the rows that have it."""

    text: str
    rows: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows from a value up to the next bin's, the last one included in the last bin."""

    start: str
    end: str
    rows: int


@dataclass(frozen=True, slots=True)
class FieldProfile:
    """What one field holds.

    `filled` rows have a value, `distinct` different ones: both exact. Lengths count characters. `shapes` come from
    `shaped` distinct values; where that is fewer than `distinct` their rows are estimates. `top`, `least`, `greatest`,
    `quantiles` (5, 25, 50, 75, 95 %) and `bins` are empty for personal fields, the last four for texts too.
    """

    field: str
    kind: str
    personal: bool
    rows: int
    filled: int
    distinct: int
    shortest: int | None = None
    longest: int | None = None
    mean_length: float | None = None
    shapes: tuple[Count, ...] = ()
    shaped: int = 0
    top: tuple[Count, ...] = ()
    least: str | None = None
    greatest: str | None = None
    quantiles: tuple[str, ...] = ()
    bins: tuple[Bin, ...] = ()
    error: str | None = None


def profile(
    read: Read, asked: Sequence[Asked], progress: Callable[[int], None] = lambda _done: None
) -> tuple[FieldProfile, ...]:
    """Each field asked for, one after the other; `read` gives the rows of some columns, as often as it is asked.

    Every column is read once. Memory stays below half a gigabyte however many rows there are: what does not fit is
    put on disk. A field that cannot be looked at says why in `error`; KeyError for one that `read` does not know.
    """
    found = []
    for number, one in enumerate(asked):
        progress(number)
        with _connected() as connection:
            try:
                found.append(_field(connection, read([one.field]), one))
            except (duckdb.Error, pa.ArrowInvalid, UnicodeDecodeError) as error:
                found.append(FieldProfile(one.field, "", one.personal, 0, 0, 0, error=type(error).__name__))
    return tuple(found)


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    with TemporaryDirectory(prefix="shutong-profile-") as folder:
        settings = {**_SETTINGS, "temp_directory": str(Path(folder))}
        with duckdb.connect(":memory:", config=settings) as connection:
            connection.execute("SET TimeZone = 'Asia/Shanghai'")
            yield connection


def _field(connection: duckdb.DuckDBPyConnection, reader: pa.RecordBatchReader, asked: Asked) -> FieldProfile:
    kind = reader.schema.field(0).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    connection.register("column_", reader)
    name = asked.field.replace('"', '""')
    connection.execute(f'CREATE TEMP TABLE held AS SELECT "{name}" AS v, count(*) AS n FROM column_ GROUP BY 1')
    connection.execute("CREATE TEMP VIEW texts AS SELECT CAST(v AS VARCHAR) AS t, n FROM held WHERE v IS NOT NULL")
    rows, filled, distinct = _one(
        connection, "SELECT coalesce(sum(n), 0), coalesce(sum(n) FILTER (v IS NOT NULL), 0), count(v) FROM held"
    )
    known = FieldProfile(asked.field, str(kind), asked.personal, int(rows), int(filled), int(distinct))
    if not known.filled:
        return known
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    short, long, mean = _one(
        connection, "SELECT min(length(t)), max(length(t)), sum(length(t) * n) / sum(n) FROM texts"
    )
    told, shaped = _shapes(connection, known) if text or asked.personal else ((), 0)
    spread = None if text or asked.personal else _Spread(connection, kind, known.filled)
    return FieldProfile(
        field=known.field, kind=known.kind, personal=known.personal, rows=known.rows, filled=known.filled,
        distinct=known.distinct, shortest=short, longest=long, mean_length=round(float(mean), 2), shapes=told,
        shaped=shaped, top=() if asked.personal else _top(connection, SHARED if text else 1),
        least=spread.least if spread else None, greatest=spread.greatest if spread else None,
        quantiles=spread.quantiles() if spread else (), bins=spread.bins() if spread else (),
    )  # fmt: skip


def _shapes(connection: duckdb.DuckDBPyConnection, known: FieldProfile) -> tuple[tuple[Count, ...], int]:
    """The most frequent shapes; of very many distinct values those of a sample, their rows raised to the whole."""
    sample = f" USING SAMPLE reservoir({SHAPED} ROWS) REPEATABLE (1)" if known.distinct > SHAPED else ""
    looked = connection.execute(f"SELECT t, n FROM texts{sample}").to_arrow_table()
    made = pa.table({"s": shapes(looked["t"].combine_chunks()), "n": looked["n"].cast(pa.int64())})
    counted = made.group_by("s").aggregate([("n", "sum")]).sort_by([("n_sum", "descending"), ("s", "ascending")])
    seen = int(pc.sum(counted["n_sum"]).as_py())
    best = counted.slice(0, TOP).to_pylist()
    return tuple(Count(one["s"], round(one["n_sum"] * known.filled / seen)) for one in best), len(looked)


def _top(connection: duckdb.DuckDBPyConnection, least: int) -> tuple[Count, ...]:
    """The most frequent values that enough rows share; what holds somebody's number only as its shape."""
    query = f"SELECT t, n FROM texts WHERE n >= {least} ORDER BY n DESC, t LIMIT {TOP}"
    return tuple(
        Count(shape(text) if named(text) else text[:200], int(rows))
        for text, rows in connection.execute(query).fetchall()
    )


class _Spread:
    """How numbers, days and moments are spread."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, kind: pa.DataType, filled: int) -> None:
        self._connection, self._filled = connection, filled
        self._time = pa.types.is_temporal(kind)
        self._number = (
            self._time or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        )
        # What is no number, as NaN, is nowhere between two others.
        finite = "AND isfinite(v)" if pa.types.is_floating(kind) else ""
        self._where = f"WHERE v IS NOT NULL {finite}"
        self.least, self.greatest = _one(
            connection, f"SELECT CAST(min(v) AS VARCHAR), CAST(max(v) AS VARCHAR) FROM held {self._where}"
        )

    def quantiles(self) -> tuple[str, ...]:
        if not self._number or self.least is None:
            return ()
        parts = ", ".join(f"CAST(min(v) FILTER (c * 100 >= {one} * m) AS VARCHAR)" for one in _QUANTILES)
        query = f"SELECT v, sum(n) OVER (ORDER BY v) AS c, sum(n) OVER () AS m FROM held {self._where}"
        return tuple(map(str, _one(self._connection, f"SELECT {parts} FROM ({query})")))

    def bins(self) -> tuple[Bin, ...]:
        if not self._number or self.least is None:
            return ()
        value = "epoch(CAST(v AS TIMESTAMP))" if self._time else "CAST(v AS DOUBLE)"
        low, high = _one(self._connection, f"SELECT min({value}), max({value}) FROM held {self._where}")
        if low == high:
            return (Bin(self.least, self.greatest, self._filled),)
        place = f"least(CAST(floor(({value} - {low!r}) / ({high!r} - {low!r}) * {BINS}) AS INTEGER), {BINS - 1})"
        query = f"SELECT {place}, sum(n) FROM held {self._where} GROUP BY 1"
        held = dict(self._connection.execute(query).fetchall())
        edges = [low + (high - low) * step / BINS for step in range(BINS + 1)]
        said = [self._said(one) for one in edges]
        return tuple(Bin(said[step], said[step + 1], int(held.get(step, 0))) for step in range(BINS))

    def _said(self, edge: float) -> str:
        if not self._time:
            return f"{edge:.6g}"
        return str(
            _one(self._connection, f"SELECT strftime(make_timestamp(CAST({edge} * 1e6 AS BIGINT)), '%Y-%m-%d')")[0]
        )


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
