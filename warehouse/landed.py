"""Give standardised rows the form of their landed table: fields, lineage, hash, and what repaired values were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.values import ORDER, RECEIVED, REPAIRED, ROW, Manifest
from warehouse.clock import now
from warehouse.record_hash import record_hashes

HASH = "_hash"  # column of a landed table: the content of its fields
RAW = "_raw"  # the repaired fields as they were received, a JSON object; null where nothing was repaired
LANDED_AT = "_landed_at"
TOGETHER = 64 << 20  # bytes given their form at once
_TEXT = pa.string()
_MARK = pa.dictionary(pa.int32(), _TEXT)  # of a constant: written as it stands, and cheap to sort


@dataclass(frozen=True, slots=True)
class Form:
    """How the rows of one batch look in their landed table.

    `schema` has its columns in the types they are stored in, best with the table's field ids (`Tables.shape`);
    `columns` is field → source column for the fields delivered; `marks` what is the same in every row.
    """

    schema: pa.Schema
    columns: Mapping[str, str]
    marks: Mapping[str, object]

    @property
    def hashed(self) -> tuple[str, ...]:
        """What makes a record another one: its fields, and the source's own order of changes where it gives one."""
        return (*self.columns, ORDER) if ORDER in self.schema.names else tuple(self.columns)


def form(standardised: pa.Schema, columns: Mapping[str, str], manifest: Manifest) -> Form:
    """The form of a batch's rows; the rows count as landed from now. KeyError for a field the schema does not have."""
    department, _, name = manifest.resource.partition(".")
    lineage = {"_department": department, "_resource": name, "_run": manifest.run, "_batch": manifest.batch}
    kinds = [(field, standardised.field(field).type) for field in columns]
    kinds += [*((mark, _TEXT) for mark in lineage), (ROW, pa.int64()), (LANDED_AT, pa.timestamp("us", tz="UTC"))]
    kinds += [(HASH, pa.binary()), (RAW, _TEXT)]
    if ORDER in standardised.names:
        kinds.append((ORDER, _TEXT))
    return Form(pa.schema(kinds), columns, {**lineage, LANDED_AT: now()})


def written_schema(made: Form) -> pa.Schema:
    """The schema of `landed_rows`: that of the form, with constants as dictionaries."""
    return pa.schema(
        [one.with_type(_MARK) if one.name in made.marks and one.type == _TEXT else one for one in made.schema]
    )


def landed_rows(batch: pa.RecordBatch, made: Form) -> Iterator[pa.RecordBatch]:
    """The rows of a standardised batch in their form, as few at a time as it takes where they are wide."""
    schema = written_schema(made)
    step = max(1, batch.num_rows * TOGETHER // max(batch.nbytes, TOGETHER))
    for at in range(0, batch.num_rows, step):
        part = batch.slice(at, step)
        columns = {name: _as(part.column(name), made.schema.field(name).type) for name in made.hashed}
        columns |= {name: _repeated(value, schema.field(name).type, len(part)) for name, value in made.marks.items()}
        columns[ROW] = part.column(ROW)
        columns[HASH] = record_hashes({name: columns[name] for name in made.hashed})
        columns[RAW] = _repairs(part, made.columns)
        yield pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return column if column.type == kind else column.cast(kind)


def _repeated(value: object, kind: pa.DataType, rows: int) -> pa.Array:
    if kind != _MARK:
        return pa.repeat(pa.scalar(value, kind), rows)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value], _TEXT))


def _repairs(batch: pa.RecordBatch, columns: Mapping[str, str]) -> pa.Array:
    """A JSON object of the repaired fields as received, in the order of the columns; null where none was repaired."""
    places, parts = [], []
    for name, source in columns.items():
        if name + REPAIRED in batch.schema.names and RECEIVED + source in batch.schema.names:
            marks = batch.column(name + REPAIRED).fill_null(False)  # noqa: FBT003 - the value to fill with
            rows = np.flatnonzero(marks.to_numpy(zero_copy_only=False))
            if len(rows):
                places.append(rows)
                parts.append(_members(name, batch.column(RECEIVED + source).take(rows)))
    if not parts:
        return pa.nulls(batch.num_rows, _TEXT)
    rows = np.concatenate(places)
    order = np.argsort(rows, kind="stable")
    return _objects(rows[order], pa.concat_arrays(parts).take(order), batch.num_rows)


def _members(name: str, values: pa.Array) -> pa.Array:
    """Each value as a member of an object, a comma before it: ,"name":"value"."""
    strange = pc.match_substring_regex(values, r'[\x00-\x1f"\\]').fill_null(False)  # noqa: FBT003
    if pc.any(strange).as_py():
        escaped = [orjson.dumps(one).decode()[1:-1] for one in values.filter(strange).to_pylist()]
        values = pc.replace_with_mask(values, strange, pa.array(escaped, _TEXT))
    quoted = pc.coalesce(pc.binary_join_element_wise('"', values, '"', ""), "null")
    return pc.binary_join_element_wise("," + orjson.dumps(name).decode() + ":", quoted, "")


def _objects(rows: npt.NDArray[np.int64], members: pa.Array, count: int) -> pa.Array:
    """The members of each row, which stand together, as one object; null in rows without any."""
    first = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    bounds = np.frombuffer(members.buffers()[1], "<i4", len(members) + 1, 4 * members.offset)
    bounds = np.r_[bounds[first], bounds[-1]].astype(np.int32)
    text = np.array(np.frombuffer(members.buffers()[2], np.uint8))
    text[bounds[:-1]] = ord("{")  # in the place of the first comma
    begun = pa.Array.from_buffers(_TEXT, len(first), [None, pa.py_buffer(bounds), pa.py_buffer(text)])
    place = np.full(count, -1, np.int32)
    place[rows[first]] = np.arange(len(first), dtype=np.int32)
    return pc.binary_join_element_wise(begun, "}", "").take(pa.array(place, mask=place < 0))
