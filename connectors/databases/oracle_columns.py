"""Write Oracle's types as text in the SELECT: every digit and fraction, and the bytes of what Oracle cannot decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PIECE = 2_000  # bytes a RAW may have in a query unless the server was extended
_CLOB_PIECES = 4  # of a CLOB whose bytes are wanted; a longer one is a reject
# Character sets that give back any byte they were handed, so that GBK came to be kept in them.
_BYTEWISE = ("US7ASCII", "WE8ISO8859P1", "WE8ISO8859P15", "WE8MSWIN1252", "WE8DEC", "WE8ISO8859P9")
_SAYS_NOTHING = "US7ASCII"  # here every byte above 127 is lost on the way when it is fetched as text
# The decimal point and the digits are ours, whatever the session speaks; S is a sign before Christ.
_MOMENT = "SYYYY-MM-DD HH24:MI:SS"
_FORMATS: Mapping[str, str] = {
    "DATE": _MOMENT,
    "TIMESTAMP": f"{_MOMENT}.FF",
    "TIMESTAMP_TZ": f"{_MOMENT}.FF TZH:TZM",
    "TIMESTAMP_LTZ": f"{_MOMENT}.FF TZH:TZM",
}
_TEXTS = ("VARCHAR", "CHAR")
_WIDE = ("NVARCHAR", "NCHAR", "LONG", "LONG_NVARCHAR", "NCLOB", "RAW", "LONG_RAW", "BINARY_FLOAT", "BINARY_DOUBLE")
_CALLS: Mapping[str, str] = {
    "XMLTYPE": "XMLSERIALIZE(CONTENT {} AS CLOB)",
    "JSON": "JSON_SERIALIZE({} RETURNING CLOB)",
    "VECTOR": "FROM_VECTOR({} RETURNING CLOB)",
    "BOOLEAN": "CASE WHEN {0} THEN 'true' WHEN NOT {0} THEN 'false' END",
    "ROWID": "ROWIDTOCHAR({})",
    "UROWID": "CAST({} AS VARCHAR2(4000))",
    "INTERVAL_DS": "TO_CHAR({})",
    "INTERVAL_YM": "TO_CHAR({})",
    # TM9 is as many digits as there are, with an exponent only beyond 64 of them.
    "NUMBER": "TO_CHAR({}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')",
    "BINARY_INTEGER": "TO_CHAR({}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')",
}
LOBS = ("CLOB", "NCLOB", "BLOB", "LONG", "LONG_NVARCHAR", "LONG_RAW", "XMLTYPE", "JSON", "VECTOR")


@dataclass(frozen=True, slots=True)
class Wired:
    """What the server says of a column: its type without DB_TYPE_, the bytes it may take, and an object type's name."""

    kind: str
    size: int = 0
    named: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """How a column is selected.

    `parts` are joined into one value. `raw`: they are bytes of text. `length` tells how long the value is where it
    may be longer than `most`, and is null otherwise. `lost`: the value cannot be had, the part says of what type it is.
    """

    parts: tuple[str, ...]
    raw: bool = False
    length: str | None = None
    lost: bool = False
    number: bool = False


def bytewise(charset: str, encoding: str) -> str | None:
    """In which encoding the bytes of text columns are to be decoded by us; None where the server knows better."""
    if charset == _SAYS_NOTHING:
        return encoding if encoding != "hex" else "ascii"
    return "gb18030" if charset in _BYTEWISE and encoding == "gb18030" else None


def written(name: str, wired: Wired, *, raw: bool, most: int) -> Written:
    """How the column with the quoted `name` is selected; `raw`: text as its bytes; nothing longer than `most`."""
    if raw and wired.kind in ("CLOB", *_TEXTS):
        return _as_bytes(name, wired)
    if wired.kind in ("CLOB", "NCLOB", "BLOB"):
        within = f"CASE WHEN DBMS_LOB.GETLENGTH({name}) <= {most} THEN {name} END"
        return Written((within,), length=_long(name, most))
    if wired.kind in (*_TEXTS, *_WIDE):
        return Written((name,))
    if wired.kind in _FORMATS:
        return Written((_moment(name, wired.kind),))
    if wired.kind in _CALLS:
        call = _CALLS[wired.kind].format(name)
        return Written((call,), number=wired.kind in ("NUMBER", "BINARY_INTEGER"))
    said = (wired.named or wired.kind).replace("'", "''")
    return Written((f"CASE WHEN {name} IS NOT NULL THEN '{said}' END",), lost=True)


def _as_bytes(name: str, wired: Wired) -> Written:
    if wired.kind == "CLOB":
        most = _CLOB_PIECES * PIECE
        pieces = [f"DBMS_LOB.SUBSTR({name}, {PIECE}, {at + 1})" for at in range(0, most, PIECE)]
        return Written(tuple(f"UTL_RAW.CAST_TO_RAW({each})" for each in pieces), raw=True, length=_long(name, most))
    pieces = [name]
    if wired.size > PIECE:
        pieces = [f"SUBSTRB({name}, {at + 1}, {PIECE})" for at in range(0, wired.size, PIECE)]
    return Written(tuple(f"UTL_RAW.CAST_TO_RAW({each})" for each in pieces), raw=True)


def _moment(name: str, kind: str) -> str:
    # A year after Christ leaves the place of its sign, a precision of 0 its point.
    text = f"LTRIM(TO_CHAR({name}, '{_FORMATS[kind]}'))"
    if kind == "DATE":
        return text
    return f"RTRIM({text}, '.')" if kind == "TIMESTAMP" else f"REPLACE({text}, '. ', ' ')"


def _long(name: str, most: int) -> str:
    return f"CASE WHEN DBMS_LOB.GETLENGTH({name}) > {most} THEN TO_CHAR(DBMS_LOB.GETLENGTH({name}), 'TM9') END"
