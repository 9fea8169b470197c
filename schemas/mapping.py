"""Standardise received records: find which column feeds which field, and read every column as its field's type."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import StandardError
from schemas.normalise import SENTINELS, fold, long_term
from schemas.reading import TYPES, Column, Reading, read
from schemas.standard import Field, Standard
from schemas.syntax import nearest
from schemas.texts import marked, nulled, picked, texts
from schemas.values import BAD, OP, RAW_COLUMNS, RECEIVED, REPAIRED

USCC_FIELD, REG_NO_FIELD = "uscc", "reg_no"
_CARRIED = (*RAW_COLUMNS, OP)  # about the record, not of it: no field is read from them
_REG_NO_LENGTHS = (13, 15)  # digits of registration numbers of before 2015
BATCH_ROWS = 131_072  # rows standardised at once: enough to forget the Python around them, little to hold


class MissingColumn(StandardError):
    """A column that a resource declares, or a key field needs, is not delivered (STD-COLUMN-MISSING)."""


class UnknownField(StandardError):
    """A resource maps a field that its standard does not have (STD-FIELD-UNKNOWN)."""


@dataclass(frozen=True, slots=True)
class Standardised:
    """A standardised batch.

    `table` holds RAW_COLUMNS (and OP where the source gives it), then for each delivered field, in the order of the
    standard, its typed value (types: see `schemas.reading.TYPES`), `<field>__bad` and `<field>__repaired` (bool, never
    null), then every source column as received as `raw:<column>` (string). `unparsed` has, for each field with any, the
    spellings not understood and codes in no list with how often they were received, most frequent first, all of them.
    """

    table: pa.Table
    unparsed: Mapping[str, Mapping[str, int]]


def resolve(standard: Standard, columns: Sequence[str], declared: Mapping[str, str]) -> Mapping[str, str]:
    """Which source column feeds which field (field → column), in the order of the standard's fields.

    Declared columns come first; other fields are found by name, Chinese name 中文名 or alias, whatever the case and
    width of their letters, in columns not taken yet. Fields that come out of another (see `derived`) share its column.
    Raises UnknownField, and MissingColumn for a declared column or a key field that is not delivered.
    """
    _refuse(standard, columns, declared)
    found = {**_recognised(standard, columns, declared), **declared}
    for name, origin in derived(standard).items():
        if origin in found:
            found.setdefault(name, found[origin])
    for name in standard.key:
        if name not in found:
            raise _missing(standard.field(name), None, columns)
    return {one.name: found[one.name] for one in standard.fields if one.name in found}


def _refuse(standard: Standard, columns: Sequence[str], declared: Mapping[str, str]) -> None:
    fields = {one.name: one for one in standard.fields}
    for name, column in declared.items():
        if name not in fields:
            raise _unknown(standard, name)
        if column not in columns:
            raise _missing(fields[name], column, columns)


def _recognised(standard: Standard, columns: Sequence[str], declared: Mapping[str, str]) -> dict[str, str]:
    free = {_folded(column): column for column in reversed(columns) if column not in declared.values()}
    found = {}
    for one in standard.fields:
        known = next((name for name in _names(one) if name in free), None)
        if one.name not in declared and known is not None:
            found[one.name] = free.pop(known)
    return found


def derived(standard: Standard) -> Mapping[str, str]:
    """Fields filled from another field's column when no column of their own is mapped: field → the other.

    `reg_no` 注册号 from `uscc` (a 13- or 15-digit registration number written there moves over), and the currency
    `<field>_ccy` of every field of type capital.
    """
    names = {one.name for one in standard.fields}
    pairs = {f"{one.name}_ccy": one.name for one in standard.fields if one.type == "capital"}
    if any(one.name == USCC_FIELD and one.type == "uscc" for one in standard.fields):
        pairs[REG_NO_FIELD] = USCC_FIELD
    return {name: origin for name, origin in pairs.items() if name in names}


def standardise(
    raw: pa.Table, standard: Standard, mapping: Mapping[str, str], codes: Mapping[str, Mapping[str, str]], today: date
) -> Standardised:
    """Read received records as the standard's fields.

    `raw` has RAW_COLUMNS and source columns (text; null stays null, '' stays '' in `raw:`). `mapping` is field → source
    column, best from `resolve`; fields it derives are filled even if not listed. `codes` is code list id → {code, name
    or alias → code}; a field whose list is not given is read as text. KeyError for a field or column that is not there.
    """
    counts: dict[str, Counter[str]] = {}
    tables = []
    batches = raw.to_batches(BATCH_ROWS) or [pa.RecordBatch.from_pylist([], raw.schema)]
    for done in standardise_batches(batches, standard, mapping, codes, today):
        for name, unparsed in done.unparsed.items():
            counts.setdefault(name, Counter()).update(unparsed)
        tables.append(done.table)
    return Standardised(pa.concat_tables(tables), {name: dict(one.most_common()) for name, one in counts.items()})


def standardise_batches(
    batches: Iterable[pa.RecordBatch],
    standard: Standard,
    mapping: Mapping[str, str],
    codes: Mapping[str, Mapping[str, str]],
    today: date,
    *,
    workers: int = 2,
) -> Iterator[Standardised]:
    """`standardise` of each batch, in their order, while further batches are read.

    `batches` is drawn from in the caller's thread, at most `workers` + 1 batches ahead of what was taken: memory does
    not grow with the number of batches. An error of a batch is raised where its table would have come.
    """
    readings = {
        name: Reading(one, _sentinels(standard, one), codes.get(one.codes or "", {}), today)
        for name, one in ((name, standard.field(name)) for name in _own(standard, mapping))
    }
    step = partial(_standardised, standard=standard, mapping=mapping, codes=codes, readings=readings)
    source = iter(batches)
    first, second = next(source, None), next(source, None)
    if first is None:
        return
    if second is None or workers == 1:
        yield from map(step, (first, *(() if second is None else (second,)), *source))
        return
    waiting: deque[Future[Standardised]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="standardise") as pool:
        try:
            for batch in chain((first, second), source):
                waiting.append(pool.submit(step, batch))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def _own(standard: Standard, mapping: Mapping[str, str]) -> Mapping[str, str]:
    """The fields with a column of their own: field → column."""
    sources = derived(standard)
    return {name: column for name, column in mapping.items() if mapping.get(sources.get(name, "")) != column}


def _standardised(
    batch: pa.RecordBatch,
    standard: Standard,
    mapping: Mapping[str, str],
    codes: Mapping[str, Mapping[str, str]],
    readings: Mapping[str, Reading],
) -> Standardised:
    columns = {name: read(batch.column(mapping[name]).cast(pa.string()), reading) for name, reading in readings.items()}
    for name, origin in derived(standard).items():
        if origin in columns and name == REG_NO_FIELD:
            columns[origin], columns[name] = _moved(columns[origin], columns.get(name))
        elif origin in columns and name not in columns:
            columns[name] = _currency(columns[origin], codes.get(standard.field(name).codes or "", {}))
    fields = {one.name: columns[one.name] for one in standard.fields if one.name in columns}
    table = pa.Table.from_batches([_assembled(batch, fields)])
    return Standardised(table, {name: column.unparsed for name, column in fields.items() if column.unparsed})


def _sentinels(standard: Standard, one: Field) -> tuple[str, ...]:
    words = (*SENTINELS, *standard.sentinels, *one.sentinels)
    return long_term(words) if one.type in ("date", "datetime") else words


def _moved(uscc: Column, reg_no: Column | None) -> tuple[Column, Column]:
    """Registration numbers out of the USCC column: not a USCC there, kept here unless there is another already."""
    lengths = texts(uscc.values).lengths
    likely = np.flatnonzero((lengths == _REG_NO_LENGTHS[0]) | (lengths == _REG_NO_LENGTHS[1]))
    numbers = pc.match_substring_regex(picked(uscc.values, likely), "^[0-9]*$")
    rows = likely[numbers.fill_null(False).to_numpy(zero_copy_only=False)]  # noqa: FBT003 - the value to fill with
    if not len(rows):
        return uscc, reg_no if reg_no is not None else _nothing(len(lengths), pa.string())
    moves = marked(len(lengths), rows)
    left = replace(uscc, values=nulled(uscc.values, rows), bad=pc.or_(uscc.bad, moves))
    moved = pc.if_else(moves, uscc.values, pa.scalar(None, pa.string()))
    if reg_no is None:
        return left, replace(_nothing(len(lengths), pa.string()), values=moved)
    return left, replace(reg_no, values=pc.coalesce(reg_no.values, moved))


def _nothing(rows: int, type_: pa.DataType) -> Column:
    no = marked(rows, np.zeros(0, np.int64))
    return Column(pa.nulls(rows, type_), no, no, {})


def _currency(amount: Column, codes: Mapping[str, str]) -> Column:
    """The currency that the amount's own text names, as the field's code list writes it."""
    nothing = _nothing(len(amount.values), pa.string())
    if amount.currencies is None or amount.currencies.null_count == len(amount.currencies):
        return nothing
    encoded = amount.currencies.dictionary_encode()
    names = pa.array([codes.get(one, one) for one in encoded.dictionary.to_pylist()], pa.string())
    return replace(nothing, values=names.take(encoded.indices))


def _assembled(batch: pa.RecordBatch, fields: Mapping[str, Column]) -> pa.RecordBatch:
    out = {name: batch.column(name) for name in _CARRIED if name in batch.schema.names}
    for name, column in fields.items():
        out |= {name: column.values, name + BAD: column.bad, name + REPAIRED: column.repaired}
    for name in batch.schema.names:
        if name not in _CARRIED:
            out[RECEIVED + name] = batch.column(name).cast(pa.string())
    return pa.RecordBatch.from_arrays(list(out.values()), names=list(out))


def schema(standard: Standard, mapping: Mapping[str, str], columns: Sequence[str]) -> pa.Schema:
    """The schema of `standardise`'s table for that mapping and those source columns, without any rows."""
    sources = derived(standard)
    delivered = [one for one in standard.fields if one.name in mapping or sources.get(one.name) in mapping]
    parts: list[tuple[str, pa.DataType]] = [(RAW_COLUMNS[0], pa.int64())]
    parts += [(name, pa.string()) for name in RAW_COLUMNS[1:]]
    if OP in columns:
        parts.append((OP, pa.string()))
    for one in delivered:
        parts += [(one.name, TYPES[one.type]), (one.name + BAD, pa.bool_()), (one.name + REPAIRED, pa.bool_())]
    return pa.schema([*parts, *((RECEIVED + name, pa.string()) for name in columns if name not in _CARRIED)])


