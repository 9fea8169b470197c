"""Read JSON lines: one object on each line, its numbers digit by digit, nested values as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from json import JSONDecodeError
from typing import BinaryIO

import pyarrow as pa

from connectors.files.encoding import encoding_checks, encoding_option, text_of
from connectors.files.format import MAX_FIELD_BYTES
from connectors.files.names import Names
from connectors.files.text_lines import LineBlock, line_blocks, too_long
from connectors.options import Options
from connectors.rest_json import Number, Twice, parsed, written
from connectors.rows import Reject, arrow_batch, damaged, visible
from schemas.values import Batch, Check

OPTIONS = ("encoding", "max_field_bytes")
PATTERNS = ("*.jsonl", "*.jsonl.gz", "*.ndjson", "*.ndjson.gz")
Record = Mapping[str, str | None]
_NOTHING: Record = {}


def open_format(options: Options) -> JsonLines:
    """JSON lines in UTF-8 unless `encoding` says otherwise."""
    return JsonLines(encoding_option(options), options.whole("max_field_bytes", MAX_FIELD_BYTES, least=1))


class JsonLines:
    """One JSON object on each line; lines of white space hold no record. Names seen later become further columns."""

    patterns: tuple[str, ...] = PATTERNS

    def __init__(self, encoding: str, longest: int) -> None:
        self._encoding, self._longest = encoding, longest

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one file; an empty file gives one batch without columns."""
        names, first = Names(name), 1
        records: list[Record] = []
        rejects: dict[int, Reject] = {}
        for block in line_blocks(file, self._encoding, self._longest):
            for record, reject in self._records(block, names):
                if reject is not None:
                    rejects[len(records)] = reject
                records.append(record)
                if len(records) == size:
                    yield _batch(records, names, first, rejects)
                    first, records, rejects = first + size, [], {}
        if records or first == 1:
            yield _batch(records, names, first, rejects)

    def checks(self, head: bytes) -> list[Check]:
        """Which encoding is read and why, and whether the bytes look like it."""
        return encoding_checks(self._encoding, head)

    def _records(self, block: LineBlock, names: Names) -> Iterator[tuple[Record, Reject | None]]:
        last = len(block.lines) - 1
        for at, (number, raw) in enumerate(enumerate(block.lines, block.number)):
            text = text_of(raw, block.codec)
            if at in block.long:
                yield _NOTHING, too_long(block.long[at], self._longest, number, visible(text))
            elif text.strip():
                yield _record(text, number, names, torn=block.torn and at == last)


def _record(text: str, number: int, names: Names, *, torn: bool) -> tuple[Record, Reject | None]:
    record: Record = _NOTHING
    rule = "row_shape"
    try:
        value = parsed(text)
        if isinstance(value, dict):
            record = {name: _text(of) for name, of in value.items()}
            zh, en = ("同一字段名出现两次", "a field is named twice") if isinstance(value, Twice) else ("", "")
        else:
            zh, en = "不是 JSON 对象", "no JSON object"
    except (ValueError, RecursionError) as error:
        where = f"{error.msg}, column {error.colno}" if isinstance(error, JSONDecodeError) else str(error)
        zh, en = f"不是 JSON：{where}", f"no JSON: {where}"
        if torn:
            rule, zh, en = "torn_row", "文件在此中断，记录不完整", "the file ends inside this record"
    if not en and _damaged(text, record):
        rule, zh, en = "bad_bytes", "含无法解码的字节", "undecodable bytes"
    if not names.add(record):
        record, zh, en = _NOTHING, f"字段名超过 {names.most} 个", f"more than {names.most} field names"
    if not en:
        return record, None
    return record, Reject(rule, f"第 {number} 行：{zh} | line {number}: {en}", visible(text))


def _damaged(text: str, record: Record) -> bool:
    # Half a character may also be written in ASCII: \\ud840.
    return damaged(text) or ("\\u" in text and any(damaged(name) or damaged(of or "") for name, of in record.items()))


def _batch(records: list[Record], names: Names, first: int, rejects: Mapping[int, Reject]) -> Batch:
    columns = [[_text(record.get(name)) for record in records] for name in names.known]
    if rejects:
        odd = sorted(rejects)
        for column in columns:
            for at in odd:
                text = column[at]
                column[at] = None if text is None else visible(text)
    arrays = [pa.array(column, pa.string()) for column in columns]
    return arrow_batch([visible(name) for name in names.known], arrays, len(records), first, rejects)


def _text(value: object) -> str | None:
    if value is None or type(value) is str:
        return value
    return str(value) if type(value) is Number else written(value)
