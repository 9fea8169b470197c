"""Read MySQL and its relatives through connectorx, every value as the server itself writes it, in bounded memory.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc

from connectors.databases.errors import driver_missing, explained
from connectors.databases.mysql_columns import Wired, exact, shown, written
from connectors.databases.mysql_relay import Relay
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


class Cursor(Protocol):
    """What is used of a PyMySQL cursor."""

    _result: Any

    def execute(self, query: str, arguments: object = None) -> object:
        """Run one statement."""
        ...

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        """All rows of the result."""
        ...


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What the reading process is asked, and the text columns by place with the character set of each."""

    request: Mapping[str, object]
    texts: Mapping[int, str | None]


def open_reader(url: sa.URL, options: ReaderOptions) -> MySqlReader:
    """The reader of the database at `url`; SRC-DRIVER when its drivers are missing or cannot do what the URL asks."""
    missing = [name for name in ("connectorx", "pymysql") if find_spec(name) is None]
    if missing:
        raise driver_missing(url, extra="mysql")
    if any(key.startswith("ssl") for key in url.query):
        raise SourceError(
            "SRC-DRIVER",
            zh="快速读取程序不支持 URL 中的 ssl 选项",
            en="the fast reader does not take the ssl options of the URL",
            fix_zh="请写 reader: sqlalchemy",
            fix_en="Write reader: sqlalchemy.",
        )
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
        tag = f"shutong-{uuid.uuid4().hex}"  # the server's list of processes finds the query by it
        marker = f"\x01{uuid.uuid4().hex}:"
        prepared = self._prepared(statement.prefix_with(sa.literal_column(f"/* {tag} */")), marker)
        done = False
        with tempfile.TemporaryFile() as said, _child(said) as child, Relay(self._socket, child.pid) as relay:
            pipe = _Pipe(child, relay, self._silence, lambda: self._works(tag))
            request = {**prepared.request, "url": self._near(relay.port), "marker": marker}
            try:
                pipe.ask(request)
                with contextlib.suppress(pa.ArrowInvalid):  # a stream cut short: the exit code says so too
                    yield from _rows(pipe, prepared.texts, marker)
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
        with self._control() as control:
            control.execute("SET SESSION character_set_results = NULL")
            control.execute(written(statement.limit(0)))
            fields = control._result.fields  # noqa: SLF001 - flags and character sets are nowhere else
            charsets = _charsets(control, {field.charsetnr for field in fields})
            wires = [Wired(each.type_code, each.flags, each.length, charsets.get(each.charsetnr)) for each in fields]
            exactly = [exact(column, wire, marker) for column, wire in zip(columns, wires, strict=True)]
            query = written(statement.with_only_columns(*exactly, maintain_column_froms=True))
            long = any(wire.is_long for wire in wires)
            tables = [each for each in statement.get_final_froms() if isinstance(each, sa.TableClause)]
            rows = min(ROWS, _CELLS // max(1, len(columns)))
            if long:
                rows = min(rows, self._options.batch_bytes // self._row_bytes(control, tables))
            before = (*_BEFORE, self._limit(control))
        text = [not wire.is_bytes for wire in wires]
        request = {"query": query, "before": before, "rows": max(1, rows), "text": text}
        return _Prepared(request, {at: wire.charset for at, wire in enumerate(wires) if wire.is_text})

    def _row_bytes(self, control: Cursor, tables: Sequence[sa.TableClause]) -> int:
        """What a row takes on average as the server estimates, at least 1."""
        widths = [1]
        for table in tables:
            control.execute(
                "SELECT avg_row_length FROM information_schema.tables"
                " WHERE table_schema = COALESCE(%s, DATABASE()) AND table_name = %s",
                (table.schema, table.name),
            )
            widths += [int(width) for (width,) in control.fetchall() if width]
        return max(widths)

    def _limit(self, control: Cursor) -> str:
        control.execute("SELECT VERSION()")
        seconds = self._options.statement_timeout
        if "mariadb" in str(control.fetchall()[0][0]).lower():
            return f"SET SESSION max_statement_time = {seconds:g}"
        return f"SET SESSION max_execution_time = {round(seconds * 1000)}"

    def _works(self, tag: str) -> bool:
        """Whether the server still has the query; SourceUnavailable when it does not even answer that."""
        with self._control() as control:
            return bool(_found(control, tag))

    def _kill(self, tag: str) -> None:
        """End the query at the server if it is still there; a server that does not answer has nothing to be ended."""
        with contextlib.suppress(SourceError), self._control() as control:
            for thread in _found(control, tag):
                control.execute(f"KILL CONNECTION {thread}")

    @contextlib.contextmanager
    def _control(self) -> Iterator[Cursor]:
        """A cursor of a short second connection; what the server refuses is a SourceError."""
        import pymysql  # type: ignore[import-untyped]

        connecting = True
        try:
            with connected(self._url, self._patience) as connection, connection.cursor() as cursor:
                connecting = False
                yield cursor
        except (pymysql.err.Error, OSError) as error:
            raise explained(_wrapped(error), self._url, connecting=connecting) from None

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


def connected(url: sa.URL, patience: float) -> Any:  # noqa: ANN401 - PyMySQL brings no types
    """A PyMySQL connection to the database at `url`; logging in and each answer may take `patience` seconds."""
    import pymysql

    socket_path = url.query.get("unix_socket")
    return pymysql.connect(
        host=url.host or "127.0.0.1",
        port=url.port or _PORT,
        user=url.username,
        password=str(url.password or ""),
        database=url.database,
        unix_socket=socket_path if isinstance(socket_path, str) else None,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=patience,
        read_timeout=patience,
        write_timeout=patience,
    )


def _wrapped(error: Exception) -> Exception:
    """A PyMySQL error as SQLAlchemy would raise it, which is what `explained` knows."""
    import pymysql

    return (
        exc.DBAPIError.instance("", None, error, pymysql.err.Error, dialect=None)
        if isinstance(error, pymysql.err.Error)
        else error
    )


def _found(control: Cursor, tag: str) -> list[int]:
    control.execute(
        "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE %s", (f"%{tag}%",)
    )
    return [int(thread) for (thread,) in control.fetchall()]


def _charsets(control: Cursor, numbers: set[int]) -> dict[int, str]:
    """The character set of each collation number; MariaDB's newest collations have none here, and are Unicode."""
    listed = ", ".join(map(str, sorted(numbers)))
    control.execute(f"SELECT id, character_set_name FROM information_schema.collations WHERE id IN ({listed})")
    return {int(number): str(charset) for number, charset in control.fetchall()}


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


def _rows(pipe: _Pipe, texts: Mapping[int, str | None], marker: str) -> Iterator[pa.RecordBatch]:
    stream = pa.ipc.open_stream(pa.PythonFile(pipe, "r"))
    some = False
    for batch in stream:
        some = True
        yield shown(batch, texts, marker)
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
        while not select.select([self._file], [], [], _LOOK if self._relay.hungry else 0)[0]:
            self._relay.hungry = True
            self._look()
        self._relay.hungry = False
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
