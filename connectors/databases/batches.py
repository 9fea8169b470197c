"""Make what a reader fetched a batch: text columns, numbered rows, and a reject for each value that is not right."""

from __future__ import annotations

import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.rows import ESCAPE, Reject, as_json, damaged, visible
from schemas.values import DETAIL, LINE, REJECT, ROW, Batch

_DEFECTS = (REJECT, DETAIL, LINE)
_SHOWN = 200  # characters of a long value that a reject repeats
_HEX = np.array([[ord(c) for c in f"{byte:02x}"] for byte in range(256)], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Batches:
    """How the batches of one table are made.

    `floats` are identifier columns the database stores as floating-point numbers: every value in them is a reject.
    `marker` is what the SELECT puts in the place of a value longer than `limit` bytes, followed by its length, in the
    columns `guarded`; it is new each time, so that no value can look like it.
    """

    table: str
    encoding: str
    limit: int
    floats: Sequence[str] = ()
    marker: str = field(default_factory=lambda: f"\x01{uuid.uuid4().hex}:")
    guarded: Container[str] = ()

    def batch(self, fetched: pa.RecordBatch, first: int) -> Batch:
        """`fetched` as text with `_row` counting from `first`."""
        names = [name for name in fetched.schema.names if name not in _DEFECTS]
        rejects: dict[int, Reject] = {}
        columns = [self._text(name, fetched.column(name), rejects) for name in names]
        for name in self.floats:
            if name in names:
                self._lost_codes(name, columns[names.index(name)], rejects)
        rows = fetched.num_rows
        defects = self._defects(fetched, rejects)
        if defects[0].null_count < rows:
            defects = _lined(names, columns, defects)
        numbers = pa.array(np.arange(first, first + rows, dtype=np.int64))
        fields = [pa.field(name, pa.string()) for name in names]
        fields += [pa.field(ROW, pa.int64(), nullable=False), *(pa.field(name, pa.string()) for name in _DEFECTS)]
        return Batch(pa.RecordBatch.from_arrays([*columns, numbers, *defects], schema=pa.schema(fields)))

    def _text(self, name: str, column: pa.Array, rejects: dict[int, Reject]) -> pa.Array:
        if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
            if name in self.guarded:
                column = self._too_long(name, column, pc.starts_with(column, self.marker.encode()), rejects)
            column = self._sized(name, column, rejects)
            return self._decoded(name, column.cast(pa.binary()), rejects)
        if column.type != pa.string():
            column = column.cast(pa.string())
        if name in self.guarded:
            column = self._too_long(name, column, pc.starts_with(column, self.marker), rejects)
        return self._sized(name, column, rejects)

    def _too_long(self, name: str, column: pa.Array, marked: pa.Array, rejects: dict[int, Reject]) -> pa.Array:
        """Take the database's word for values it did not send."""
        if not pc.any(marked).as_py():
            return column
        places = np.flatnonzero(marked.fill_null(False).to_numpy(zero_copy_only=False))  # noqa: FBT003
        for at in places:
            said = column[int(at)].as_py()
            size = int((said.decode() if isinstance(said, bytes) else said)[len(self.marker) :])
            rejects.setdefault(int(at), self._long(name, size))
        return _without(column, places)

    def _sized(self, name: str, column: pa.Array, rejects: dict[int, Reject]) -> pa.Array:
        if column.nbytes <= self.limit:
            return column
        sizes = pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        places = np.flatnonzero(sizes > self.limit)
        for at in places:
            rejects.setdefault(int(at), self._long(name, int(sizes[at])))
        return _without(column, places)

    def _long(self, name: str, size: int) -> Reject:
        zh = f"{self.table} 列 {name} 的值有 {size} 字节，超过上限 {self.limit}，未读取"
        en = f"{self.table} column {name}: the value has {size} bytes, more than the limit {self.limit}; not read"
        return Reject("field_size", f"{zh} | {en}", "")

    def _decoded(self, name: str, column: pa.Array, rejects: dict[int, Reject]) -> pa.Array:
        if self.encoding == "hex":
            return hexadecimal(column)
        if self.encoding == "utf-8":
            try:
                return column.cast(pa.string())
            except pa.ArrowInvalid:
                pass
        return repaired(self.table, name, column, self.encoding, rejects)

    def _lost_codes(self, name: str, column: pa.Array, rejects: dict[int, Reject]) -> None:
        for at in np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)):
            rejects.setdefault(int(at), float_id(self.table, name, column[int(at)].as_py()))

    def _defects(self, fetched: pa.RecordBatch, rejects: dict[int, Reject]) -> list[pa.Array]:
        rows = fetched.num_rows
        known = [
            fetched.column(name).cast(pa.string()) if name in fetched.schema.names else pa.nulls(rows, pa.string())
            for name in _DEFECTS
        ]
        if not rejects:
            return known
        lists = [column.to_pylist() for column in known]
        for at, reject in rejects.items():
            if lists[0][at] is None:
                lists[0][at], lists[1][at] = reject.rule, reject.detail
        return [pa.array(column, pa.string()) for column in lists]


