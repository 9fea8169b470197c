"""A SQLAlchemy dialect for one live DuckDB connection: PostgreSQL's compiler, DuckDB's own reflection."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy import pool, types
from sqlalchemy.dialects import postgresql, registry
from sqlalchemy.dialects.postgresql.base import PGCompiler, PGDialect, PGIdentifierPreparer

from quality import likes

NAME = "shutong_duckdb"

_LIVE: dict[str, duckdb.DuckDBPyConnection] = {}
# The names by which Great Expectations looks a type up in PostgreSQL's module.
_TYPES: dict[str, type[types.TypeEngine[Any]]] = {
    "BOOLEAN": types.BOOLEAN,
    "TINYINT": types.SMALLINT,
    "SMALLINT": types.SMALLINT,
    "INTEGER": types.INTEGER,
    "BIGINT": types.BIGINT,
    "UBIGINT": types.BIGINT,
    "HUGEINT": types.BIGINT,
    "FLOAT": types.REAL,
    "DOUBLE": types.DOUBLE_PRECISION,
    "VARCHAR": types.TEXT,
    "BLOB": postgresql.BYTEA,
    "DATE": types.DATE,
    "TIME": postgresql.TIME,
    "TIMESTAMP": postgresql.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": postgresql.TIMESTAMP,
}


@contextmanager
def lend(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    """A SQLAlchemy URL that stands for this very connection, for as long as the block lasts."""
    token = secrets.token_hex(8)
    _LIVE[token] = connection
    try:
        yield f"{NAME}://{token}"
    finally:
        del _LIVE[token]


def quote(name: str) -> str:
    """The identifier in double quotes, double quotes inside doubled."""
    return '"' + name.replace('"', '""') + '"'


class Cursor:
    """A DB-API cursor that has read its whole result when `execute` returns.

    Great Expectations closes the connection before it fetches; and DuckDB allows one open result per connection. Only
    counts and samples come this way, so holding them is cheap.
    """

    arraysize = 1

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self.description: Sequence[tuple[Any, ...]] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> None:
        """Run one statement and read its result."""
        result = self._connection.execute(statement, list(parameters or ()))
        self.description = result.description
        self._rows = result.fetchall() if self.description else []

    def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each set of parameters."""
        for one in parameters:
            self.execute(statement, one)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None."""
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows, at most `size`."""
        some, self._rows = self._rows[: size or 1], self._rows[size or 1 :]
        return some

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        rest, self._rows = self._rows, []
        return rest

    def setinputsizes(self, *sizes: object) -> None:
        """Nothing: DuckDB infers parameter types."""

    def close(self) -> None:
        """Forget the result; the DuckDB connection stays open."""
        self._rows = []


class Connection:
    """A DB-API connection over a DuckDB connection that somebody else owns; closing it leaves that one open."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.duckdb = connection

    def cursor(self) -> Cursor:
        """A cursor on the same connection: registered tables and macros stay visible."""
        return Cursor(self.duckdb)

    def commit(self) -> None:
        """Nothing: every statement stands by itself."""

    def rollback(self) -> None:
        """Nothing: every statement stands by itself."""

    def close(self) -> None:
        """Nothing: the owner closes."""


class _Preparer(PGIdentifierPreparer):
    def _requires_quotes(self, value: str) -> bool:  # noqa: ARG002 - DuckDB's reserved words are not PostgreSQL's
        return True


class _Compiler(PGCompiler):
    """PostgreSQL's SQL, except that `~` is a full match in DuckDB and a search in PostgreSQL."""

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
        if operator.opstring in ("~", "!~"):
            match = self.visit_regexp_match_op_binary(element, operator, **kw)
            return match if operator.opstring == "~" else f"NOT {match}"
        return str(super().visit_custom_op_binary(element, operator, **kw))  # type: ignore[no-untyped-call]

    def visit_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:  # noqa: ANN401, ARG002 - dto.
        return f"regexp_matches({self.process(binary.left, **kw)}, {self.process(binary.right, **kw)})"

    def visit_not_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:  # noqa: ANN401 - dto.
        return f"NOT {self.visit_regexp_match_op_binary(binary, operator, **kw)}"

    def visit_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
        pattern, escape = getattr(binary.right, "value", None), (binary.modifiers or {}).get("escape")
        if not isinstance(pattern, str) or not (escape or likes.slow(pattern)):
            return str(super().visit_like_op_binary(binary, operator, **kw))  # type: ignore[no-untyped-call]
        matched = sa.func.regexp_full_match(binary.left, sa.literal(likes.regex(pattern, escape)))
        return str(self.process(matched, **kw))

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:  # noqa: ANN401 - SQLAlchemy's own
        return f"NOT {self.visit_like_op_binary(binary, operator, **kw)}"


