"""Read MySQL and its relatives: every value as the server itself writes it, in bounded memory, and no hang that lasts.

One SELECT is one consistent read under InnoDB. Rows are taken from the connection when they are asked for, so that a
slow consumer holds the server back; whoever waits for rows asks the server through a second connection whether it still
works on the query.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.databases.errors import driver_missing, explained
from connectors.databases.mysql_columns import Wired, exact, shown, written
from connectors.databases.mysql_rows import Column, empty, taken
from connectors.databases.mysql_session import WHOLE, Cursor, connect, control, login, wrapped
from connectors.databases.mysql_wire import asked, blocks
from connectors.databases.reader import ReaderOptions
from connectors.errors import SourceError

_ASK = 30.0  # seconds without a byte after which the server is asked whether it still works on the query
_STALLED = 600  # seconds the server lets us be slow
_BLOCK = (1 << 16, 4 << 20)  # bytes taken from the connection at once, at least and at most
# Session only: nothing can be written, text and CHAR come as stored, a slow reader is not cut off after a minute.
_BEFORE = (
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION character_set_results = NULL",
    "SET SESSION sql_mode = REPLACE(@@sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', '')",
    f"SET SESSION net_write_timeout = {_STALLED}",
    WHOLE,
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The query as it is sent and what its columns are; `charsets` are those of text columns, by place."""

    query: str
    columns: Sequence[Column]
    charsets: Mapping[int, str | None]
    doubtful: frozenset[int]


def open_reader(url: sa.URL, options: ReaderOptions) -> MySqlReader:
    """The reader of the database at `url`; SRC-DRIVER when its driver is missing."""
    if find_spec("pymysql") is None:
        raise driver_missing(url, extra="mysql")
    return MySqlReader(url, options)


class MySqlReader:
    """MySQL, MariaDB and what speaks their protocol."""

    def __init__(self, url: sa.URL, options: ReaderOptions) -> None:
        self._url, self._options = url, options
        self._patience = options.connect_timeout
        self._silence = min(options.silence_timeout or _ASK, _ASK)

    def selected(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:  # noqa: ARG002
        """The column itself; `rows` asks the server what it is, which is surer than reflection for views."""
        return column

    def rows(self, statement: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows of `statement`: see `Reader.rows`. A batch with unreadable text also has `_reject` and `_detail`."""
        import pymysql  # type: ignore[import-untyped]

        tag = f"shutong-{uuid.uuid4().hex}"  # the server's list of processes finds the query by it
        tagged = statement.prefix_with(sa.literal_column(f"/* {tag} */"))
        done = connecting = True
        try:
            with connect(**login(self._url, self._patience)) as connection:
                done = connecting = False
                yield from self._fetched(connection, tagged, lambda: self._works(tag))
                done = True
        except (pymysql.err.Error, OSError) as error:
            raise explained(wrapped(error), self._url, connecting=connecting) from None
        finally:
            if not done:
                self._kill(tag)

    def _fetched(
        self,
        connection: Any,  # noqa: ANN401 - a driver's
        statement: sa.Select[Any],
        works: Callable[[], bool],
    ) -> Iterator[pa.RecordBatch]:
        marker = f"\x01{uuid.uuid4().hex}:"
        with connection.cursor() as cursor:
            prepared = self._prepared(cursor, statement, marker)
        wire, number = asked(connection, prepared.query, self._silence, works)
        size = max(_BLOCK[0], min(self._options.batch_bytes, _BLOCK[1]))
        some = False
        for block in blocks(wire, number, size):
            for one in taken(block, prepared.columns, marker):
                some = True
                marked = {at: prepared.charsets[at] for at in sorted(one.marked | prepared.doubtful)}
                yield shown(one.batch, marked, marker)
        if not some:
            yield empty(prepared.columns)

    def _prepared(self, cursor: Cursor, statement: sa.Select[Any], marker: str) -> _Prepared:
        """Ask the server what the columns are, and write the query accordingly."""
        for setting in (*_BEFORE, self._limit(cursor)):
            cursor.execute(setting)
        cursor.execute(written(statement.limit(0)))
        fields = cursor._result.fields  # noqa: SLF001 - flags and character sets are nowhere else
        charsets = _charsets(cursor, {field.charsetnr for field in fields})
        wires = [Wired(each.type_code, each.flags, each.length, charsets.get(each.charsetnr)) for each in fields]
        exactly = [exact(column, wire, marker) for column, wire in zip(statement.selected_columns, wires, strict=True)]
        return _Prepared(
            query=written(statement.with_only_columns(*exactly, maintain_column_froms=True)),
            columns=[
                Column(str(one.name), wire.is_bytes, wire.is_float, wire.is_single)
                for one, wire in zip(exactly, wires, strict=True)
            ],
            charsets={at: wire.charset for at, wire in enumerate(wires)},
            doubtful=frozenset(at for at, wire in enumerate(wires) if wire.doubtful),
        )

    def _limit(self, cursor: Cursor) -> str:
        cursor.execute("SELECT VERSION()")
        seconds = self._options.statement_timeout
        if "mariadb" in str(cursor.fetchall()[0][0]).lower():
            return f"SET SESSION max_statement_time = {seconds:g}"
        return f"SET SESSION max_execution_time = {round(seconds * 1000)}"

    def _works(self, tag: str) -> bool:
        """Whether the server still has the query; SourceUnavailable when it does not even answer that."""
        with control(self._url, self._patience) as cursor:
            return bool(_found(cursor, tag))

    def _kill(self, tag: str) -> None:
        """End the query at the server if it is still there; a server that does not answer has nothing to be ended."""
        with contextlib.suppress(SourceError), control(self._url, self._patience) as cursor:
            for thread in _found(cursor, tag):
                cursor.execute(f"KILL CONNECTION {thread}")


def _found(cursor: Cursor, tag: str) -> list[int]:
    cursor.execute(
        "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE %s", (f"%{tag}%",)
    )
    return [int(thread) for (thread,) in cursor.fetchall()]


def _charsets(cursor: Cursor, numbers: set[int]) -> dict[int, str]:
    """The character set of each collation number; MariaDB's newest collations have none here, and are Unicode."""
    listed = ", ".join(map(str, sorted(numbers)))
    cursor.execute(f"SELECT id, character_set_name FROM information_schema.collations WHERE id IN ({listed})")
    return {int(number): str(charset) for number, charset in cursor.fetchall()}
