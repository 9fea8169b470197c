"""A table or query of any database that has an ODBC driver, where nothing better reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
import sqlalchemy as sa

from connectors.databases.ahead import Ahead
from connectors.databases.batches import Batches
from connectors.databases.odbc_fetch import Odbc
from connectors.databases.reader import ReaderOptions
from connectors.databases.values import BYTES
from connectors.errors import SourceError, changed
from connectors.options import Options, Secrets, secret, wrong
from connectors.rows import check_names, first_rows
from connectors.tried import first_row, tried
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = (
    "table", "query", "columns", "where", "order_by", "cast", "bytes", "quote", "length", "text_limit", "timeouts",
)  # fmt: skip
QUOTES = ('"', "`")
CONNECTION = ("connect", "user", "password_secret")
_PASSWORD = re.compile(r"(^|;)\s*(pwd|password)\s*=", re.IGNORECASE)
_SERVER = re.compile(r"(?:^|;)\s*(?:server|servername|host|dsn)\s*=\s*\{?([^;}]*)", re.IGNORECASE)
# psqlodbc and what descends from it write -infinity as 0000-00-00 and leave out the offset of a moment.
_LIKE_POSTGRES = re.compile(r"postgres|psqlodbc|kingbase|gauss", re.IGNORECASE)
# Where the wrong mark makes a text of a name, and a column of that text, none is used unless it is known to be right.
_QUOTES = (
    (re.compile(r"postgres|psqlodbc|kingbase|gauss|oracle|dm8|dameng|sql server|msodbcsql", re.IGNORECASE), '"'),
    (re.compile(r"mysql|mariadb|oceanbase", re.IGNORECASE), "`"),
)
_LENGTHS = ("CHAR_LENGTH", "LENGTH", "LEN")


def open_odbc(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> OdbcSource:
    """A source of kind `odbc`; OPTIONS are allowed. The connection has `connect`, and `user` and `password_secret`.

    `table`, `columns`, `where` and `query` are SQL as the database writes it, with quotes where it needs them. `cast`
    is how the database writes a value as text, `{column}` standing for the column: TO_CHAR({column}).
    `quote` is the mark around names, `length` the function that counts characters; both are known for most drivers.
    """
    login = Options(connection, CONNECTION, "connection")
    connect = login.text("connect")
    if _PASSWORD.search(connect):
        raise wrong(
            "connection.connect",
            "不能含密码，请改用 password_secret",
            "must not hold the password; use password_secret",
        )
    named = login.maybe("password_secret")
    server = _SERVER.search(connect)
    url = sa.URL.create(
        "odbc",
        username=login.maybe("user"),
        password=secret(secrets, named) if named else None,
        host=server[1] if server else None,
    )
    return OdbcSource(Options(options, OPTIONS), connect, url)


class OdbcSource:
    """One table, view or query, read whole each time."""

    def __init__(self, options: Options, connect: str, url: sa.URL) -> None:
        if options.has("table") == options.has("query"):
            raise wrong("source.table", "与 query 须写且只写一个", "or query must be written, and not both")
        self._name = options.text("table", "query")
        self._from = f"({options.text('query')}) q" if options.has("query") else self._name
        self._columns, self._order = options.names("columns"), options.names("order_by")
        self._where = options.maybe("where")
        driver = connect.partition(";")[0]
        self._cast = options.text("cast", "CAST({column} AS text)" if _LIKE_POSTGRES.search(driver) else "{column}")
        if "{column}" not in self._cast:
            raise wrong("source.cast", "须含 {column}", "must hold {column}", ("TO_CHAR({column})",))
        known = next((mark for pattern, mark in _QUOTES if pattern.search(driver)), "")
        self._quote = options.choice("quote", known, QUOTES) if known or options.has("quote") else ""
        self._lengths = (options.text("length"),) if options.has("length") else _LENGTHS
        self._limit = options.whole("text_limit", 4_000, 1)
        timeouts = options.under("timeouts", ("connect", "statement", "silence"))
        plain = ReaderOptions(bytes=options.choice("bytes", "hex", BYTES))
        if timeouts is not None:
            plain = replace(
                plain,
                connect_timeout=timeouts.number("connect", plain.connect_timeout),
                statement_timeout=timeouts.number("statement", plain.statement_timeout),
                silence_timeout=timeouts.number("silence", plain.silence_timeout),
            )
        self._reading, self._system = plain, url.render_as_string(hide_password=True)
        # Account and password are appended; these drivers declare truth values as texts unless told otherwise.
        ending = ";BoolsAsChar=0;" if _LIKE_POSTGRES.search(driver) and "boolsaschar" not in connect.lower() else ";"
        self._odbc = Odbc(connect.rstrip("; ") + ending, url, plain)

    def check(self) -> list[Check]:
        """Whether the driver loads, the database lets us in, the columns are there and a row can be read."""
        return tried(
            self._name,
            {
                "table": lambda: ", ".join(self._schema().names),
                "read": lambda: first_row(self.preview(1).num_rows),
            },
        )

    def discover(self) -> list[StreamInfo]:
        """The table or query itself: a driver's catalog is not asked."""
        return [self.stream()]

    def stream(self) -> StreamInfo:
        """The columns, with the types the driver declares."""
        return StreamInfo(self._name, {each.name: str(each.type) for each in self._schema()})

    def preview(self, rows: int = 20) -> pa.Table:
        """The first rows; how to ask for so many only differs from database to database, so reading just stops."""
        return first_rows(self._batches(), rows)

    def estimate(self) -> int | None:
        """Rows that fit `where`, counted by the database."""
        return self._odbc.number(self._sql(["COUNT(*)"], ordered=False))

    def plan(self, position: Position | None) -> list[Split]:  # noqa: ARG002 - read whole each time
        """All of it, in one split."""
        return [Split(self._name)]

    def read(self, split: Split) -> Iterator[Batch]:  # noqa: ARG002 - there is only one
        """Every row; the position comes with the last batch."""
        held: Batch | None = None
        for batch in self._batches():
            if held is not None:
                yield held
            held = batch
        if held is not None:
            yield replace(held, position=Position())

    def close(self) -> None:
        """Nothing stays open between two calls."""

    def _batches(self) -> Iterator[Batch]:
        schema = self._schema()
        # Named otherwise than the columns, so that an order is by the column and not by its text.
        written = [f"{self._written(each)} AS c{at}" for at, each in enumerate(schema)]
        query = self._sql(written, ordered=True)
        longest = self._longest(schema)
        reading = self._reading
        fetched = Ahead(
            lambda: self._odbc.rows(query, schema.names, longest),
            self._system,
            limit=2 * reading.batch_bytes,
            silence=reading.silence_timeout,
        )
        make = Batches(self._name, reading.bytes, reading.max_field_bytes)
        first = 1
        try:
            for rows in fetched:
                yield make.batch(rows, first)
                first += rows.num_rows
        finally:
            fetched.close()

    def _schema(self) -> pa.Schema:
        every = self._odbc.columns(f"SELECT * FROM {self._from} WHERE 1 = 0")
        check_names(every.names, self._name)
        if not self._columns:
            return every
        known = {name.casefold(): name for name in every.names}
        lost = [name for name in self._columns if name.casefold() not in known]
        if lost:
            raise changed(("列", "column"), self._name, lost, every.names)
        return pa.schema([every.field(known[name.casefold()]) for name in self._columns])

    def _written(self, column: pa.Field) -> str:
        name = self._named(column.name)
        return name if _is_text(column.type) or _is_bytes(column.type) else self._cast.replace("{column}", name)

    def _longest(self, schema: pa.Schema) -> int:
        """How long the longest text is, by the function the database has for it; `text_limit` where it has none."""
        texts = [self._named(each.name) for each in schema if _is_text(each.type) or _is_bytes(each.type)]
        if not texts:
            return 0
        for function in self._lengths:
            try:
                return self._odbc.number(self._sql([f"MAX({function}({name}))" for name in texts], ordered=False))
            except SourceError as error:
                if error.code != "SRC-SQL-QUERY":
                    raise
        return self._limit

    def _named(self, name: str) -> str:
        return f"{self._quote}{name.replace(self._quote, 2 * self._quote)}{self._quote}" if self._quote else name

    def _sql(self, selected: list[str], *, ordered: bool) -> str:
        where = f" WHERE ({self._where})" if self._where else ""
        order = f" ORDER BY {', '.join(self._order)}" if self._order and ordered else ""
        return f"SELECT {', '.join(selected)} FROM {self._from}{where}{order}"


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))
