"""Read Oracle in thin mode, Arrow from the wire; asks the server what each column is and has it write the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import oracle as dialects

from connectors.databases.batches import repaired
from connectors.databases.errors import driver_missing, explained
from connectors.databases.oracle_columns import LOBS, Wired, Written, bytewise, written
from connectors.databases.patience import within
from connectors.databases.reader import ReaderOptions
from connectors.errors import SourceError
from connectors.rows import Reject
from schemas.values import DETAIL, REJECT

if TYPE_CHECKING:
    import oracledb

_ROWS, _LOB_ROWS = 20_000, 500  # in a batch
_SHOWN = 32  # digits in the name of a column of ours
_BEFORE = ("ALTER SESSION SET TIME_ZONE = '+08:00'", "SET TRANSACTION READ ONLY")
_CHARSET = "SELECT value FROM nls_database_parameters WHERE parameter = 'NLS_CHARACTERSET'"
# What the numbers of Oracle and of the driver mean, as SQLSTATEs.
_STATES: Mapping[str, tuple[str, ...]] = {
    "28000": ("ORA-01017", "ORA-28000", "ORA-28001", "ORA-01045", "ORA-28009"),
    "42501": ("ORA-01031",),
    "42P01": ("ORA-00942", "ORA-04043"),
    "57014": ("ORA-01013", "DPY-4024", "ORA-00040", "ORA-02393"),
    "08006": ("ORA-03113", "ORA-03114", "ORA-03135", "ORA-12170", "ORA-12541", "ORA-12537", "DPY-4011", "DPY-6005"),
    "57P03": ("ORA-01033", "ORA-01034", "ORA-01089", "ORA-01090", "ORA-12514", "ORA-12528", "ORA-01555", "ORA-08103"),
}


class _Said(Exception):
    """What the driver said, with a SQLSTATE where the rest of the code looks for it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        code = str(getattr(error.args[0] if error.args else None, "full_code", ""))
        self.sqlstate = next((state for state, codes in _STATES.items() if code in codes), "")


def open_reader(url: sa.URL, options: ReaderOptions) -> Oracle:
    """A reader for Oracle 12.1 and later."""
    return Oracle(url, options)


