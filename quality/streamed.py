"""Go through a batch once, part by part: kernels, and SQL for the rest, mark the rows each condition holds for."""

from __future__ import annotations

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from quality import limits
from quality.columns import Booleans, DeclinedError, Part, UnreadableError, is_text
from quality.condition import expression
from quality.fused import Condition, Marks, marks_of, together
from quality.kept import Kept
from quality.kernels import Kernel, kernel
from quality.parts import Parts
from quality.spoken import Tree
from schemas.values import ROW

_REFUSALS = (duckdb.Error, sa.exc.SQLAlchemyError, NotImplementedError)
_WORKERS = max(1, min(os.cpu_count() or 1, 4))

Key = Any  # what a condition is known by: anything hashable
Text = Callable[[sa.Select[Any]], str]


class Late(Protocol):
    """A condition that only the whole can tell: what it takes from each part, and the rows it holds for in the end."""

    @property
    def reads(self) -> Sequence[str]:
        """The columns of a part it reads."""
        ...

    def take(self, part: Part) -> None:
        """Take what is needed from the next part, if no SQL is; UnreadableError. Several threads do so."""
        ...

    def columns(self, name: str) -> Sequence[Any]:
        """What to select from each part, under names that begin with `name`."""
        ...

    def add(self, answer: pa.Table, name: str) -> None:
        """Take what was selected from the next part, and its rows' numbers as `r`."""
        ...

    @property
    def apart(self) -> bool:
        """Whether the rows may be found beside those of others: without the connection, and in little memory."""
        ...

    def rows(self) -> npt.NDArray[np.int64]:
        """The `_row`s it holds for, ordered; what `columns` or the query may raise."""
        ...


@dataclass(frozen=True, slots=True)
class Streamed:
    """What was found, and why conditions could not be evaluated."""

    marks: Marks
    failed: Mapping[Key, str]


@dataclass(frozen=True, slots=True)
class Judge:
    """A condition by kernels: whether it holds, and whether the row counts at all."""

    holds: Kernel
    counted: tuple[Kernel, ...]

    def __call__(self, part: Part) -> _Answer:
        """The rows of a part; DeclinedError as kernels."""
        hits = self.holds(part).true
        if not self.counted:
            return _Answer(hits, part.rows)
        first, *rest = (one(part).true for one in self.counted)
        where = first
        for one in rest:
            where = where & one
        return _Answer(hits & where, int(np.count_nonzero(where)))


@dataclass(frozen=True, slots=True)
class _Answer:
    hits: Booleans
    looked_at: int


@dataclass(frozen=True, slots=True)
class _Work:
    """One part when the kernels are done with it."""

    table: pa.Table
    part: Part
    answers: dict[Key, _Answer] = field(default_factory=dict)
    declined: list[Key] = field(default_factory=list)
    unreadable: dict[Key, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)  # columns of texts that are none, and what is wrong with them


