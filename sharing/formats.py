"""Answers as JSON, CSV or an Arrow stream, as the caller accepts them: the same rows, text that stays text."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final, Literal

import orjson

from schemas.standard import Standard
from sharing.formats_refusals import NotAcceptableError
from sharing.masks import Mask

if TYPE_CHECKING:
    import pyarrow as pa

KEY, FOUND = "_key", "_found"  # columns of a batch beside its fields
FORMULA: Final = "=+-@＝＋－＠\t\r\n"  # what a spreadsheet takes for the beginning of a formula
_QUOTE: Final = "'"
_BOM: Final = b"\xef\xbb\xbf"
_INT64: Final = 2**63
Steps = Sequence[tuple[str, Mask | None]]
Rows = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Form:
    """How rows are written; `bom`: a CSV begins with the mark by which Excel knows UTF-8."""

    name: Literal["json", "csv", "arrow"]
    media: bytes
    bom: bool = False


JSON: Final = Form("json", b"application/json")
CSV: Final = Form("csv", b"text/csv; charset=utf-8; header=present")
ARROW: Final = Form("arrow", b"application/vnd.apache.arrow.stream")
_KNOWN: Final = (("application", "json", JSON), ("text", "csv", CSV), ("application", "vnd.apache.arrow.stream", ARROW))


def form_of(headers: Sequence[tuple[bytes, bytes]]) -> Form:
    """The form the caller likes best (RFC 9110, 12.5.1), JSON where it says nothing. Raises NotAcceptableError.

    `text/csv;bom=1` asks for the mark.
    """
    said = b",".join(value for name, value in headers if name == b"accept").decode("latin-1")
    if not said.strip():
        return JSON
    ranges = [_range(one) for one in said.split(",")]
    best: tuple[float, int, Form] = (0.0, 0, JSON)
    for kind, sub, form in _KNOWN:
        fitting = [one for one in ranges if one[0] in {(kind, sub), (kind, "*"), ("*", "*")}]
        if not fitting:
            continue
        named, quality, bom = max(fitting, key=lambda one: _closeness(one[0]))
        if (quality, _closeness(named)) > best[:2]:
            best = quality, _closeness(named), replace(form, bom=bom) if form is CSV and bom else form
    if not best[0]:
        raise NotAcceptableError.of()
    return best[2]


def _closeness(named: tuple[str, str]) -> int:
    return sum(part != "*" for part in named)


def _range(text: str) -> tuple[tuple[str, str], float, bool]:
    """One media range: its two halves, its quality, and whether it asks for the mark."""
    media, *said = (part.strip().lower() for part in text.split(";"))
    kind, _, sub = media.partition("/")
    parameters = dict(part.partition("=")[::2] for part in said)
    try:
        quality = min(1.0, max(0.0, float(parameters.get("q", "1"))))
    except ValueError:
        quality = 0.0
    return (kind, sub), quality, parameters.get("bom") in {"1", "yes", "true"}


def written(
    form: Form, told: Mapping[str, object], rows: Rows, steps: Steps, standard: Standard, *, batch: bool
) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    """The body of an answer that is no JSON, and its headers; `told` is what a JSON answer says beside its data."""
    source = {name: value for name, value in told.items() if name != "data"}
    header = (b"x-provenance", json.dumps(source, default=str, separators=(",", ":")).encode("ascii"))
    table = table_of(rows, steps, standard, source, batch=batch)
    return (csv_of(table, bom=form.bom) if form.name == "csv" else arrow_of(table)), (header,)


def table_of(
    rows: Rows, steps: Steps, standard: Standard, source: Mapping[str, object] | None = None, *, batch: bool
) -> pa.Table:
    """Rows as an Arrow table; `source` goes into the metadata of its schema, under `shutong`, as JSON.

    Rows of a `batch` are `{"key", "found", "record"}`; its columns are KEY, FOUND and the fields.

    Whole numbers, truth and dates have their types, where they are shown whole; all else is text as in JSON: a decimal
    keeps each digit.
    """
    import pyarrow as pa

    columns: list[pa.Array] = []
    fields: list[pa.Field] = []
    if batch:
        columns += [pa.array([one["key"] for one in rows], pa.string()), pa.array([one["found"] for one in rows])]
        fields += [pa.field(KEY, pa.string(), nullable=False), pa.field(FOUND, pa.bool_(), nullable=False)]
    records = [_record(one["record"]) if batch else one for one in rows]
    known = {one.name: one for one in standard.fields}
    for name, mask in steps:
        kind = known[name].type if mask is None else "text"
        column = _column([one.get(name) for one in records], kind)
        about = {"zh": known[name].zh, "type": known[name].type, **({"masked": "true"} if mask is not None else {})}
        columns.append(column)
        fields.append(pa.field(name, column.type, metadata=about))
    about_all = {"shutong": orjson.dumps(source, default=str)} if source is not None else None
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=about_all))


def csv_of(table: pa.Table, *, bom: bool = False, header: bool = True) -> bytes:
    """The table as CSV in UTF-8: all that is there stands in quotation marks, what is not there is nothing at all.

    A text that a spreadsheet would take for a formula has an apostrophe before it, and so has one that begins with an
    apostrophe: whoever takes away one at the beginning has the text again.
    """
    import pyarrow as pa
    from pyarrow import csv

    columns = [_as_text(column) for column in table.columns]
    if len(columns) == 1:  # an empty line is no row to most readers
        columns = [columns[0].fill_null("")]
    out = io.BytesIO(_BOM if bom else b"")
    out.seek(0, io.SEEK_END)
    options = csv.WriteOptions(include_header=header, quoting_style="all_valid")
    csv.write_csv(pa.Table.from_arrays(columns, names=table.column_names), out, options)
    return out.getvalue()


def arrow_of(table: pa.Table) -> bytes:
    """The table as an Arrow IPC stream, uncompressed: the content coding compresses it."""
    import pyarrow as pa

    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue()


def text_of(value: object) -> str | None:
    """A value as text: text itself, all else as JSON writes it."""
    return value if value is None or isinstance(value, str) else orjson.dumps(value, default=str).decode()


def _record(told: object) -> Mapping[str, object]:
    return told if isinstance(told, Mapping) else {}


def _column(values: Sequence[object], kind: str) -> pa.Array:
    """Values in the type of their field, or as text where one of them does not fit it."""
    import pyarrow as pa

    there = [one for one in values if one is not None]
    if kind == "integer" and all(type(one) is int and -_INT64 <= one < _INT64 for one in there):
        return pa.array(values, pa.int64())
    if kind == "boolean" and all(isinstance(one, bool) for one in there):
        return pa.array(values, pa.bool_())
    if kind == "date":
        try:
            return pa.array([None if one is None else date.fromisoformat(str(one)) for one in values], pa.date32())
        except ValueError:
            pass
    return pa.array([text_of(one) for one in values], pa.string())


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column as a CSV writes it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    first = pc.utf8_slice_codeunits(column, 0, 1)
    marked = pc.is_in(first, pa.array([*FORMULA, _QUOTE]))
    return pc.if_else(marked, pc.binary_join_element_wise(_QUOTE, column, ""), column)
