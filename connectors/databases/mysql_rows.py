"""Fetch the rows of a MySQL query one by one through PyMySQL, as the server's bytes, and make text of whole columns."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from connectors.databases.errors import explained
from connectors.databases.mysql_fetch import text_of
from connectors.databases.mysql_session import login, wrapped
from connectors.databases.reader import ReaderOptions

_FETCH = 1_000  # rows asked for at once


def fetched(
    url: sa.URL, options: ReaderOptions, request: Mapping[str, Any], kill: Callable[[], None]
) -> Generator[pa.RecordBatch]:
    """The rows of the query in batches; `kill` is called when they are left before their end."""
    import pymysql  # type: ignore[import-untyped]

    done = connecting = True
    try:
        with pymysql.connect(
            **{**login(url, options.connect_timeout), "read_timeout": options.silence_timeout or None},
            use_unicode=False,
            conv={},
        ) as connection:
            done = connecting = False
            cursor = connection.cursor(pymysql.cursors.SSCursor)
            try:
                for statement in (*request["before"], request["query"]):
                    cursor.execute(statement)
                names = [column[0] for column in cursor.description]
                yield from _batches(cursor, names, request)
                done = True
            finally:
                # Or closing it, now or by the garbage collector, would fetch all the rows that are left.
                cursor.connection, cursor._result.unbuffered_active = None, False  # noqa: SLF001
    except (pymysql.err.Error, OSError) as error:
        raise explained(wrapped(error), url, connecting=connecting) from None
    finally:
        if not done:
            kill()


def _batches(cursor: Any, names: Sequence[str], request: Mapping[str, Any]) -> Generator[pa.RecordBatch]:  # noqa: ANN401
    first, rows = True, []
    while found := cursor.fetchmany(_FETCH):
        rows += found
        if len(rows) >= request["rows"]:
            yield _batch(names, rows, request)
            first, rows = False, []
    if rows or first:
        yield _batch(names, rows, request)


def _batch(names: Sequence[str], rows: Sequence[Sequence[bytes | None]], request: Mapping[str, Any]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    arrays = []
    for at, values in enumerate(columns):
        raw = pa.array(values, pa.binary())
        array = text_of(raw, request["marker"]) if request["text"][at] else raw
        if at in request["floats"]:
            number = array.cast(pa.float64())
            array = (number.cast(pa.float32(), safe=False) if request["floats"][at] else number).cast(pa.string())
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=list(names))
