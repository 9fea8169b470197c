"""Read MySQL and its relatives: every value as the server itself writes it, in bounded memory, and no hang that lasts.

One SELECT is one consistent read under InnoDB. connectorx runs in a process of its own behind a relay: the relay holds
the server back when the reading process holds enough, and whoever waits for rows asks the server through a second
connection whether it still works on the query.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from connectors.databases.errors import driver_missing, explained
from connectors.databases.mysql_columns import Wired, exact, shown, written
from connectors.databases.mysql_relay import Relay
from connectors.databases.mysql_rows import fetched
from connectors.databases.mysql_session import Cursor, control
from connectors.databases.reader import ReaderOptions
from connectors.errors import SourceError

ROWS = 20_000  # in a batch
_PORT = 3306
_LOOK = 0.2  # seconds between two looks at what is under way
_ASK = 30.0  # seconds without a byte after which the server is asked whether it still works on the query
_STARTS = 15.0  # seconds the reading process may take until the server has the query
_CELLS = 1_000_000  # values in a batch
_STALLED = 600  # seconds the server lets us be slow
_FETCH = Path(__file__).with_name("mysql_fetch.py")
# Session only: nothing can be written, CHAR comes as stored, a slow reader is not cut off after a minute.
_BEFORE = (
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION sql_mode = REPLACE(@@sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', '')",
    f"SET SESSION net_write_timeout = {_STALLED}",
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the reading process is asked, and the text columns by place with the character set of each."""

    request: Mapping[str, object]
    texts: Mapping[int, str | None]


def open_reader(url: sa.URL, options: ReaderOptions) -> MySqlReader:
    """The reader of the database at `url`; SRC-DRIVER when its driver is missing.

    Without connectorx, and over TLS, which the relay would break, rows come one by one through PyMySQL: the same text,
    several times slower.
    """
    if find_spec("pymysql") is None:
        raise driver_missing(url, extra="mysql")
    secured = any(key.startswith("ssl") for key in url.query)
    return MySqlReader(url, options, by_rows=secured or find_spec("connectorx") is None)


def open_rows(url: sa.URL, options: ReaderOptions) -> MySqlReader:
    """The reader that fetches row by row; SRC-DRIVER when PyMySQL is missing."""
    if find_spec("pymysql") is None:
        raise driver_missing(url, extra="mysql")
    return MySqlReader(url, options, by_rows=True)


