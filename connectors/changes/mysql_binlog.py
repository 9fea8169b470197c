"""Follow one table of MySQL or MariaDB by its binary log: keys come from the log, records from the table by the reader.

So a change is the same text as a full read, whatever the type; several changes of a record in one batch are one. The
server writes the log before a transaction can be seen: records are read only once it can.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from connectors.changes import mysql_check
from connectors.changes.feed import Lag
from connectors.changes.mysql_log import Key, Keyed, Place, Seen, Value, gone, read_log
from connectors.databases.batches import Batches
from connectors.databases.engines import connected
from connectors.databases.mysql import open_reader
from connectors.databases.mysql_session import Cursor, control
from connectors.databases.reader import ReaderOptions
from connectors.databases.tables import Table, located, reflected
from connectors.errors import SourceError, changed
from connectors.rows import record_batch
from schemas.values import DELETED, OP, ROW, Batch, Check, Json, Position

KEYS = 5_000  # records in a batch at a transaction's end
_MOST = 50_000  # records in a batch in the middle of a transaction
_GATHER = 1.0  # seconds changes are gathered while the log does not pause
_ASKED = 2_500  # records asked for at once
_SETTLE = 1.0  # seconds after which a transaction in the log can be seen, where the server does not tell
_SETTLES_WITHIN = 60.0  # seconds
_PLAIN = ("utf8", "utf8mb3", "utf8mb4", "ascii")  # what the log is read as where it names no character set


def open_binlog(url: sa.URL, table: str, *, columns: Sequence[str] = (), options: ReaderOptions) -> BinlogFeed:
    """The feed of `table` with `columns` (all by default) and its primary key."""
    return BinlogFeed(url, table, tuple(columns), options)


@dataclass(slots=True)
class _Pending:
    written: dict[Key, None] = field(default_factory=dict)
    gone: dict[Key, None] = field(default_factory=dict)
    since: float | None = None

    def take(self, seen: Seen) -> None:
        self.written.update(dict.fromkeys(seen.keys))
        self.gone.update(dict.fromkeys(seen.gone))
        if self.since is None and self:
            self.since = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since the first of them."""
        return 0.0 if self.since is None else time.monotonic() - self.since

    def __len__(self) -> int:
        return len(self.written) + len(self.gone)


