"""One wide scan for a whole suite: each condition sets a bit of a mask per row, and all else is read from those."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from schemas.values import ROW

WORD = 60  # conditions per mask: a UBIGINT each, with room to spare


@dataclass(frozen=True, slots=True)
class Condition:
    """A resolved condition of Great Expectations: true for a row that is not as expected.

    `where` holds when the row counts at all; `columns` are the columns it is about; `marked` asks which rows, not only
    how many.
    """

    expression: sa.ColumnElement[bool]
    where: tuple[sa.ColumnElement[bool], ...]
    columns: tuple[str, ...]
    marked: bool


@dataclass(frozen=True, slots=True)
class Marks:
    """What one scan found.

    `rows` are the `_row`s with any bit set, ordered; `masks[w]` their masks for conditions 60·w to 60·w+59; `bits` and
    `counts` tell each condition's bit and how many rows it holds for, `looked_at` how many rows counted at all; `total`
    is how many rows there were.
    """

    rows: npt.NDArray[np.int64]
    masks: tuple[npt.NDArray[np.uint64], ...]
    bits: Mapping[Any, int]
    counts: Mapping[Any, int]
    looked_at: Mapping[Any, int]
    total: int
    late: Mapping[Any, npt.NDArray[np.int64]] = field(default_factory=dict)

    def of(self, key: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401 - any hashable
        """The `_row`s for which the condition holds, ordered; KeyError when it was not marked."""
        if key in self.late:
            return self.late[key]
        word, bit = divmod(self.bits[key], WORD)
        found: npt.NDArray[np.int64] = self.rows[(self.masks[word] >> np.uint64(bit)) & np.uint64(1) == 1]
        return found

    def holds(self, key: Any) -> bool:  # noqa: ANN401 - any hashable
        """Whether it is known which rows the condition holds for."""
        return key in self.bits or key in self.late

    def with_late(self, late: Mapping[Any, npt.NDArray[np.int64]]) -> Marks:
        """The same and, for conditions that only the whole tells, the rows (ordered) they hold for."""
        counts = {key: len(rows) for key, rows in late.items()}
        looked_at = {key: self.looked_at.get(key, self.total) for key in late}
        return replace(self, late=late, counts={**self.counts, **counts}, looked_at={**self.looked_at, **looked_at})


class Answer(Protocol):
    """How one condition came out for the rows of a part."""

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """The rows it holds for."""
        ...

    @property
    def looked_at(self) -> int:
        """How many rows counted at all."""
        ...


def marks_of(rows: npt.NDArray[np.int64], answers: Mapping[Any, Answer], conditions: Mapping[Any, Condition]) -> Marks:
    """The marks of one part, whose `_row`s these are: a bit for each condition that is marked, answered or not."""
    bits = {key: place for place, key in enumerate(key for key, one in conditions.items() if one.marked)}
    anything = np.zeros(len(rows), np.bool_)
    for key in bits.keys() & answers.keys():
        anything |= answers[key].hits
    places = np.flatnonzero(anything)
    masks = [np.zeros(len(places), np.uint64) for _ in range(_words_of(len(bits)))]
    for key, bit in bits.items():
        if key in answers:
            masks[bit // WORD] |= answers[key].hits[places].astype(np.uint64) << np.uint64(bit % WORD)
    return Marks(
        rows[places].astype(np.int64),
        tuple(masks),
        bits,
        {key: int(np.count_nonzero(one.hits)) for key, one in answers.items()},
        {key: one.looked_at for key, one in answers.items()},
        len(rows),
    )


def together(found: Sequence[Marks], left_out: Collection[Any] = ()) -> Marks:
    """What the scans of the parts of a table, all for the same conditions, found in all of it, but for some conditions.

    `found` is not empty.
    """
    first = found[0]
    rows = np.concatenate([one.rows for one in found])
    masks = [np.concatenate([one.masks[word] for one in found]) for word in range(len(first.masks))]
    if (rows[1:] < rows[:-1]).any():
        order = np.argsort(rows, kind="stable")
        rows, masks = rows[order], [mask[order] for mask in masks]
    kept = [key for key in dict.fromkeys(key for one in found for key in one.counts) if key not in left_out]
    return Marks(
        rows,
        tuple(masks),
        {key: bit for key, bit in first.bits.items() if key not in left_out},
        {key: sum(one.counts.get(key, 0) for one in found) for key in kept},
        {key: sum(one.looked_at.get(key, 0) for one in found) for key in kept},
        sum(one.total for one in found),
    )


class Scanner:
    """Runs wide scans over one selectable through one DuckDB connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dialect: sa.Dialect, selectable: sa.FromClause) -> None:
        self._connection, self._dialect, self.selectable = connection, dialect, selectable

    def scan(self, conditions: Mapping[Any, Condition]) -> Marks:
        """Evaluate all conditions in one pass; duckdb.Error or sa.exc.CompileError when one of them cannot be."""
        marked = [key for key, one in conditions.items() if one.marked]
        bits = {key: place for place, key in enumerate(marked)}
        masks = [_mask([conditions[key] for key in some]) for some in _words(marked)]
        inner = sa.select(sa.literal_column("*"), *(mask.label(f"__m{w}") for w, mask in enumerate(masks)))
        numbers = _Numbers()
        for key, one in conditions.items():
            if not one.marked:
                numbers.add(("count", key), one.expression, *one.where)
            if one.where:
                numbers.add(("looked_at", key), *one.where)
        query = sa.select(*numbers.labelled(), _violators(len(masks))).select_from(
            inner.select_from(self.selectable).subquery("__t")
        )
        answer = self._connection.execute(self.sql(query)).to_arrow_table()
        return _read(answer, bits, numbers.read(answer), conditions)

    def holds(self, condition: Condition) -> bool:
        """Whether the condition can be evaluated at all."""
        counted = sa.func.count().filter(sa.and_(condition.expression, *condition.where))
        try:
            self._connection.execute(self.sql(sa.select(counted).select_from(self.selectable))).fetchall()
        except (duckdb.Error, sa.exc.SQLAlchemyError, NotImplementedError):
            return False
        return True

    def values(self, rows: Sequence[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """The named columns (all when none is named) of the rows with these `_row`s."""
        if not rows:
            return {}
        picked: list[Any] = [sa.column(name) for name in columns] or [sa.literal_column("*")]
        query = sa.select(sa.column(ROW).label("__row"), *picked).select_from(self.selectable)
        result = self._connection.execute(self.sql(query.where(sa.column(ROW).in_(list(rows)))))
        names = [one[0] for one in result.description or ()][1:]
        return {row[0]: dict(zip(names, row[1:], strict=True)) for row in result.fetchall()}

    def sql(self, query: sa.Select[Any]) -> str:
        """The query as text."""
        return str(query.compile(dialect=self._dialect, compile_kwargs={"literal_binds": True}))


class _Numbers:
    """The counts that are taken beside the masks, each under a name of its own."""

    def __init__(self) -> None:
        self._counts: list[tuple[tuple[str, Any], sa.ColumnElement[Any]]] = []

    def add(self, key: tuple[str, Any], *where: sa.ColumnElement[bool]) -> None:
        self._counts.append((key, sa.func.count().filter(sa.and_(*where))))

    def labelled(self) -> list[sa.Label[Any]]:
        total = sa.func.count().label("__all")
        return [total, *(count.label(f"__n{place}") for place, (_, count) in enumerate(self._counts))]

    def read(self, answer: Any) -> dict[tuple[str, Any], int]:  # noqa: ANN401 - a pa.Table
        return {key: answer[f"__n{place}"][0].as_py() for place, (key, _) in enumerate(self._counts)}


def _words_of(bits: int) -> int:
    return (bits + WORD - 1) // WORD


def _words(keys: Sequence[Any]) -> list[Sequence[Any]]:
    return [keys[first : first + WORD] for first in range(0, len(keys), WORD)]


def _mask(conditions: Sequence[Condition]) -> sa.ColumnElement[Any]:
    terms = [
        sa.case(
            (sa.and_(one.expression, *one.where), sa.literal_column(f"{1 << bit}::UBIGINT")),
            else_=sa.literal_column("0::UBIGINT"),
        )
        for bit, one in enumerate(conditions)
    ]
    mask: sa.ColumnElement[Any] = terms[0]
    for term in terms[1:]:
        mask = mask.op("|")(term)
    return mask


def _violators(words: int) -> sa.ColumnElement[Any]:
    """Row and masks of every row that has a bit set, as one list."""
    if not words:
        return sa.literal_column("NULL").label("__rows")
    fields = ", ".join(f"'m{w}': __m{w}" for w in range(words))
    anything = " OR ".join(f"__m{w} <> 0" for w in range(words))
    return sa.literal_column(f"list({{'r': \"{ROW}\", {fields}}}) FILTER (WHERE {anything})").label("__rows")


def _read(
    answer: Any,  # noqa: ANN401 - a pa.Table of one row
    bits: Mapping[Any, int],
    numbers: Mapping[tuple[str, Any], int],
    conditions: Mapping[Any, Condition],
) -> Marks:
    words = _words_of(len(bits))
    rows, masks = np.empty(0, np.int64), [np.empty(0, np.uint64) for _ in range(words)]
    if answer["__rows"].null_count == 0:
        found = answer["__rows"].combine_chunks().flatten()
        rows = found.field("r").to_numpy(zero_copy_only=False).astype(np.int64)
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        masks = [found.field(f"m{w}").to_numpy(zero_copy_only=False).astype(np.uint64)[order] for w in range(words)]
    total = answer["__all"][0].as_py()
    counts = {
        key: int(np.count_nonzero(masks[bits[key] // WORD] & np.uint64(1 << bits[key] % WORD)))
        if key in bits
        else numbers["count", key]
        for key in conditions
    }
    looked_at = {key: numbers.get(("looked_at", key), total) for key in conditions}
    return Marks(rows, tuple(masks), bits, counts, looked_at, total)