class MySqlReader:
    """MySQL, MariaDB and what speaks their protocol."""

    def __init__(self, url: sa.URL, options: ReaderOptions, *, by_rows: bool) -> None:
        self._url, self._options, self._by_rows = url, options, by_rows
        self._patience = options.connect_timeout
        self._silence = min(options.silence_timeout or _ASK, _ASK)

    def selected(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:  # noqa: ARG002
        """The column itself; `rows` asks the server what it is, which is surer than reflection for views."""
        return column

    def rows(self, statement: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows of `statement`: see `Reader.rows`. A batch with unreadable text also has `_reject` and `_detail`."""
        tag = f"shutong-{uuid.uuid4().hex}"  # the server's list of processes finds the query by it
        marker = f"\x01{uuid.uuid4().hex}:"
        prepared = self._prepared(statement.prefix_with(sa.literal_column(f"/* {tag} */")), marker)
        request = {**prepared.request, "marker": marker}
        if self._by_rows:
            batches = fetched(self._url, self._options, request, lambda: self._kill(tag))
        else:
            batches = self._streamed(request, tag)
        with contextlib.closing(batches):
            for batch in batches:
                yield shown(batch, prepared.texts, marker)

    def _streamed(self, request: Mapping[str, Any], tag: str) -> Generator[pa.RecordBatch]:
        done = False
        with tempfile.TemporaryFile() as said, _child(said) as child, Relay(self._socket, child.pid) as relay:
            pipe = _Pipe(child, relay, self._silence, lambda: self._works(tag))
            asked = {**request, "url": self._near(relay.port)}
            try:
                pipe.ask(asked)
                with contextlib.suppress(pa.ArrowInvalid):  # a stream cut short: the exit code says so too
                    yield from _rows(pipe, relay)
                if child.wait(self._patience):
                    raise self._failed(relay, said)
                done = True
            finally:
                if not done:
                    child.kill()
                    relay.close()
                    self._kill(tag)

    def _prepared(self, statement: sa.Select[Any], marker: str) -> _Prepared:
        """Ask the server what the columns are, and write the query accordingly."""
        columns = list(statement.selected_columns)
        with control(self._url, self._patience) as cursor:
            cursor.execute("SET SESSION character_set_results = NULL")
            cursor.execute(written(statement.limit(0)))
            fields = cursor._result.fields  # noqa: SLF001 - flags and character sets are nowhere else
            charsets = _charsets(cursor, {field.charsetnr for field in fields})
            wires = [Wired(each.type_code, each.flags, each.length, charsets.get(each.charsetnr)) for each in fields]
            exactly = [
                exact(column, wire, marker, by_text=self._by_rows) for column, wire in zip(columns, wires, strict=True)
            ]
            query = written(statement.with_only_columns(*exactly, maintain_column_froms=True))
            long = any(wire.is_long for wire in wires)
            tables = [each for each in statement.get_final_froms() if isinstance(each, sa.TableClause)]
            rows = min(ROWS, _CELLS // max(1, len(columns)))
            if long:
                rows = min(rows, self._options.batch_bytes // self._row_bytes(cursor, tables))
            before = (*_BEFORE, self._limit(cursor))
        text = [not wire.is_bytes for wire in wires]
        request: dict[str, object] = {"query": query, "before": before, "rows": max(1, rows), "text": text}
        request["floats"] = {at: wire.is_single for at, wire in enumerate(wires) if wire.is_float}
        return _Prepared(request, {at: wire.charset for at, wire in enumerate(wires) if wire.is_text})

    def _row_bytes(self, cursor: Cursor, tables: Sequence[sa.TableClause]) -> int:
        """What a row takes on average as the server estimates, at least 1."""
        widths = [1]
        for table in tables:
            cursor.execute(
                "SELECT avg_row_length FROM information_schema.tables"
                " WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s",
                (table.schema, table.name),
            )
            widths += [int(width) for (width,) in cursor.fetchall() if width]
        return max(widths)

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

    def _socket(self) -> socket.socket:
        path = self._url.query.get("unix_socket")
        if isinstance(path, str):
            local = socket.socket(socket.AF_UNIX)
            local.connect(path)
            return local
        return socket.create_connection((self._url.host or "127.0.0.1", self._url.port or _PORT), self._patience)

    def _near(self, port: int) -> str:
        """The address of the relay with the account of the URL, as connectorx takes it."""
        user, password = (quote(str(part or ""), safe="") for part in (self._url.username, self._url.password))
        account = f"{user}:{password}" if password else user
        return f"mysql://{account}@127.0.0.1:{port}/{quote(self._url.database or '', safe='')}?prefer_socket=false"

    def _failed(self, relay: Relay, said: IO[bytes]) -> SourceError:
        said.seek(0)
        lines = [line for line in said.read().decode("utf-8", "replace").splitlines() if line.strip()]
        words = str(relay.failed or (lines[-1] if lines else "the reading process ended"))
        lasting = relay.failed is None and "Couldn't convert" in words  # no waiting mends what the driver cannot hold
        kind = exc.DatabaseError if lasting else exc.OperationalError
        return explained(kind("", None, Exception(words)), self._url, connecting=False)


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


@contextlib.contextmanager
def _child(said: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    # Fixed thresholds: what a batch took goes back to the system, so that the memory we measure is what is in use.
    room = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "4194304", "RUST_BACKTRACE": "0"}
    command = [sys.executable, "-P", str(_FETCH)]
    with subprocess.Popen(  # noqa: S603 - our own file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env={**os.environ, **room}
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def _rows(pipe: _Pipe, relay: Relay) -> Iterator[pa.RecordBatch]:
    stream = pa.ipc.open_stream(pa.PythonFile(pipe, "r"))
    some = False
    for batch in stream:
        some = True
        relay.took(batch.nbytes)
        yield batch
    if not some:
        yield pa.RecordBatch.from_arrays([pa.nulls(0, each.type) for each in stream.schema], schema=stream.schema)


class _Pipe:
    """What the reading process writes, as a file Arrow can read; watches the server while nothing comes."""

    closed = False

    def __init__(self, child: subprocess.Popen[bytes], relay: Relay, silence: float, works: Callable[[], bool]) -> None:
        self._child, self._relay, self._silence, self._works = child, relay, silence, works
        self._file = child.stdout.fileno() if child.stdout else -1
        self._seen, self._since, self._asked = 0, time.monotonic(), time.monotonic()

    def ask(self, request: object) -> None:
        """Hand the request to the process."""
        with contextlib.suppress(BrokenPipeError):  # its exit code tells
            if self._child.stdin:
                self._child.stdin.write(json.dumps(request).encode())
                self._child.stdin.close()

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer at the end."""
        pieces, left = [], size
        while left and (piece := self._some(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Nothing: the pipe belongs to the process."""

    def _some(self, size: int) -> bytes:
        if not select.select([self._file], [], [], 0)[0]:
            self._relay.wants()
            while not select.select([self._file], [], [], _LOOK)[0]:
                self._look()
            self._relay.has()
        self._since = self._asked = time.monotonic()
        return os.read(self._file, size)

    def _look(self) -> None:
        now = time.monotonic()
        if self._relay.moved != self._seen:
            self._seen, self._since, self._asked = self._relay.moved, now, now
        elif self._relay.failed is None and now - self._asked > self._silence:
            # A query that is not there may be about to start, or over with its last rows still on the way.
            if not self._works() and now - self._since > max(2 * self._silence, _STARTS):
                self._relay.failed = TimeoutError("the server no longer knows of the query")
            self._asked = time.monotonic()
        if self._relay.failed is not None:
            self._child.kill()
