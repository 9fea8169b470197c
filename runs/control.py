"""Understand the control columns of shared tables: which row deletes, and which change of a record is the newest."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from runs.reading import AUTO, VOCABULARIES, Control
from schemas.values import DELETED, DETAIL, OP, ORDER, RECEIVED, REJECT

_DIGITS = 20  # of an instant written without separators: year to microsecond
_NUMBER = 24  # digits of a running number, longer than any
_DELETES = ("d", "delete", "deleted", "删除")
_KEEPS = ("", "i", "u", "insert", "update", "inserted", "updated", "upsert", "新增", "插入", "更新", "修改")


def control_of(columns: Iterable[str], wanted: str) -> Control | None:
    """The control columns as the table spells them; None where it has none of the wanted kind.

    `wanted` is a vocabulary, AUTO (whichever is there whole) or NONE.
    """
    spelt = {name.casefold(): name for name in columns}
    for kind, names in VOCABULARIES.items():
        if wanted in (kind, AUTO) and names.operation in spelt and names.time in spelt:
            return Control(spelt[names.operation], spelt[names.time], spelt.get(names.number, ""))
    return None


def operated(rows: pa.RecordBatch, control: Control) -> pa.RecordBatch:
    """The rows with OP from their operation column; a word that nobody knows makes its row a reject."""
    said = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(rows.column(control.operation), "")))
    deletes = pc.is_in(said, value_set=pa.array(_DELETES))
    strange = pc.and_(pc.invert(deletes), pc.invert(pc.is_in(said, value_set=pa.array(_KEEPS))))
    rows = with_op(rows, deletes)
    if not pc.any(strange).as_py():
        return rows
    strange = pc.and_(strange, pc.is_null(rows.column(REJECT)))
    name, words = control.operation, rows.column(control.operation)
    told = pc.binary_join_element_wise(
        f"列 {name} 的操作码无法理解，应为 I/U/D 或 insert/update/delete"
        f" | column {name} holds no operation that is known (I/U/D, insert/update/delete)",
        words,
        ": ",
    )
    rows = _put(rows, REJECT, pc.if_else(strange, "type_unreadable", rows.column(REJECT)))
    return _put(rows, DETAIL, pc.if_else(strange, told, rows.column(DETAIL)))


def with_op(rows: pa.RecordBatch, deletes: pa.Array) -> pa.RecordBatch:
    """The rows with OP saying which of them delete; what said so before stays."""
    none = pa.nulls(rows.num_rows, pa.string())
    said = rows.column(OP) if OP in rows.schema.names else none
    return _put(rows, OP, pc.if_else(deletes, DELETED, said))


def _put(rows: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    place = rows.schema.get_field_index(name)
    if place < 0:
        return rows.append_column(name, values)
    return rows.set_column(place, name, values)


def ordered(table: pa.Table, wanted: str) -> pa.Table:
    """A standardised table with ORDER, text that sorts as its control columns say; as it is where it has none."""
    received = [name.removeprefix(RECEIVED) for name in table.column_names if name.startswith(RECEIVED)]
    control = control_of(received, wanted)
    if control is None:
        return table
    number = pa.nulls(table.num_rows, pa.string())
    if control.number:
        number = pc.utf8_lpad(pc.utf8_trim_whitespace(table[RECEIVED + control.number]), _NUMBER, "0")
    instant = _instant(table[RECEIVED + control.time])
    return table.append_column(ORDER, pc.binary_join_element_wise(instant, pc.fill_null(number, ""), "|"))


def _instant(said: pa.ChunkedArray) -> pa.ChunkedArray:
    """Local times in any usual spelling as twenty digits; null where there is no date."""
    plain = pc.replace_substring_regex(said, r"(Z|[+-][0-9]{2}:?[0-9]{2})\s*$", "")
    # A zone is only cut off behind a time of day: 2024-01-02 ends in what looks like one.
    dated = pc.match_substring_regex(said, r"[0-9]:[0-9]")
    digits = pc.replace_substring_regex(pc.if_else(dated, plain, said), "[^0-9]", "")
    padded = pc.utf8_slice_codeunits(pc.utf8_rpad(digits, _DIGITS, "0"), 0, _DIGITS)
    return pc.if_else(pc.greater_equal(pc.utf8_length(digits), 8), padded, pa.scalar(None, pa.string()))