@dataclass(frozen=True, slots=True)
class Oracle:
    """Rows through `fetch_df_batches`."""

    url: sa.URL
    options: ReaderOptions

    def selected(self, column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:  # noqa: ARG002
        """The column itself; `rows` asks the server what it is, which knows types reflection has no name for."""
        return column

    def rows(self, statement: sa.Select[Any]) -> Iterator[pa.RecordBatch]:
        """The rows of `statement`: see `Reader.rows`."""
        with self._connected() as connection:
            asked, values = _text(statement)
            with connection.cursor() as cursor:
                cursor.execute(_CHARSET)
                found = cursor.fetchone()
                encoding = bytewise(str(found[0]) if found else "", self.options.bytes)
                cursor.parse(asked)
                wires = [_wired(each) for each in cursor.description or ()]
            names = [str(column.name) for column in statement.selected_columns]
            made = _Columns(names, wires, encoding, self.options.max_field_bytes)
            query, values = _text(made.written(statement))
            empty = True
            for frame in connection.fetch_df_batches(query, values, made.rows(self.options.batch_bytes)):
                fetched = pa.table(frame).combine_chunks()
                if fetched.num_rows or empty:
                    empty = False
                    yield made.batch(fetched)

    @contextmanager
    def _connected(self) -> Iterator[oracledb.Connection]:
        try:
            import oracledb
        except ImportError as error:
            raise driver_missing(self.url, error) from error
        url = self.url.set(drivername="oracle+oracledb")
        dialect = url.get_dialect()
        _, arguments = dialect(dbapi=dialect.import_dbapi()).create_connect_args(url)  # type: ignore[call-arg]
        limit = self.options.connect_timeout
        try:
            connection = within(2 * limit, lambda: oracledb.connect(**{"tcp_connect_timeout": limit, **arguments}))
        except oracledb.Error as error:
            raise self._refused(error) from None
        except (TimeoutError, OSError) as error:
            raise explained(error, self.url, connecting=True) from None
        try:
            connection.call_timeout = int(self.options.silence_timeout * 1000)
            with connection.cursor() as cursor:
                for each in _BEFORE:
                    cursor.execute(each)
            yield connection
        except oracledb.Error as error:
            raise explained(_Said(error), self.url, connecting=False) from None
        finally:
            with suppress(oracledb.Error):
                connection.close()

    def _refused(self, error: Exception) -> SourceError:
        if "DPY-3010" in str(error):
            system = self.url.render_as_string(hide_password=True)
            return SourceError(
                "SRC-ORACLE-OLD",
                zh=f"{system} 的 Oracle 版本过旧，精简模式不支持（须 12.1 以上）",
                en=f"the Oracle of {system} is older than 12.1, which the thin driver cannot read",
                fix_zh="请安装 Oracle 的 ODBC 驱动，资源文件写 kind: odbc",
                fix_en="Install Oracle's ODBC driver and write kind: odbc in the resource file.",
            )
        return explained(_Said(error), self.url, connecting=True)


class _Columns:
    """How the columns are selected, and how what comes is put together again."""

    def __init__(self, names: Sequence[str], wires: Sequence[Wired], encoding: str | None, most: int) -> None:
        self._names, self._wires, self._encoding, self._most = list(names), wires, encoding, most
        self._written: list[Written] = []

    def written(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        """The statement with its columns as text."""
        dialect = _dialect()
        self._written = []
        selected: list[sa.ColumnElement[Any]] = []
        for at, (column, wired) in enumerate(zip(statement.selected_columns, self._wires, strict=True)):
            name = str(column.compile(dialect=dialect))
            made = written(name, wired, raw=self._encoding is not None, most=self._most)
            self._written.append(made)
            parts = [*made.parts, *([made.length] if made.length else [])]
            selected += [sa.literal_column(part).label(f"c{at}_{piece}") for piece, part in enumerate(parts)]
        return statement.with_only_columns(*selected, maintain_column_froms=True)

    def rows(self, batch_bytes: int) -> int:
        """How many rows are fetched at once, so that a batch stays about as large as wanted."""
        if any(wired.kind in LOBS for wired in self._wires):
            return _LOB_ROWS
        widest = sum(min(wired.size or _SHOWN, 4 * _SHOWN) for wired in self._wires)
        return max(1, min(_ROWS, batch_bytes // max(1, widest)))

    def batch(self, fetched: pa.Table) -> pa.RecordBatch:
        """One fetched piece as text or bytes by column, with REJECT and DETAIL where something is wrong."""
        rejects: dict[int, Reject] = {}
        arrays, at = [], 0
        for name, made in zip(self._names, self._written, strict=True):
            parts = [_whole(fetched.column(at + piece)) for piece in range(len(made.parts))]
            at += len(parts)
            if made.length:
                _too_long(name, _whole(fetched.column(at)), rejects)
                at += 1
            arrays.append(self._value(name, made, parts, rejects))
        names = list(self._names)
        if rejects:
            every = [rejects.get(row) for row in range(fetched.num_rows)]
            arrays += [pa.array([one and one.rule for one in every], pa.string())]
            arrays += [pa.array([one and one.detail for one in every], pa.string())]
            names += [REJECT, DETAIL]
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def _value(self, name: str, made: Written, parts: list[pa.Array], rejects: dict[int, Reject]) -> pa.Array:
        if made.raw:
            whole = [part.cast(pa.binary()) for part in parts]
            if len(whole) > 1:
                # A piece beyond the end is null, the first one only where the value is.
                rest = [pc.fill_null(part, b"") for part in whole[1:]]
                whole = [pc.binary_join_element_wise(whole[0], *rest, b"")]
            found: dict[int, Reject] = {}
            text = repaired("", name, whole[0], self._encoding or "ascii", found)
            for at, each in found.items():
                rejects.setdefault(at, _advised(each) if self._encoding == "ascii" else each)
            return text
        if pa.types.is_binary(parts[0].type) or pa.types.is_large_binary(parts[0].type):
            return parts[0]
        text = parts[0].cast(pa.string())
        if made.number:
            # Oracle leaves the zero before the point out.
            return pc.replace_substring_regex(text, r"^(-?)\.", r"\10.")
        if made.lost:
            _unreadable(name, text, rejects)
            return pa.nulls(len(text), pa.string())
        return text


def _wired(column: oracledb.FetchInfo) -> Wired:
    kind = str(column.type_code.name).removeprefix("DB_TYPE_")
    named = str(getattr(column.type, "name", "")) if kind == "OBJECT" else ""
    if named == "XMLTYPE":
        kind = named
    return Wired(kind, int(column.internal_size or 0), named)


def _text(statement: sa.Select[Any]) -> tuple[str, dict[str, Any]]:
    """The statement as Oracle reads it, and its values; those stay apart, so that a time is compared as one."""
    compiled = statement.compile(dialect=_dialect(), compile_kwargs={"render_postcompile": True})
    return str(compiled), dict(compiled.params)


def _dialect() -> dialects.base.OracleDialect:
    made = dialects.base.OracleDialect(paramstyle="named")  # type: ignore[no-untyped-call]
    made.server_version_info = (12, 1)  # the oldest the thin driver speaks to
    return made


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _advised(reject: Reject) -> Reject:
    """The same, with what to write where a database of seven bits holds GBK after all."""
    zh, _, en = reject.detail.partition(" | ")
    return replace(
        reject, detail=f"{zh}（若存放的是 GBK，请写 bytes: gb18030） | if it is GBK write bytes: gb18030; {en}"
    )


def _too_long(name: str, lengths: pa.Array, rejects: dict[int, Reject]) -> None:
    for at in np.flatnonzero(lengths.is_valid().to_numpy(zero_copy_only=False)):
        zh = f"列 {name} 的值长 {lengths[int(at)].as_py()}，超过上限，未读取或未读全"
        en = f"column {name}: the value has a length of {lengths[int(at)].as_py()}, more than the limit; not read whole"
        rejects.setdefault(int(at), Reject("field_size", f"{zh} | {en}", ""))


def _unreadable(name: str, kinds: pa.Array, rejects: dict[int, Reject]) -> None:
    for at in np.flatnonzero(kinds.is_valid().to_numpy(zero_copy_only=False)):
        kind = kinds[int(at)].as_py()
        zh = f"列 {name} 的类型 {kind} 无法读成文本；请用 source.columns 列出其余的列"
        en = f"column {name} has type {kind}, which cannot be read as text; list the other columns in source.columns"
        rejects.setdefault(int(at), Reject("type_unreadable", f"{zh} | {en}", ""))