def _folded(name: str) -> str:
    return fold(name).casefold()


def _names(one: Field) -> Iterator[str]:
    yield from map(_folded, (one.name, one.zh, *one.aliases))


def _missing(one: Field, column: str | None, columns: Sequence[str]) -> MissingColumn:
    known = set(_names(one))
    received = [name for name in columns if name not in RAW_COLUMNS]
    near = next((name for name in received if _folded(name) in known), None)
    near = near or nearest(column or one.name, received) or nearest(one.zh, received)
    listed = "、".join(received)
    what_zh = f"来源没有列“{column}”" if column else "来源没有提供主键列"
    what_en = f"the source has no column '{column}'" if column else "the source does not deliver the key"
    return MissingColumn(
        "STD-COLUMN-MISSING",
        zh=f"{what_zh}（字段 {one.name} {one.zh}）；收到的列：{listed}",
        en=f"{what_en} (field {one.name}, {one.en}); received: {', '.join(received)}",
        fix_zh=f"是否已改名为“{near}”？若是，请在资源文件写 map: {{{one.name}: {near}}}"
        if near
        else f"请来源部门恢复该列，或在资源文件写 map: {{{one.name}: 实际列名}}",
        fix_en=f"Renamed to '{near}'? Then write map: {{{one.name}: {near}}} in the resource file"
        if near
        else f"Ask the department to restore it, or write map: {{{one.name}: its column}} in the resource file",
    )


def _unknown(standard: Standard, name: str) -> UnknownField:
    fields = [one.name for one in standard.fields]
    near = nearest(name, fields)
    return UnknownField(
        "STD-FIELD-UNKNOWN",
        zh=f"标准 {standard.id} 没有字段“{name}”",
        en=f"the standard {standard.id} has no field '{name}'",
        fix_zh=f"是否应写“{near}”？" if near else f"可用的字段：{'、'.join(fields)}",
        fix_en=f"Did you mean '{near}'?" if near else f"Fields: {', '.join(fields)}",
    )
