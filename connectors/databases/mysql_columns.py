"""Write each column of a MySQL or MariaDB table in a SELECT so that its exact text arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects.mysql.base import MySQLCompiler, MySQLDialect

from connectors.rows import ESCAPE, visible
from schemas.values import DETAIL, REJECT

# Column types of the wire protocol.
_BIT, _FLOAT, _DOUBLE, _GEOMETRY, _JSON = 16, 4, 5, 255, 245
_PLAIN = (0, 1, 2, 3, 7, 8, 9, 10, 12, 246)  # whole and decimal numbers, days, moments: text by their nature
_TEXTS = (15, 247, 248, 249, 250, 251, 252, 253, 254)
_LONG = (249, 250, 251, 252, _GEOMETRY, _JSON)  # texts and bytes without a narrow limit
_ZEROFILL, _ENUM, _SET = 64, 256, 2048  # flags of the wire protocol
_FAITHFUL = (
    None,
    "binary",
    "utf8",
    "utf8mb3",
    "utf8mb4",
    "latin1",
    "ascii",
)  # every value is some UTF-8 text, or bytes
_CODECS = {
    **{name: name for name in ("gb2312", "gbk", "gb18030", "big5", "latin1")},
    "ucs2": "utf-16-be",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
}
RECEIVED = "u"  # after the marker: the bytes are as received, not as stored
_SHOWN = 200  # characters of a value in a message
_WIDE = ("ucs2", "utf16", "utf16le", "utf32")


@dataclass(frozen=True, slots=True)
class Wired:
    """What the server says of one selected column; `charset` is that of its stored bytes, None where unknown."""

    kind: int
    flags: int
    length: int
    charset: str | None

    @property
    def is_long(self) -> bool:
        """True for types whose values may be of any size."""
        return self.kind in _LONG

    @property
    def is_single(self) -> bool:
        """True for a floating-point number of four bytes."""
        return self.kind == _FLOAT and not self.flags & _ZEROFILL

    @property
    def is_float(self) -> bool:
        """True for a floating-point number that arrives as one."""
        return self.is_single or (self.kind == _DOUBLE and not self.flags & _ZEROFILL)

    @property
    def is_plain(self) -> bool:
        """True for what the server sends as exactly the text it would cast it to, and for floating-point numbers."""
        return self.is_float or (self.kind in _PLAIN and not self.flags & _ZEROFILL)

    @property
    def is_bytes(self) -> bool:
        """True for what has no text of its own."""
        return self.kind == _GEOMETRY or (self.kind in _TEXTS and self.charset == "binary")

    @property
    def is_text(self) -> bool:
        """True for text, be it of a list of words."""
        return self.kind in _TEXTS and self.charset != "binary"

    @property
    def doubtful(self) -> bool:
        """True for text whose character set holds codes Unicode has no character for."""
        return self.kind in _TEXTS and not self.flags & (_ENUM | _SET) and self.charset not in _FAITHFUL


def exact(column: sa.ColumnElement[Any], wire: Wired, marker: str) -> sa.ColumnElement[Any]:
    """The expression that brings the column's exact text, or its bytes, or a number that has one exact text.

    The server is to send text as it is stored (`character_set_results = NULL`): it also stores what is no text. What it
    would turn into ? arrives as `marker` and the stored bytes in hexadecimal digits.
    """
    name = column.name if isinstance(column, sa.Label | sa.ColumnClause) else str(column.key)
    value = column.element if isinstance(column, sa.Label) else column
    return _written(value, wire, marker).label(name)


def _written(value: sa.ColumnElement[Any], wire: Wired, marker: str) -> sa.ColumnElement[Any]:
    if wire.kind == _BIT:
        # The digits of the bits, as many as the column has: BIT(1) is 0 or 1.
        return sa.func.lpad(sa.func.bin(value + sa.literal_column("0")), sa.literal_column(str(wire.length)), "0")
    if wire.doubtful:
        return _guarded(value, wire, marker)
    if wire.is_single:
        return value + sa.literal_column("0e0")  # of four bytes the server writes six digits, of eight all
    if wire.is_plain or wire.is_bytes or (wire.is_text and str(wire.charset).startswith("utf8")):
        return value
    if wire.is_text:
        return _unicode(value)
    # Years, spans of time, JSON, numbers with leading zeros: as the server writes them.
    return sa.cast(value, mysql.CHAR(charset="utf8mb4"))


def _unicode(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.convert(_Using(value, "utf8mb4"))


def _guarded(value: sa.ColumnElement[Any], wire: Wired, marker: str) -> sa.ColumnElement[Any]:
    """The text, or the marker and its bytes where the server would put ? in place of a code without a character."""
    unicode = _unicode(value)
    stored = sa.cast(value, sa.LargeBinary())
    if wire.charset in _WIDE:
        intact = sa.cast(sa.func.convert(_Using(unicode, str(wire.charset))), sa.LargeBinary()) == stored
    else:
        intact = _questions(sa.cast(unicode, sa.LargeBinary())) == _questions(stored)
    hexed = sa.func.concat(sa.literal(marker, sa.String()), sa.func.hex(stored))
    return sa.func.if_(sa.or_(value.is_(None), intact), unicode, hexed)


def _questions(stored: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.length(stored) - sa.func.length(sa.func.replace(stored, sa.literal("?", sa.String()), ""))


class _Using(sa.ColumnElement[Any]):
    """`value USING charset`, the argument of CONVERT."""

    inherit_cache = False
    __visit_name__ = "using"

    def __init__(self, value: sa.ColumnElement[Any], charset: str) -> None:
        self.value, self.charset = value, charset


class _Compiler(MySQLCompiler):
    """Values stand in the text as hexadecimal digits, which no sql_mode and no character set reads differently."""

    def visit_using(self, element: _Using, **options: Any) -> str:  # noqa: ANN401
        return f"{self.process(element.value, **options)} USING {element.charset}"

    def visit_if__func(self, function: Any, **options: Any) -> str:  # noqa: ANN401
        return f"IF{self.function_argspec(function, **options)}"

    def visit_cast(self, cast: Any, **options: Any) -> str:  # noqa: ANN401
        if isinstance(cast.type, sa.LargeBinary):
            return f"CAST({self.process(cast.clause, **options)} AS BINARY)"
        return super().visit_cast(cast, **options)

    def render_literal_value(self, value: Any, type_: Any) -> str:  # noqa: ANN401
        if isinstance(value, str):
            return f"_utf8mb4 X'{value.encode().hex()}'"
        return super().render_literal_value(value, type_)


class _Dialect(MySQLDialect):
    statement_compiler = _Compiler
    supports_statement_cache = False


def written(statement: sa.Select[Any]) -> str:
    """The statement as one text with its values in it."""
    # Named parameters: in the other styles every % of the data manager's own SQL would be doubled.
    compiled = statement.compile(dialect=_Dialect(paramstyle="named"), compile_kwargs={"literal_binds": True})
    return str(compiled)


def shown(batch: pa.RecordBatch, texts: Mapping[int, str | None], marker: str) -> pa.RecordBatch:
    r"""The batch with marked texts as \xNN, and the columns _reject and _detail where there are any.

    `texts` are the text columns that may have marks by place, with the character set of each. A marked text is the
    marker, RECEIVED where they are the bytes received, and the bytes as hexadecimal digits.
    """
    found = {at: pc.starts_with(batch.column(at), marker) for at in texts}
    if not any(pc.any(each).as_py() for each in found.values()):
        return batch
    columns = list(batch.columns)
    details: list[str | None] = [None] * batch.num_rows
    for at, marks in found.items():
        values = columns[at].to_pylist()
        for row in pc.indices_nonzero(marks.fill_null(False)).to_pylist():  # noqa: FBT003 - Arrow's own argument
            said = values[row].removeprefix(marker)
            codec = "utf-8" if said.startswith(RECEIVED) else _codec(texts[at])
            values[row] = visible(bytes.fromhex(said.removeprefix(RECEIVED)).decode(codec, ESCAPE))
            name = batch.schema.names[at]
            said = f"列 {name} 含无法解码的字节 | column {name} holds undecodable bytes: {values[row][:_SHOWN]}"
            details[row] = details[row] or said
        columns[at] = pa.array(values, pa.string())
    rejects = [None if detail is None else "bad_bytes" for detail in details]
    columns += [pa.array(rejects, pa.string()), pa.array(details, pa.string())]
    return pa.RecordBatch.from_arrays(columns, names=[*batch.schema.names, REJECT, DETAIL])


def _codec(charset: str | None) -> str:
    return _CODECS.get(charset or "", "utf-8" if charset is None or charset.startswith("utf8") else "ascii")