class BinlogFeed:
    """A `ChangeFeed` of one table with a primary key."""

    def __init__(self, url: sa.URL, table: str, columns: tuple[str, ...], options: ReaderOptions) -> None:
        self._url, self._name, self._columns, self._options = url, table, columns, options
        self._moment: float | None = None

    def check(self) -> list[Check]:
        """Whether the binary log is on, written row by row, kept for days, and may be read; whether there is a key."""
        return mysql_check.checks(
            self._url, self._options.connect_timeout, lambda: self._keyed(self._table()), _visible
        )

    def key(self) -> Sequence[str]:
        """See `ChangeFeed.key`."""
        return self._table().key

    def start(self) -> Position:
        """The end of the log; all that is before it can be seen by whoever reads from now on.

        SRC-LOG-UNREADY where it could not be followed from there.
        """
        self._keyed(self._table())
        mysql_check.insist(self.check(), self._name)
        with control(self._url, self._options.connect_timeout) as cursor:
            visible = _visible(cursor)
            if visible is None:
                visible = _end(cursor)
                time.sleep(_SETTLE)
        return _position(visible)

    def changes(self, position: Position, stop: Callable[[], bool], wait: float) -> Iterator[Batch]:
        """See `ChangeFeed.changes`; without news a batch without rows moves the position on."""
        place: Place | None = _place(position)
        while place is not None:
            place = yield from self._follow(self._table(), place, stop, wait)

    def _follow(
        self, table: Table, start: Place, stop: Callable[[], bool], wait: float
    ) -> Generator[Batch, None, Place | None]:
        """Until the end, or until the table gets other columns: then where to go on with them."""
        reached = done = start
        pending, torn = _Pending(), False  # torn: part of a transaction has been read
        news = time.monotonic()
        log = read_log(self._url, self._options.connect_timeout, self._keyed(table), start)
        with contextlib.closing(log):
            for seen in log:
                pending.take(seen)
                self._moment = seen.moment or self._moment
                if seen.ends:
                    reached = seen.place
                now = time.monotonic()
                torn = not seen.ends and (torn or bool(seen.keys or seen.gone))
                enough = seen.idle or seen.altered or pending.age > _GATHER or len(pending) >= KEYS
                if pending and enough and not torn:
                    yield self._batch(table, pending, reached, _position(reached))
                    pending, done, news = _Pending(), reached, now
                elif len(pending) >= _MOST:
                    yield self._batch(table, pending, seen.place, None)
                    pending, news = _Pending(), now
                elif seen.idle and not pending and done != reached:
                    yield _without_rows(self._names(table), _position(reached))
                    done = reached
                if seen.altered:
                    return reached
                if stop() or (seen.idle and time.monotonic() - news > wait):
                    break
        return None

    def done(self, position: Position) -> None:
        """Nothing: the server keeps its log for as long as its own settings say."""

    def lag(self, position: Position) -> Lag:
        """Bytes of log after `position`, and the age of the last thing read where there are any."""
        place = _place(position)
        with control(self._url, self._options.connect_timeout) as cursor:
            cursor.execute("SHOW BINARY LOGS")
            files = {str(row[0]): int(row[1]) for row in cursor.fetchall()}
        if place.file not in files:
            raise gone(self._url, place, "SHOW BINARY LOGS")
        later = sum(size for name, size in files.items() if Place(name, 0).reaches(Place(place.file, 0)))
        behind = max(0, later - place.at)
        seconds = 0.0 if not behind else None if self._moment is None else max(0.0, time.time() - self._moment)
        return Lag(behind, seconds)

    def drop(self) -> None:
        """Nothing: nothing was reserved."""

    def close(self) -> None:
        """Nothing is held between two calls."""

    def _table(self) -> Table:
        with connected(self._url, self._options) as connection:
            inspector = sa.inspect(connection)
            system = self._url.render_as_string(hide_password=True)
            schema, name = located(inspector, self._name, system)
            table = reflected(inspector, name, schema)
        lost = [name for name in self._columns if name not in table.types]
        if lost:
            raise changed(("列", "column"), self._name, lost, list(table.types))
        return table

    def _names(self, table: Table) -> list[str]:
        return list(dict.fromkeys([*table.key, *self._columns])) if self._columns else list(table.types)

    def _keyed(self, table: Table) -> Keyed:
        places = {name: at for at, name in enumerate(table.types)}
        schema = table.schema or str(self._url.database)
        with control(self._url, self._options.connect_timeout) as cursor:
            foreign = _foreign(cursor, schema, table)
        odd = [name for name in table.key if name in foreign or not _followed(table.types[name])]
        if odd or not table.key:
            raise SourceError(
                "SRC-LOG-KEY",
                zh=f"不能按日志跟踪 {self._name}：主键 {', '.join(odd) or '不存在'}",
                en=f"{self._name} cannot be followed by its log: primary key {', '.join(odd) or 'missing'}",
                fix_zh="主键须为整数、定点数、文本、日期或时间（非 UTF-8 文本须 binlog_row_metadata=FULL）；"
                "或改用快照比对",
                fix_en="A key has to be of whole numbers, decimals, text (other than UTF-8 only under "
                "binlog_row_metadata=FULL), dates or moments; use snapshot diff instead.",
            )
        key = [(name, places[name], table.types[name]) for name in table.key]
        return Keyed(schema, table.name, key)

    def _batch(self, table: Table, pending: _Pending, seen: Place, position: Position | None) -> Batch:
        """The records as they are now, and those that are gone."""
        self._settled(seen)
        names = self._names(table)
        batches = Batches(table.full_name, self._options.bytes, self._options.max_field_bytes, self._floats(table))
        keys = list(dict.fromkeys([*pending.written, *pending.gone]))
        reader = open_reader(self._url, self._options)
        found = [
            batches.batch(rows, 1).rows
            for at in range(0, len(keys), _ASKED)
            for rows in reader.rows(_by_key(table, names, keys[at : at + _ASKED]))
        ]
        there = pa.Table.from_batches(found)
        present = set(zip(*(there[name].to_pylist() for name in table.key), strict=True))
        texts = {tuple(map(_text, key, _kinds(table))): None for key in pending.gone}
        lost = [key for key in texts if key not in present]
        values = dict(zip(table.key, zip(*lost, strict=True), strict=True)) if lost else {}
        deleted = record_batch(names, [values.get(name, [None] * len(lost)) for name in names], 1, {}).rows
        # What is gone comes first: the key of one that is there may mean the same record once it is standardised.
        whole = pa.concat_tables([pa.Table.from_batches([deleted]), there]).combine_chunks()
        marks = pa.array([DELETED] * len(lost) + [None] * there.num_rows, pa.string())
        return Batch(_marked(whole, marks, len(names)), position)

    def _floats(self, table: Table) -> list[str]:
        return [name for name in self._options.identifiers if isinstance(table.types.get(name), sa.Float)]

    def _settled(self, place: Place) -> None:
        """Wait until what the log has up to `place` can be seen."""
        until = time.monotonic() + _SETTLES_WITHIN
        with control(self._url, self._options.connect_timeout) as cursor:
            while (visible := _visible(cursor)) is not None and not visible.reaches(place):
                if time.monotonic() > until:
                    break
                time.sleep(0.02)
            if visible is None:
                time.sleep(_SETTLE)


