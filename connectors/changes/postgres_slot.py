"""Follow one table of PostgreSQL by a replication slot: keys come from the log, records from the table by the reader.

So a change is the same text as a full read, whatever the type, and a long value the log leaves out is never lost. Only
ordinary connections are used: the log is looked at in steps, and let go of once what it said is durable here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from connectors.changes import slot_errors
from connectors.changes.feed import Lag
from connectors.changes.pgoutput import Decoder, Key, Touched, UnknownKey
from connectors.changes.slot_table import Identity, identity
from connectors.databases import engines
from connectors.databases.batches import Batches
from connectors.databases.postgres import connected, open_reader
from connectors.databases.reader import ReaderOptions
from connectors.databases.snapshot import quoted
from connectors.databases.tables import Table, located, reflected
from connectors.errors import SourceError, changed
from connectors.rows import record_batch
from schemas.values import DELETED, OP, ROW, Batch, Check, Position

if TYPE_CHECKING:
    import psycopg

KEYS = 20_000  # records in a batch that ends with a transaction
_MOST = 50_000  # records in a batch in the middle of a transaction
_ASKED = 5_000  # records asked for at once
_POLL = 0.2  # seconds between two looks at whether the log has grown
_IDLE = 5.0  # seconds after which the position moves on though nothing concerned this table
_VISIBLE_WITHIN = 60.0  # seconds
_WRAP = 1 << 32  # transactions are numbered modulo this in the log
_PEEK = (
    "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, NULL, %s, 'proto_version', '1', 'publication_names', %s)"
)
_SLOT = (
    "SELECT confirmed_flush_lsn - '0/0', to_jsonb(s)->>'wal_status' FROM pg_replication_slots s WHERE slot_name = %s"
)
_ENDS = "SELECT pg_current_wal_insert_lsn() - '0/0', pg_current_wal_flush_lsn() - '0/0'"


@dataclass(frozen=True, slots=True)
class SlotOptions:
    """What is followed and by what: names of slot and publication, columns (all by default), a condition in SQL."""

    table: str
    slot: str
    publication: str
    columns: Sequence[str] = ()
    where: str | None = None
    reader: ReaderOptions = field(default_factory=ReaderOptions)


class SlotFeed:
    """A `ChangeFeed` of one table with a primary key or a replica identity index."""

    def __init__(self, url: sa.URL, options: SlotOptions) -> None:
        self._url, self._options = url, options
        self._moment: float | None = None
        self._caught_up = False

    def check(self) -> list[Check]:
        """Whether the log is logical, kept, and may be read; whether records have a key and the table is published."""
        from connectors.changes.slot_check import checks

        with self._connected() as connection:
            named = quoted(self._table())
            return checks(connection, identity(connection, named), named, self._options)

    def key(self) -> Sequence[str]:
        """See `ChangeFeed.key`."""
        with self._connected() as connection:
            return identity(connection, quoted(self._table())).usable().key

    def start(self) -> Position:
        """A new slot, whose changes are all those a reader that begins now does not see."""
        with self._connected() as connection:
            named = quoted(self._table())
            found = identity(connection, named).usable()
            connection.execute("SET default_transaction_read_only = off")
            self._publish(connection, found, named)
            self._drop(connection)
            made = connection.execute(
                "SELECT lsn - '0/0' FROM pg_create_logical_replication_slot(%s, 'pgoutput')", [self._options.slot]
            ).fetchone()
        return self._position(int(made[0]) if made else 0)

    def drop(self) -> None:
        """Give the slot back: the server keeps no log for us any more."""
        with self._connected() as connection:
            self._drop(connection)

    def changes(self, position: Position, stop: Callable[[], bool], wait: float) -> Iterator[Batch]:
        """See `ChangeFeed.changes`; without news a batch without rows moves the position on every few seconds."""
        after = told = _place(position)
        news = moved = time.monotonic()
        looked = -1
        with self._connected() as connection:
            self._resume(connection, after)
            named = quoted(self._table())
            while not stop():
                begin, flushed = self._ends(connection)
                if begin != looked:
                    decoder = self._decoder(connection, named, after)
                    for batch in self._step(connection, decoder):
                        yield batch
                        news = moved = time.monotonic()
                        told = told if batch.position is None else _place(batch.position)
                    self._caught_up = decoder.last is None and flushed >= begin
                    if decoder.last is not None:
                        after = decoder.last
                        continue
                    if flushed >= begin:  # all that began before that place was looked at, and was not about us
                        after, looked = max(after, begin), begin
                if after != told and time.monotonic() - moved > _IDLE:
                    yield Batch(_marked(self._nothing(), 0), self._position(after))
                    moved, told = time.monotonic(), after
                if time.monotonic() - news > wait:
                    break
                time.sleep(_POLL)

    def done(self, position: Position) -> None:
        """Let the server forget the log before `position`."""
        with self._connected() as connection:
            self._advance(connection, _place(position))

    def lag(self, position: Position) -> Lag:
        """Bytes of log after `position`; seconds since the last change read was made, 0 when all was looked at."""
        with self._connected() as connection:
            end, _ = self._ends(connection)
        known = self._moment is not None and not self._caught_up
        return Lag(
            max(0, end - _place(position)),
            max(0.0, time.time() - (self._moment or 0.0)) if known else 0.0 if self._caught_up else None,
        )

    def close(self) -> None:
        """Nothing is held between two calls but the slot."""

    # below: the slot

    def _resume(self, connection: psycopg.Connection[Any], after: int) -> None:
        """See that the slot still reaches back to `after`, and let go of what lies before."""
        found = connection.execute(_SLOT, [self._options.slot]).fetchone()
        if found is None:
            raise slot_errors.slot_gone(self._options.slot, ("复制槽已不存在", "it no longer exists"))
        confirmed, status = found
        if status == "lost":
            raise slot_errors.slot_gone(
                self._options.slot,
                (
                    "服务器已删除所需日志，请对方放宽 max_slot_wal_keep_size",
                    "the server has removed the log; ask the DBA for a larger max_slot_wal_keep_size",
                ),
            )
        if confirmed is None or int(confirmed) > after:
            raise slot_errors.slot_gone(
                self._options.slot, ("有人已读走其后的日志", "somebody has read on from it since")
            )
        self._advance(connection, after)

    def _advance(self, connection: psycopg.Connection[Any], place: int) -> None:
        with self._explaining():
            connection.execute(
                "SELECT pg_replication_slot_advance(slot_name, '0/0'::pg_lsn + %s::numeric) FROM pg_replication_slots"
                " WHERE slot_name = %s AND confirmed_flush_lsn < '0/0'::pg_lsn + %s::numeric",
                [place, self._options.slot, place],
            )

    def _drop(self, connection: psycopg.Connection[Any]) -> None:
        with self._explaining():
            connection.execute(
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                [self._options.slot],
            )

    def _publish(self, connection: psycopg.Connection[Any], found: Identity, named: str) -> None:
        from psycopg import errors

        publication = self._options.publication
        held = connection.execute(
            "SELECT bool_or(t.schemaname = %s AND t.tablename = %s) FROM pg_publication p"
            " LEFT JOIN pg_publication_tables t ON t.pubname = p.pubname WHERE p.pubname = %s GROUP BY p.pubname",
            [found.schema, found.table, publication],
        ).fetchone()
        if held is not None and held[0]:
            return
        try:
            connection.execute(slot_errors.publishing(publication, named).encode())
        except (errors.InsufficientPrivilege, errors.DuplicateObject) as error:
            said = " ".join(str(error).split())
            raise slot_errors.unpublished(publication, named, said, there=held is not None) from None

    def _ends(self, connection: psycopg.Connection[Any]) -> tuple[int, int]:
        """Where the next record of the log will begin, and up to where the log is safe on the server's disk."""
        found = connection.execute(_ENDS).fetchone()
        return (int(found[0]), int(found[1])) if found else (0, 0)

    # below: what changed

    def _decoder(self, connection: psycopg.Connection[Any], named: str, after: int) -> Decoder:
        found = identity(connection, named).usable()
        return Decoder(found.schema, found.table, found.key, after)

    def _step(self, connection: psycopg.Connection[Any], decoder: Decoder) -> Iterator[Batch]:
        """The changes of some transactions; a very large one in several batches, only the last is resumable."""
        asked = [self._options.slot, KEYS, self._options.publication]
        with self._explaining(), connection.transaction(), connection.cursor("shutong_log", binary=True) as cursor:
            cursor.itersize = 10_000
            cursor.execute(_PEEK, asked)
            for (message,) in cursor:
                decoder.take(bytes(message))
                if decoder.touched.truncated:
                    raise slot_errors.truncated(self._options.table)
                many = len(decoder.touched.keys)
                if many >= _MOST or (many >= KEYS and not decoder.inside):
                    yield self._batch(connection, decoder)
            if decoder.touched.keys:
                yield self._batch(connection, decoder)

    def _batch(self, connection: psycopg.Connection[Any], decoder: Decoder) -> Batch:
        """The records that were touched as they are now; of those that are not there their keys."""
        ends = None if decoder.inside else decoder.last
        touched = decoder.taken()
        self._moment = touched.moment or self._moment
        self._visible(touched)
        table = self._table()
        found = identity(connection, quoted(table)).usable()
        there = self._there(table, found, list(touched.keys))
        present = set(zip(*(there[name].to_pylist() for name in found.key), strict=True))
        lost = [key for key in touched.keys if key not in present]
        columns = list(zip(*lost, strict=True)) if lost else [()] * len(found.key)
        values = dict(zip(found.key, columns, strict=True))
        names = self._names(table, found)
        gone = record_batch(names, [values.get(name, [None] * len(lost)) for name in names], 1, {}).rows
        # What is gone comes first: the key of one that is there may mean the same record once it is standardised.
        rows = pa.concat_tables([pa.Table.from_batches([gone]), there.select(gone.schema.names)])
        return Batch(_marked(rows, len(lost)), None if ends is None else self._position(ends))

    def _there(self, table: Table, found: Identity, keys: list[Key]) -> pa.Table:
        options = self._options.reader
        floats = [name for name in options.identifiers if isinstance(table.types.get(name), sa.Float)]
        made = Batches(table.full_name, options.bytes, options.max_field_bytes, floats)
        rows, reader = table.selectable(), open_reader(self._url, options)
        chosen = [reader.selected(rows.c[name], table.types[name]) for name in self._names(table, found)]
        statement = sa.select(*chosen).select_from(rows)
        if self._options.where:
            statement = statement.where(sa.literal_column(f"({self._options.where})", sa.Boolean))
        batches = [
            made.batch(fetched, 1).rows
            for at in range(0, len(keys), _ASKED)
            for fetched in reader.rows(
                statement.where(sa.literal_column(found.among(keys[at : at + _ASKED]), sa.Boolean))
            )
        ]
        return pa.Table.from_batches(batches)

    def _visible(self, touched: Touched) -> None:
        """Wait until whoever reads from now on sees the transactions: the log has them a little earlier."""
        until = time.monotonic() + _VISIBLE_WITHIN
        with self._connected() as connection:
            while time.monotonic() < until:
                said = connection.execute("SELECT txid_current_snapshot()::text").fetchone()
                _, high, running = str(said[0] if said else "::").split(":")
                ours = touched.transactions
                late = {int(one) % _WRAP for one in running.split(",") if one} & ours
                # What began after the snapshot: not many are as far as that, and all are above its end.
                late |= {one for one in ours if (one - int(high)) % _WRAP < _WRAP // 2}
                if not late:
                    return
                time.sleep(0.02)

    def _names(self, table: Table, found: Identity) -> list[str]:
        wanted = self._options.columns
        return list(dict.fromkeys([*found.key, *wanted])) if wanted else list(table.types)

    def _nothing(self) -> pa.Table:
        names = list(self._options.columns or self._table().types)
        return pa.Table.from_batches([record_batch(names, [[] for _ in names], 1, {}).rows])

    def _table(self) -> Table:
        with engines.connected(self._url, self._options.reader) as connection:
            inspector = sa.inspect(connection)
            schema, name = located(inspector, self._options.table, self._url.render_as_string(hide_password=True))
            table = reflected(inspector, name, schema)
        lost = [name for name in self._options.columns if name not in table.types]
        if lost:
            raise changed(("列", "column"), self._options.table, lost, list(table.types))
        return table

    def _position(self, place: int) -> Position:
        return Position({"log": {"slot": self._options.slot, "at": place}})

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        with connected(self._url, self._options.reader) as connection, self._explaining():
            yield connection

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        from psycopg import Error

        try:
            yield
        except UnknownKey as error:
            raise slot_errors.unknown_key(self._options.table, str(error)) from None
        except Error as error:
            meant: SourceError | None = slot_errors.told(error, self._options.slot, self._url)
            if meant is None:
                raise
            raise meant from None


def _place(position: Position) -> int:
    kept = position.cursor.get("log")
    if not isinstance(kept, dict):
        raise ValueError("no position of a replication slot")  # noqa: TRY004 - a wrong value, not a wrong call
    return int(str(kept["at"]))


def _marked(rows: pa.Table, gone: int) -> pa.RecordBatch:
    """The rows numbered from 1, the first `gone` of them marked as deleted."""
    count = rows.num_rows
    at = rows.schema.get_field_index(ROW)
    numbered = rows.set_column(at, rows.schema.field(ROW), pa.array(np.arange(1, count + 1, dtype=np.int64)))
    numbered = numbered.add_column(at, OP, pa.array([DELETED] * gone + [None] * (count - gone), pa.string()))
    made = numbered.combine_chunks().to_batches()
    return made[0] if made else pa.RecordBatch.from_pylist([], numbered.schema)