class DuckDBDialect(PGDialect):
    """What Great Expectations needs of a dialect, and no more: queries, literals, the columns of a table."""

    name = "duckdb"
    driver = "live"
    statement_compiler = _Compiler
    preparer = _Preparer
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_sane_rowcount = False
    supports_native_enum = False
    colspecs = {}  # noqa: RUF012 - as SQLAlchemy declares it; Python values pass as they are
    ischema_names = {}  # noqa: RUF012 - dto.

    @classmethod
    def import_dbapi(cls) -> Any:  # noqa: ANN401 - a DB-API module
        """DuckDB itself: its exceptions and its parameter style."""
        return duckdb

    @classmethod
    def get_pool_class(cls, url: sa.URL) -> type[pool.Pool]:  # noqa: ARG003 - SQLAlchemy's signature
        """One connection, ever."""
        return pool.StaticPool

    def create_connect_args(self, url: sa.URL) -> tuple[list[str], dict[str, Any]]:
        """The host of the URL is the token that `lend` gave out."""
        return [url.host or ""], {}

    def connect(self, *cargs: Any, **cparams: Any) -> Any:  # noqa: ANN401, ARG002 - SQLAlchemy's signature
        """The lent connection; an OperationalError when it has been handed back."""
        try:
            return Connection(_LIVE[cargs[0]])
        except KeyError:
            message = "the DuckDB connection behind this URL is no longer lent"
            raise duckdb.OperationalError(message) from None

    def initialize(self, connection: sa.Connection) -> None:  # noqa: ARG002 - nothing is asked of the server
        """Fixed facts instead of questions in PostgreSQL's catalogue."""
        self.server_version_info = (15, 0)
        self.default_schema_name = "main"
        self._backslash_escapes = False

    def on_connect(self) -> None:
        """Nothing to prepare."""

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:  # noqa: ANN401, ARG002 - SQLAlchemy's signature
        """Never: the database is in this process."""
        return False

    def get_columns(  # type: ignore[override]
        self,
        connection: sa.Connection,
        table_name: str,
        schema: str | None = None,  # noqa: ARG002 - registered tables have none
        **kw: Any,  # noqa: ANN401, ARG002 - SQLAlchemy's signature
    ) -> list[dict[str, Any]]:
        """Name and type of each column; NoSuchTableError when there is no such table."""
        try:
            rows = connection.exec_driver_sql(f"DESCRIBE {quote(str(table_name))}").fetchall()
        except sa.exc.DBAPIError as error:
            raise sa.exc.NoSuchTableError(table_name) from error
        return [
            {"name": row[0], "type": _sqlalchemy_type(row[1]), "nullable": True, "default": None, "comment": None}
            for row in rows
        ]

    def has_table(self, connection: sa.Connection, table_name: str, schema: str | None = None, **kw: Any) -> bool:  # noqa: ANN401
        """Whether the table can be described."""
        try:
            return bool(self.get_columns(connection, table_name, schema, **kw))
        except sa.exc.NoSuchTableError:
            return False

    def get_table_names(self, connection: sa.Connection, schema: str | None = None, **kw: Any) -> list[str]:  # noqa: ANN401, ARG002
        """Tables and registered Arrow tables."""
        return [row[0] for row in connection.exec_driver_sql("SHOW TABLES")]

    def get_schema_names(self, connection: sa.Connection, **kw: Any) -> list[str]:  # noqa: ANN401, ARG002
        """One schema."""
        return ["main"]

    def get_pk_constraint(self, *args: Any, **kw: Any) -> Any:  # noqa: ANN401, ARG002
        """Arrow tables have no keys."""
        return {"constrained_columns": [], "name": None}


def _sqlalchemy_type(name: str) -> types.TypeEngine[Any]:
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", name)
    if decimal:
        return types.NUMERIC(int(decimal[1]), int(decimal[2]))
    return _TYPES.get(name, types.NullType)()


registry.register(NAME, __name__, "DuckDBDialect")