class Stream:
    """One pass over `parts` for all `conditions`; `late` are those that only the whole can tell."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        text: Text,
        selectable: sa.FromClause,
        conditions: Mapping[Key, Condition],
        late: Mapping[Key, Late],
        *,
        kept: Kept | None = None,
    ) -> None:
        self._connection, self._text, self._selectable = connection, text, selectable
        self._conditions, self._late, self._kept = dict(conditions), late, kept
        self._failed: dict[Key, str] = {}
        self._spent: defaultdict[Key, float] = defaultdict(float)  # seconds that kernels took
        self._judges: dict[Key, Judge] = {}
        self._left: dict[Key, Condition] = {}
        self._texts: dict[Key, set[str]] = {}  # columns that SQL reads: it does not look whether texts are UTF-8
        self._looked_into: set[str] = set()
        self._heavy = False
        self._learnt = False
        self._queries: dict[Any, str] = {}

    def again(self, late: Mapping[Key, Late], kept: Kept | None) -> Stream:
        """A pass over other parts with the same columns, for the same conditions; it begins with what was learnt."""
        other = Stream(self._connection, self._text, self._selectable, self._conditions, late, kept=kept)
        other._learnt, other._heavy = True, self._heavy
        other._judges, other._left = self._judges, self._left
        other._texts, other._looked_into = self._texts, self._looked_into
        return other

    def run(self, parts: Parts) -> Streamed:
        """Go through the parts."""
        found = []
        if not self._learnt:
            self._learn(parts.nothing.schema)
            found.append(self._finished(parts, self._judged(parts.nothing)))
        for work in self._worked(parts):
            found.append(self._finished(parts, work))
            if self._kept:
                self._kept.add(work.broken)
        if not found:
            found.append(self._finished(parts, self._judged(parts.nothing)))
        parts.show(parts.nothing)
        marks = together(found, self._failed)
        return Streamed(marks.with_late(self._in_the_end()), self._failed)

    def _learn(self, schema: pa.Schema) -> None:
        """Which conditions kernels can judge, and which columns SQL reads."""
        for key, one in self._conditions.items():
            judge = self._judge(one, schema)
            if judge is not None:
                self._judges[key] = judge
            else:
                self._left[key] = one
                self._heavy = self._heavy or self._is_heavy(one)
        texts = {one.name for one in schema if is_text(one.type)}
        for key, one in self._conditions.items():
            if key in self._left or key in self._late or _written(one):
                self._texts[key] = texts & _named(one)
        self._looked_into = set[str]().union(
            *self._texts.values(), texts & (self._kept.wanted if self._kept else set())
        )
        self._learnt = True

    def _in_the_end(self) -> dict[Key, npt.NDArray[np.int64]]:
        late = {key: one for key, one in self._late.items() if key not in self._failed}
        found = {}
        with ThreadPoolExecutor(_WORKERS, "check") as pool:
            coming = {key: pool.submit(one.rows) for key, one in late.items() if one.apart}
            for key, one in late.items():
                try:
                    found[key] = coming[key].result() if key in coming else one.rows()
                except _REFUSALS as error:
                    self._failed[key] = str(error)
        return found

    def _is_heavy(self, one: Condition) -> bool:
        try:
            return limits.heavy_sql(self._text(sa.select(one.expression)))
        except _REFUSALS:
            return False  # it is refused where it is asked

    def _judge(self, one: Condition, schema: pa.Schema) -> Judge | None:
        made = [kernel(clause, schema, self._listed, self._parsed) for clause in (one.expression, *one.where)]
        first, *rest = made
        if first is None or None in rest:
            return None
        return Judge(first, tuple(each for each in rest if each is not None))

    def _listed(self, select: Any) -> pa.Array:  # noqa: ANN401 - a SELECT of SQLAlchemy's
        query: Any = select.element if isinstance(select, sa.ScalarSelect) else select
        found = self._connection.execute(self._text(query)).to_arrow_table()
        return found.column(0).combine_chunks()

    def _parsed(self, sql: str) -> Tree:
        return expression(self._connection, sql)

    def _worked(self, parts: Parts) -> Iterator[_Work]:
        """The parts, in their order, as kernels leave them; several are worked on at the same time."""
        waiting: deque[Future[_Work]] = deque()
        with ThreadPoolExecutor(_WORKERS, "check") as pool:
            try:
                for records in parts:
                    waiting.append(pool.submit(self._work, parts, records))
                    if len(waiting) > _WORKERS:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for one in waiting:
                    one.cancel()

    def _work(self, parts: Parts, records: pa.Table) -> _Work:
        return self._judged(parts.prepared(records))

    def _judged(self, table: pa.Table) -> _Work:
        part = Part(table)
        work = _Work(table, part)
        for key, judge in self._judges.items():
            if self._spent[key] > limits.RULE:
                work.unreadable[key] = limits.STOPPED
                continue
            began = time.perf_counter()
            try:
                work.answers[key] = judge(part)
            except UnreadableError as error:
                work.unreadable[key] = str(error)
            except (DeclinedError, pa.ArrowException, ArithmeticError):
                work.declined.append(key)
            self._spent[key] += time.perf_counter() - began
        work.broken.update(_broken(part, self._looked_into))
        for key, names in self._texts.items():
            for name in names & work.broken.keys():
                work.unreadable[key] = work.broken[name]
        for key, late in self._late.items():
            if key not in work.unreadable:
                try:
                    late.take(part)
                except UnreadableError as error:
                    work.unreadable[key] = str(error)
        return work

    def _finished(self, parts: Parts, work: _Work) -> Marks:
        """What is left for SQL, and all of it as marks."""
        self._failed |= work.unreadable
        rows = work.part[ROW].numbers.astype(np.int64, copy=False)
        left = {key: one for key, one in self._left.items() if key not in self._failed}
        left |= {key: self._conditions[key] for key in work.declined if key not in self._failed}
        keys = {key: one for key, one in self._late.items() if key not in self._failed and one.columns("")}
        if left or keys or self._kept:
            narrow = work.table.select([name for name in work.table.column_names if name in self._read(left, keys)])
            parts.show(limits.cut(narrow) if self._heavy else narrow)
            try:
                work.answers.update(self._query(left, keys, rows))
            except _REFUSALS:
                parts.show(limits.cut(work.table) if self._heavy else work.table)
                work.answers.update(self._asked(left, keys, rows))
        return marks_of(
            rows, {key: one for key, one in work.answers.items() if key not in self._failed}, self._conditions
        )

    def _read(self, left: Mapping[Key, Condition], keys: Mapping[Key, Late]) -> set[str]:
        """The columns that SQL surely reads: DuckDB takes its time for each that it is shown."""
        names = {ROW} | (set(self._kept.wanted) if self._kept else set())
        for one in left.values():
            names |= _named(one)
        for late in keys.values():
            names |= set(late.reads)
        return names

    def _asked(self, left: Mapping[Key, Condition], keys: Mapping[Key, Late], rows: Any) -> dict[Key, _Answer]:  # noqa: ANN401 - numpy
        try:
            return self._query(left, keys, rows)
        except _REFUSALS:
            for key, one in left.items():
                self._try(key, {key: one}, {}, rows)
            for key, late in keys.items():
                self._try(key, {}, {key: late}, rows)
        left = {key: one for key, one in left.items() if key not in self._failed}
        keys = {key: one for key, one in keys.items() if key not in self._failed}
        # Each of them alone was in time.
        return self._query(left, keys, rows, seconds=limits.RULE * (len(left) + len(keys))) if left or keys else {}

    def _try(self, key: Key, left: Mapping[Key, Condition], keys: Mapping[Key, Late], rows: Any) -> None:  # noqa: ANN401
        try:
            self._query(left, keys, rows, noted=False)
        except _REFUSALS as error:
            self._failed[key] = str(error)

    def _select(self, left: Mapping[Key, Condition], keys: Mapping[Key, Late]) -> str:
        """The text of a query, which is the same for nearly all parts."""
        asked = (tuple(left), tuple(keys))
        if asked not in self._queries:
            picked: list[Any] = [sa.column(ROW).label("r")]
            for place, one in enumerate(left.values()):
                picked.append(_flag(sa.and_(one.expression, *one.where)).label(f"h{place}"))
                if one.where:
                    picked.append(_flag(sa.and_(*one.where)).label(f"w{place}"))
            for place, late in enumerate(keys.values()):
                picked += late.columns(f"k{place}")
            self._queries[asked] = self._text(sa.select(*picked).select_from(self._selectable))
        return self._queries[asked]

    def _query(
        self,
        left: Mapping[Key, Condition],
        keys: Mapping[Key, Late],
        rows: Any,  # noqa: ANN401 - numpy
        *,
        noted: bool = True,
        seconds: float | None = None,
    ) -> dict[Key, _Answer]:
        query = self._select(left, keys)
        with limits.query(self._connection, limits.PART if seconds is None else seconds):
            answer = self._connection.execute(query).to_arrow_table()
        order = _order(answer["r"].to_numpy(), rows)
        if noted:
            for place, late in enumerate(keys.values()):
                late.add(answer, f"k{place}")
        answers = {}
        for place, (key, one) in enumerate(left.items()):
            hits = _flags(answer[f"h{place}"], order)
            looked_at = int(np.count_nonzero(_flags(answer[f"w{place}"], order))) if one.where else len(hits)
            answers[key] = _Answer(hits, looked_at)
        return answers


def _named(one: Condition) -> set[str]:
    """The columns a condition is about, and those it names."""
    clauses = (each for clause in (one.expression, *one.where) for each in sa.sql.visitors.iterate(clause))
    return {*one.columns, *(str(each.name) for each in clauses if isinstance(each, sa.ColumnClause))}


def _written(one: Condition) -> bool:
    """Whether a rule's own SQL is in it: every text it is about must be one, whoever judges it."""
    clauses = (each for clause in (one.expression, *one.where) for each in sa.sql.visitors.iterate(clause))
    return any(isinstance(each, sa.ColumnClause) and each.is_literal for each in clauses)


def _broken(part: Part, names: Iterable[str]) -> dict[str, str]:
    """Those of the columns that hold bytes that are no text, with what is wrong."""
    found = {}
    for name in names:
        try:
            _ = part[name].texts
        except UnreadableError as error:
            found[name] = str(error)
    return found


def _flag(condition: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.case((condition, sa.literal_column("1::UTINYINT")), else_=sa.literal_column("0::UTINYINT"))


def _flags(column: pa.ChunkedArray, order: Any) -> Booleans:  # noqa: ANN401 - numpy, or None
    flags: Booleans = column.to_numpy().view(np.bool_)
    return flags if order is None else flags[order]


def _order(given: Any, rows: Any) -> Any:  # noqa: ANN401 - numpy
    """How to sort what SQL gave into the order of the rows; None when it is in it."""
    with suppress(ValueError):
        if np.array_equal(given, rows):
            return None
    return np.argsort(given, kind="stable")[np.argsort(np.argsort(rows, kind="stable"), kind="stable")]