def float_id(table: str, name: str, value: object) -> Reject:
    """A code that the source keeps as a floating-point number, so that digits are lost."""
    zh = f"{table} 列 {name}：编码以数值 {value} 存放，已失真"
    en = f"{table} column {name}: the code is stored as the number {value}, digits are lost"
    return Reject("float_id", f"{zh} | {en}", "")


def repaired(table: str, name: str, column: pa.Array, encoding: str, rejects: dict[int, Reject]) -> pa.Array:
    """Bytes as text in `encoding`; what cannot be decoded is made visible and its row marked bad_bytes."""
    distinct = column.dictionary_encode()
    texts = [value.decode(encoding, ESCAPE) for value in distinct.dictionary.to_pylist()]
    bad = np.array([damaged(text) for text in texts], dtype=bool)
    shown = pa.array([visible(text) for text in texts], pa.string())
    if bad.any():
        places = distinct.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for at in np.flatnonzero((places >= 0) & bad[places]):
            zh, en = f"{table} 列 {name} 含无法解码的字节".strip(), f"column {name} holds undecodable bytes"
            value = shown[int(places[at])].as_py()[:_SHOWN]
            rejects.setdefault(int(at), Reject("bad_bytes", f"{zh} | {en}: {value}", ""))
    return shown.take(distinct.indices)


def hexadecimal(column: pa.Array) -> pa.Array:
    """Bytes as lower-case hexadecimal digits, the whole column at once."""
    column = pa.concat_arrays([column])  # a slice starts anew at offset 0
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, dtype=np.int32)[column.offset : column.offset + len(column) + 1]
    content = np.frombuffer(data, dtype=np.uint8)[places[0] : places[-1]] if data is not None and len(places) else None
    digits = _HEX[content].tobytes() if content is not None else b""
    moved = ((places - places[0]).astype(np.int64) * 2).astype(np.int32)
    valid = pa.array(column.is_valid().to_numpy(zero_copy_only=False)).buffers()[1] if column.null_count else None
    return pa.StringArray.from_buffers(len(column), pa.py_buffer(moved.tobytes()), pa.py_buffer(digits), valid)


def _without(column: pa.Array, places: np.ndarray) -> pa.Array:
    if not len(places):
        return column
    keep = np.ones(len(column), dtype=bool)
    keep[places] = False
    return pc.if_else(pa.array(keep), column, pa.scalar(None, column.type))


def _lined(names: Sequence[str], columns: Sequence[pa.Array], defects: list[pa.Array]) -> list[pa.Array]:
    """The rejected records as JSON in LINE, long values shortened."""
    lines = defects[2].to_pylist()
    for at in np.flatnonzero(defects[0].is_valid().to_numpy(zero_copy_only=False)):
        if lines[at] is None:
            lines[at] = as_json(names, [_short(column[int(at)].as_py()) for column in columns])
    return [*defects[:2], pa.array(lines, pa.string())]


def _short(value: str | None) -> str | None:
    return value if value is None or len(value) <= 10 * _SHOWN else f"{value[:_SHOWN]}… ({len(value)})"
