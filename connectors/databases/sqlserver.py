"""Read SQL Server through its own driver, Arrow from the wire; whatever could be rounded or cut is text by then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import mssql

from connectors.databases.batches import repaired
from connectors.databases.errors import driver_missing, explained
from connectors.databases.odbc import braced
from connectors.databases.patience import within
from connectors.databases.reader import ReaderOptions
from connectors.databases.sqlserver_columns import as_text
from connectors.rows import Reject
from schemas.values import DETAIL, REJECT

if TYPE_CHECKING:
    from mssql_python import Connection

_PORT = 1433
_ROWS, _CELLS = 20_000, 1_000_000  # rows and values in a batch
_LONG_ROWS = 1_000  # in a batch with columns of any length
# pymssql's word for how the line is secured, which the URL has for reflection, in the words of this driver.
_ENCRYPTION = {"off": "no", "request": "optional", "require": "yes"}
_DIALECT = mssql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]


def open_reader(url: sa.URL, options: ReaderOptions) -> SqlServer:
    """A reader for SQL Server and what speaks its protocol."""
    return SqlServer(url, options)


def connection_string(url: sa.URL) -> str:
    """What the driver is told of `url`; the account is in it."""
    said = str(url.query.get("encryption", "request")).lower()
    parts = {
        "Server": f"{url.host or '127.0.0.1'},{url.port or _PORT}",
        "Database": url.database or "",
        "UID": url.username or "",
        "PWD": str(url.password or ""),
    }
    # Certificates of departmental servers are their own; pymssql, which looks at the table first, takes them too.
    written = {"Encrypt": _ENCRYPTION.get(said, "optional"), "TrustServerCertificate": "yes", "ConnectRetryCount": "0"}
    quoted = [f"{name}={value if name == 'Server' else braced(value)}" for name, value in parts.items() if value]
    return ";".join([*quoted, *(f"{name}={value}" for name, value in written.items())]) + ";"


@dataclass(frozen=True, slots=True)
class SqlServer:
    """Rows through `arrow_reader`."""

    url: sa.URL
    options: ReaderOptions

    def selected(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        """As text by the server where a driver could change the value."""
        return as_text(column, kind)

    def rows(self, statement: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows of `statement`: see `Reader.rows`."""
        columns = list(statement.selected_columns)
        names = [str(column.name) for column in columns]
        size = max(1, min(_ROWS, _CELLS // max(1, len(names))))
        if any(isinstance(column.type, sa.Text | sa.LargeBinary) for column in columns):
            size = min(size, _LONG_ROWS)
        query = str(statement.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))
        empty = True
        with self._connected() as connection, connection.cursor() as cursor:
            cursor.execute(query)
            with cursor.arrow_reader(size) as reader:
                for batch in reader:
                    if batch.num_rows or empty:
                        empty = False
                        yield _texts(batch, names)
                if empty:
                    none = [pa.nulls(0, each.type) for each in reader.schema]
                    yield _texts(pa.RecordBatch.from_arrays(none, names=names), names)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            import mssql_python
        except (ImportError, OSError) as error:  # the driver brings libraries that a bare system may lack
            raise driver_missing(self.url, error) from error
        limit = self.options.connect_timeout
        asked = connection_string(self.url)
        try:
            connection = within(
                2 * limit, lambda: mssql_python.connect(asked, autocommit=True, timeout=max(1, round(limit)))
            )
        except (mssql_python.Error, RuntimeError, TimeoutError, OSError) as error:
            raise explained(_driver_error(error), self.url, connecting=True) from None
        try:
            connection.timeout = round(self.options.statement_timeout)
            yield connection
        except (mssql_python.Error, RuntimeError) as error:
            raise explained(_driver_error(error), self.url, connecting=False) from None
        finally:
            with suppress(mssql_python.Error, RuntimeError):
                connection.close()


def _driver_error(error: Exception) -> Exception:
    """The error as SQLAlchemy would class it, so that what waiting mends is told from what it does not."""
    lost = type(error).__name__ in ("OperationalError", "InterfaceError", "RuntimeError")
    return exc.OperationalError("", None, error) if lost else error


def _texts(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    rejects: dict[int, Reject] = {}
    arrays = []
    for name, column in zip(names, batch.columns, strict=True):
        kind = column.type
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
            arrays.append(column.cast(pa.binary()))
            continue
        if pa.types.is_boolean(kind):
            column = column.cast(pa.int8())  # noqa: PLW2901 - a bit is 0 or 1 to the server
        arrays.append(_valid(name, column.cast(pa.string()), rejects))
    if rejects:
        every = [rejects.get(at) for at in range(batch.num_rows)]
        arrays += [pa.array([one and one.rule for one in every], pa.string())]
        arrays += [pa.array([one and one.detail for one in every], pa.string())]
        names = [*names, REJECT, DETAIL]
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _valid(name: str, column: pa.Array, rejects: dict[int, Reject]) -> pa.Array:
    """The column, or its broken characters made visible: the server keeps halves of characters without complaint."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return repaired("", name, column.cast(pa.binary()), "utf-8", rejects)
    return column