def _visible(cursor: Cursor) -> Place | None:
    """The place in the log up to which a reader that begins now sees everything; None where the server cannot say."""
    cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
    said = {str(row[0]).lower(): str(row[1]) for row in cursor.fetchall()}
    cursor.execute("COMMIT")
    file, at = said.get("binlog_snapshot_file"), said.get("binlog_snapshot_position")
    return Place(file, int(at)) if file and at else None


def _end(cursor: Cursor) -> Place:
    cursor.execute("SELECT VERSION()")
    major, minor = str(cursor.fetchall()[0][0]).split(".")[:2]
    cursor.execute("SHOW BINARY LOG STATUS" if (int(major), int(minor)) >= (8, 4) else "SHOW MASTER STATUS")
    file, at = cursor.fetchall()[0][:2]
    return Place(str(file), int(at))


def _foreign(cursor: Cursor, schema: str, table: Table) -> set[str]:
    """Columns whose text the log holds in a character set it does not name."""
    cursor.execute("SHOW VARIABLES LIKE 'binlog_row_metadata'")
    if any(str(row[1]).upper() == "FULL" for row in cursor.fetchall()):
        return set()
    cursor.execute(
        "SELECT column_name, character_set_name FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s AND character_set_name IS NOT NULL",
        (schema, table.name),
    )
    return {str(name) for name, charset in cursor.fetchall() if charset not in _PLAIN}


def _position(place: Place) -> Position:
    return Position({"log": {"file": place.file, "at": place.at}})


def _place(position: Position) -> Place:
    kept: Json = position.cursor.get("log")
    if not isinstance(kept, dict):
        raise ValueError("no position of a binary log")  # noqa: TRY004 - a wrong value, not a wrong call
    return Place(str(kept["file"]), int(str(kept["at"])))


def _kinds(table: Table) -> list[Any]:
    return [table.types[name] for name in table.key]


def _followed(kind: Any) -> bool:  # noqa: ANN401 - any reflected type
    plain = isinstance(kind, sa.Integer | sa.Numeric | sa.String | sa.Date | sa.DateTime)
    return plain and not isinstance(kind, sa.Float | sa.TIMESTAMP | sa.LargeBinary | sa.Enum)


def _by_key(table: Table, names: Sequence[str], keys: Sequence[Key]) -> sa.Select[Any]:
    rows = table.selectable()
    if len(table.key) == 1:
        among: sa.ColumnElement[bool] = rows.c[table.key[0]].in_([sa.literal(key[0]) for key in keys])
    else:
        among = sa.or_(
            *(
                sa.and_(*(rows.c[name] == sa.literal(value) for name, value in zip(table.key, key, strict=True)))
                for key in keys
            )
        )
    return sa.select(*(rows.c[name] for name in names)).where(among).order_by(*(rows.c[name] for name in table.key))


def _text(value: Value, kind: Any) -> str:  # noqa: ANN401 - any reflected type
    """A key value as the server writes it."""
    if isinstance(kind, sa.DateTime):
        digits = int(getattr(kind, "fsp", 0) or 0)
        whole = f"{value:%Y-%m-%d %H:%M:%S}"
        return f"{whole}.{value:%f}"[: len(whole) + 1 + digits] if digits else whole
    if isinstance(value, int) and getattr(kind, "zerofill", False):
        return str(value).zfill(int(kind.display_width or 0))
    return value if isinstance(value, str) else str(value)


def _marked(whole: pa.Table, marks: pa.Array, at: int) -> pa.RecordBatch:
    """The rows numbered from 1, with the column OP after the `at` columns of the table."""
    numbered = whole.set_column(
        whole.schema.get_field_index(ROW), whole.schema.field(ROW), pa.array(np.arange(1, whole.num_rows + 1))
    ).add_column(at, OP, marks)
    batches = numbered.combine_chunks().to_batches()
    return (
        batches[0]
        if batches
        else pa.RecordBatch.from_arrays([pa.nulls(0, each.type) for each in numbered.schema], schema=numbered.schema)
    )


def _without_rows(names: Sequence[str], position: Position) -> Batch:
    empty = pa.Table.from_batches([record_batch(names, [[] for _ in names], 1, {}).rows])
    return Batch(_marked(empty, pa.array([], pa.string()), len(names)), position)
