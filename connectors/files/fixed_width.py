"""Read fixed-width text: columns at places counted in bytes of the file's encoding, or in characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from connectors.files.csv_columns import decoded
from connectors.files.encoding import ESCAPED, encoding_checks, encoding_option, text_of
from connectors.files.format import MAX_FIELD_BYTES
from connectors.files.text_lines import LineBlock, line_blocks, too_long
from connectors.options import Options, wrong
from connectors.rows import Reject, arrow_batch, check_own_names, damaged, visible
from schemas.values import Batch, Check, Json

OPTIONS = ("encoding", "widths", "unit", "strip", "short", "skip_lines", "max_field_bytes")
PATTERNS = ("*.txt", "*.txt.gz", "*.dat", "*.dat.gz")
_UNITS, _STRIPS, _SHORT = ("bytes", "characters"), ("both", "right", "none"), ("reject", "pad")


@dataclass(frozen=True, slots=True)
class Column:
    """Where the values of a column stand in a line: from `start` (0-based) to before `end`."""

    name: str
    start: int
    end: int


def open_format(options: Options) -> FixedWidth:
    """Fixed width: `widths` as {name: width} in order, or as a list of {name, start (from 1), length}."""
    return FixedWidth(options)


class FixedWidth:
    """Lines whose fields have fixed places. Spaces around a value are padding unless `strip` says otherwise."""

    patterns: tuple[str, ...] = PATTERNS

    def __init__(self, options: Options) -> None:
        self._encoding = encoding_option(options)
        self._columns = _columns(options.value("widths"))
        check_own_names("source.widths", [column.name for column in self._columns])
        self._width = max(column.end for column in self._columns)
        self._by_bytes = options.choice("unit", _UNITS[0], _UNITS) == "bytes"
        if self._by_bytes and self._encoding.startswith("utf-16"):
            raise wrong("source.unit", "在 UTF-16 下不能是 bytes", "cannot be bytes with UTF-16", ("characters",))
        self._strip = options.choice("strip", _STRIPS[0], _STRIPS)
        self._pad = options.choice("short", _SHORT[0], _SHORT) == "pad"
        self._skip = options.whole("skip_lines", 0)
        self._longest = options.whole("max_field_bytes", MAX_FIELD_BYTES, least=1)

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:  # noqa: ARG002 - lines are named
        """The records of one file; empty lines hold none."""
        names = [column.name for column in self._columns]
        first = 1
        for block in line_blocks(file, self._encoding, self._longest):
            skipped = max(self._skip - block.number + 1, 0)
            kept = [at for at, line in enumerate(block.lines) if line and at >= skipped]
            for start in range(0, len(kept), size):
                some = kept[start : start + size]
                columns, rejects = self._taken(block, some)
                yield arrow_batch(names, columns, len(some), first, rejects)
                first += len(some)
        if first == 1:
            yield arrow_batch(names, [pa.nulls(0, pa.string())] * len(names), 0, 1, {})

    def checks(self, head: bytes) -> list[Check]:
        """Which encoding is read and why, and whether the bytes look like it."""
        return encoding_checks(self._encoding, head)

    def _taken(self, block: LineBlock, places: Sequence[int]) -> tuple[list[pa.Array], dict[int, Reject]]:
        """The columns of the lines at `places`, and the rejects among them."""
        raw = [block.lines[at] for at in places]
        bad: set[int] = set()
        if self._by_bytes and block.codec != ESCAPED:
            lines = pa.array(raw, pa.binary())
            lengths = pc.binary_length(lines)
        else:
            texts = [text_of(line, block.codec) for line in raw]
            bad = {at for at, text in enumerate(texts) if damaged(text)}
            lines = pa.array([visible(text) if at in bad else text for at, text in enumerate(texts)], pa.string())
            lengths = pc.utf8_length(lines)
        columns: list[pa.Array] = []
        for column in self._columns:
            values, undecodable = _sliced(lines, column, block.codec)
            bad |= undecodable
            columns.append(self._stripped(values))
        found: npt.NDArray[np.int64] = lengths.to_numpy(zero_copy_only=False)
        rejects = self._rejects(block, places, found, bad)
        return columns, rejects

    def _stripped(self, values: pa.Array) -> pa.Array:
        if self._strip == "none":
            return values
        return pc.utf8_trim(values, " ") if self._strip == "both" else pc.utf8_rtrim(values, " ")

    def _rejects(
        self, block: LineBlock, places: Sequence[int], found: npt.NDArray[np.int64], bad: set[int]
    ) -> dict[int, Reject]:
        odd = found > self._width if self._pad else found != self._width
        rejects: dict[int, Reject] = {}
        for at in sorted({*np.flatnonzero(odd).tolist(), *bad, *self._long(block, places)}):
            line, number = places[at], block.number + places[at]
            text = visible(text_of(block.lines[line], block.codec))
            if line in block.long:
                rejects[at] = too_long(block.long[line], self._longest, number, text)
                continue
            torn = block.torn and line == len(block.lines) - 1 and found[at] < self._width
            if torn or at not in bad:
                unit_zh, unit_en = ("字节", "bytes") if self._by_bytes else ("个字符", "characters")
                zh = f"应有 {self._width} {unit_zh}，实有 {found[at]} {unit_zh}"
                en = f"expected {self._width} {unit_en}, found {found[at]}"
                zh = f"文件在此中断，{zh}" if torn else zh
                en = f"the file ends inside this record: {en}" if torn else en
                rule = "torn_row" if torn else "row_shape"
            else:
                rule, zh, en = (
                    "bad_bytes",
                    "含无法解码的字节，或字段把一个字符切断",
                    "undecodable bytes, or half a character in a field",
                )
            rejects[at] = Reject(rule, f"第 {number} 行：{zh} | line {number}: {en}", text)
        return rejects

    def _long(self, block: LineBlock, places: Sequence[int]) -> list[int]:
        return [at for at, line in enumerate(places) if line in block.long] if block.long else []


def _sliced(lines: pa.Array, column: Column, codec: str) -> tuple[pa.Array, set[int]]:
    """The values of a column, undecodable bytes made visible, and where there are any."""
    if pa.types.is_string(lines.type):
        return pc.utf8_slice_codeunits(lines, column.start, column.end), set()
    values = pc.binary_slice(lines, column.start, column.end)
    try:
        return decoded(values) if codec == "gb18030" else values.cast(pa.string()), set()
    except (pa.ArrowInvalid, UnicodeError):
        texts = [text_of(value, codec) for value in values.to_pylist()]
        bad = {at for at, text in enumerate(texts) if damaged(text)}
        return pa.array([visible(text) for text in texts], pa.string()), bad


def _columns(said: Json) -> list[Column]:
    """What the option `widths` says."""
    if isinstance(said, dict) and said:
        columns: list[Column] = []
        start = 0
        for name, width in said.items():
            end = start + _whole(width, name)
            columns.append(Column(name, start, end))
            start = end
        return columns
    if isinstance(said, list) and said:
        return [_placed(one) for one in said]
    raise wrong("source.widths", "须为 {列名: 宽度}", "must be {column: width}")


def _placed(one: Json) -> Column:
    if not isinstance(one, dict) or not isinstance(one.get("name"), str) or set(one) != {"name", "start", "length"}:
        raise wrong("source.widths", "每项须有 name、start、length", "each need name, start and length")
    name = str(one["name"])
    start = _whole(one["start"], name) - 1
    return Column(name, start, start + _whole(one["length"], name))


def _whole(value: Json, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise wrong("source.widths", f"中 {name} 须为正整数", f"must have positive whole numbers: {name}")
    return value
