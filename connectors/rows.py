"""Put received values into what every source hands over: text columns beside row number, reject, detail and line."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from connectors.errors import SourceError, listed
from connectors.options import wrong
from schemas.values import DETAIL, LINE, RAW_COLUMNS, REJECT, ROW, Batch

CHUNK = 50_000  # records taken together into one Arrow batch
ESCAPED = 0xDC00  # an undecodable byte b is carried as the lone surrogate U+DC00 + b
ESCAPE = "shutong.escape"  # the codec error handler that does so
_LONE = re.compile("[\ud800-\udfff]")

Texts = Sequence[str | None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a record could not be taken apart (`rule`), what exactly (`detail`, zh | en), and the record as received."""

    rule: str
    detail: str
    line: str


def escape(error: UnicodeError) -> tuple[str, int]:
    """Codec error handler that carries each undecodable byte b as U+DC00 + b, ASCII bytes too (UTF-16 needs it)."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(ESCAPED + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(ESCAPE, escape)


def visible(text: str) -> str:
    r"""The text with each undecodable byte shown as \xNN and any other lone surrogate as \uNNNN."""
    return _LONE.sub(_shown, text)


def damaged(text: str) -> bool:
    """True when the text holds an undecodable byte or a lone surrogate, which no UTF-8 column can carry."""
    return _LONE.search(text) is not None


def _shown(match: re.Match[str]) -> str:
    byte = ord(match.group()) - ESCAPED
    return f"\\x{byte:02X}" if 0 <= byte <= 0xFF else f"\\u{ord(match.group()):04X}"  # noqa: PLR2004 - one byte


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse column names that occur twice, or that Shutong needs for itself (SRC-HEADER)."""
    found = _unfit(names)
    if found is None:
        return
    zh, en = found
    raise SourceError(
        "SRC-HEADER",
        zh=f"{where} {zh}",
        en=f"{where}: {en}",
        fix_zh="请来源部门更正列名",
        fix_en="Ask the department to correct the column names.",
    )


def check_own_names(option: str, names: Sequence[str]) -> None:
    """Refuse such names where the resource file itself gives them, by its `option` (SRC-OPTION)."""
    found = _unfit(names)
    if found is not None:
        zh, en = found
        raise wrong(option, f"的{zh}", f"is no list of columns: {en}")


def _unfit(names: Sequence[str]) -> tuple[str, str] | None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        return f"列名重复：{listed(twice)}", f"column names occur twice: {listed(twice)}"
    ours = [name for name in names if name in RAW_COLUMNS]
    return (f"列名为系统保留：{listed(ours)}", f"column names are reserved: {listed(ours)}") if ours else None


def record_batch(names: Sequence[str], columns: Sequence[Texts], first: int, rejects: Mapping[int, Reject]) -> Batch:
    """One batch of text columns whose records count from `first`; `rejects` is keyed by place in the batch (from 0)."""
    rows = len(columns[0]) if columns else 0
    defects: list[Texts] = [
        [getattr(rejects.get(at), part, None) for at in range(rows)] if rejects else pa.nulls(rows, pa.string())
        for part in ("rule", "detail", "line")
    ]
    arrays = [pa.array(column, pa.string()) for column in [*columns, *defects]]
    arrays.insert(len(columns), pa.array(range(first, first + rows), pa.int64()))
    fields = [pa.field(name, pa.string()) for name in names]
    fields += [pa.field(ROW, pa.int64(), nullable=False), *(pa.field(n, pa.string()) for n in (REJECT, DETAIL, LINE))]
    return Batch(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)))


def arrow_batch(
    names: Sequence[str], columns: Sequence[pa.Array], rows: int, first: int, rejects: Mapping[int, Reject]
) -> Batch:
    """Like `record_batch`, of `rows` records whose columns are Arrow text already; nothing is looked at by row."""
    defects = [pa.nulls(rows, pa.string()) for _ in (REJECT, DETAIL, LINE)]
    if rejects:
        parts = [(each.rule, each.detail, each.line) for each in rejects.values()]
        order: list[int | None] = [None] * rows
        for place, at in enumerate(rejects):
            order[at] = place
        places = pa.array(order, pa.int64())
        defects = [pa.array(part, pa.string()).take(places) for part in zip(*parts, strict=True)]
    # Arrow imports pandas to take a numpy array, and needs nothing to take its bytes.
    counted = pa.py_buffer(np.arange(first, first + rows, dtype=np.int64))
    number = pa.Array.from_buffers(pa.int64(), rows, [None, counted])
    fields = [pa.field(name, pa.string()) for name in names]
    fields += [pa.field(ROW, pa.int64(), nullable=False), *(pa.field(n, pa.string()) for n in (REJECT, DETAIL, LINE))]
    return Batch(pa.RecordBatch.from_arrays([*columns, number, *defects], schema=pa.schema(fields)))


def as_json(names: Sequence[str], values: Texts) -> str:
    """A record as one JSON object, for `_line` of sources whose records have no text of their own."""
    return visible(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False))


def clean(
    names: Sequence[str], columns: list[list[str | None]], rejects: dict[int, Reject], where: str
) -> list[list[str | None]]:
    """The columns with undecodable bytes made visible, each such record marked bad_bytes in `rejects`."""
    for place, column in enumerate(columns):
        for at, value in enumerate(column):
            if value is not None and damaged(value):
                column[at] = visible(value)
                line = as_json(names, [each[at] for each in columns])
                detail = f"{where} 列 {names[place]} 含无法解码的字节 | column {names[place]} holds undecodable bytes"
                rejects.setdefault(at, Reject("bad_bytes", f"{detail}: {column[at]}", line))
    return columns


def chunks(records: Iterable[T], size: int) -> Iterator[list[T]]:
    """The records in lists of `size`, the last one shorter."""
    left = iter(records)
    while chunk := list(itertools.islice(left, size)):
        yield chunk


def first_rows(batches: Iterator[Batch], rows: int) -> pa.Table:
    """The first `rows` records as a table; a table of the four RAW_COLUMNS alone when there is nothing to read."""
    taken: list[pa.RecordBatch] = []
    left = rows
    for batch in batches:
        taken.append(batch.rows.slice(0, left))
        left -= taken[-1].num_rows
        if left <= 0:
            break
    if not taken:
        taken = [record_batch([], [], 1, {}).rows]
    return pa.Table.from_batches(taken)
