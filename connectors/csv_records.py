"""Take CSV text apart exactly as Python's csv module does, and say of each odd record what is wrong with it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from connectors.errors import SourceError
from connectors.rows import CHUNK, Reject, check_names, damaged, record_batch, visible
from schemas.values import Batch

# One field may hold this many characters. An opened quote that is never closed makes one field of the rest of a file.
FIELD_LIMIT = 1 << 28
_CHUNK_CHARS = 1 << 26  # a chunk also ends here, so wide records cannot fill the memory
_WEIGHED = 1_000  # records between two looks at the weight of a chunk

Header = bool | tuple[str, ...]


@dataclass(slots=True)
class _Chunk:
    """Some records with the physical lines they stand on; `base` lines (header included) come before."""

    base: int
    records: list[list[str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


class CsvRecords:
    """The records of one CSV text, read once from its beginning.

    `names` are the columns once `open` was called. Lines that are wholly empty hold no record: csv.DictReader's rule.
    """

    def __init__(self, text: io.TextIOBase, *, delimiter: str, header: Header, where: str) -> None:
        csv.field_size_limit(max(csv.field_size_limit(), FIELD_LIMIT))
        self._source = text  # a text nobody refers to closes its file
        self._where, self._header, self._delimiter = where, header, delimiter
        # The mark at the start of a file says its encoding; it is not part of the first column's name.
        first = text.readline().removeprefix("\ufeff")
        # The lines pass twice, at C speed: once to the csv module, once to be kept until their records are handed over.
        parsed, self._lines = itertools.tee(itertools.chain([first] if first else [], text))
        self._reader = csv.reader(parsed, delimiter=delimiter)
        self._passed = 0  # lines taken from `_lines`
        self._next = _Chunk(0)
        self.names: tuple[str, ...] = ()

    def open(self) -> tuple[str, ...]:
        """Read the header, or the first record where there is none; the column names (empty for an empty file)."""
        first = self._next
        self._fill(first, 1)
        if not first.records:
            self.names = self._header if isinstance(self._header, tuple) else ()
        elif self._header is True:
            self.names = tuple(self._named(first))
            self._next = _Chunk(self._passed)
        else:
            self.names = self._header or tuple(f"column_{at + 1}" for at in range(len(first.records[0])))
        check_names(self.names, self._where)
        return self.names

    def _named(self, first: _Chunk) -> list[str]:
        text = "".join(first.lines)
        if damaged(text) or self._open_quote(first.lines):
            raise SourceError(
                "SRC-HEADER",
                zh=f"{self._where} 的表头无法解码或没有写完：{visible(text)[:200]}",
                en=f"the header of {self._where} cannot be decoded or is torn: {visible(text)[:200]}",
                fix_zh="请检查 encoding 与 delimiter 选项，或请来源部门重新投放",
                fix_en="Check the options encoding and delimiter, or ask the department to drop the file again.",
            )
        return [name or f"column_{at + 1}" for at, name in enumerate(first.records[0])]

    def batches(self, size: int = CHUNK) -> Iterator[Batch]:
        """The records as batches of about `size`; one batch without rows when there are none."""
        first, last = 1, False
        while not last:
            chunk = self._next
            self._fill(chunk, size)
            # Only the last record may be torn, and that it is the last shows by looking one record ahead.
            self._next = _Chunk(self._passed)
            self._fill(self._next, 1)
            last = not self._next.records
            if chunk.records or first == 1:
                yield self._batch(chunk, first, last=last)
            first += len(chunk.records)

    def _fill(self, chunk: _Chunk, size: int) -> None:
        """Add records to `chunk` until it has `size`, or is heavy, or the text ends."""
        chars = 0
        while len(chunk.records) < size and chars < _CHUNK_CHARS:
            try:
                block = list(itertools.islice(self._reader, min(_WEIGHED, size - len(chunk.records))))
            except csv.Error as error:
                raise self._unparsable(error) from error
            lines = list(itertools.islice(self._lines, self._reader.line_num - self._passed))
            self._passed += len(lines)
            chars += sum(map(len, lines))
            chunk.lines += lines
            if not block:
                return
            chunk.records += block if all(block) else filter(None, block)

    def _batch(self, chunk: _Chunk, first: int, *, last: bool) -> Batch:
        width, records = len(self.names), chunk.records
        spans = list(self._spans(chunk)) if last and records else []
        torn = len(records) - 1 if spans and self._torn(records[-1], chunk.lines[slice(*spans[-1])]) else None
        if torn is None and all(len(record) == width for record in records):
            try:
                return record_batch(self.names, list(zip(*records, strict=True)) or [()] * width, first, {})
            except UnicodeEncodeError:
                pass  # some record holds undecodable bytes: look at each
        spans = spans or list(self._spans(chunk))
        undecoded = _undecoded(chunk.lines)
        rejects: dict[int, Reject] = {}
        fixed: list[Sequence[str | None]] = list(records)
        for at, record in enumerate(records):
            bad = undecoded and damaged("".join(record))
            if bad or at == torn or len(record) != width:
                lines, number = chunk.lines[slice(*spans[at])], chunk.base + spans[at][0] + 1
                rejects[at] = self._reject(lines, number, len(record), torn=at == torn, bad=bad)
                fixed[at] = [visible(value) for value in record[:width]] + [None] * (width - len(record))
        return record_batch(self.names, list(zip(*fixed, strict=True)) or [()] * width, first, rejects)

    def _spans(self, chunk: _Chunk) -> Iterator[tuple[int, int]]:
        """First and behind the last of the chunk's lines, for each of its records."""
        reader, start = csv.reader(chunk.lines, delimiter=self._delimiter), 0
        for record in reader:
            if record:
                yield start, reader.line_num
            start = reader.line_num

    def _reject(self, lines: list[str], number: int, found: int, *, torn: bool, bad: bool) -> Reject:
        width = len(self.names)
        line = visible("".join(lines).removesuffix("\n").removesuffix("\r"))
        shape_zh, shape_en = f"应有 {width} 个字段，实有 {found} 个", f"expected {width} fields, found {found}"
        if torn:
            zh = f"第 {number} 行：文件在此中断，记录不完整（{shape_zh}）"
            return Reject("torn_row", f"{zh} | line {number}: the file ends inside this record ({shape_en})", line)
        if bad:
            hit = number + next(at for at, text in enumerate(lines) if damaged(text))
            shown = _bad_bytes("".join(lines))
            return Reject("bad_bytes", f"第 {hit} 行：无法解码的字节 {shown} | line {hit}: bytes {shown}", line)
        return Reject("row_shape", f"第 {number} 行：{shape_zh} | line {number}: {shape_en}", line)

    def _torn(self, record: list[str], lines: list[str]) -> bool:
        unended = not lines[-1].endswith(("\n", "\r"))
        return (unended and len(record) < len(self.names)) or self._open_quote(lines)

    def _open_quote(self, lines: list[str]) -> bool:
        # Inside an open quote the csv module takes a further line into the same record; otherwise it begins another.
        return len(list(csv.reader([*lines, "x"], delimiter=self._delimiter))) == 1

    def _unparsable(self, error: csv.Error) -> SourceError:
        line = self._reader.line_num
        return SourceError(
            "SRC-FILE-FIELD",
            zh=f"{self._where} 第 {line} 行附近的记录无法解析（可能有未闭合的引号）：{error}",
            en=f"{self._where}: the record about line {line} cannot be parsed (an open quote?): {error}",
            fix_zh="请检查 delimiter 选项，或请来源部门更正该行",
            fix_en="Check the option delimiter, or ask the department to correct that line.",
        )


def _undecoded(lines: list[str]) -> bool:
    try:
        "".join(lines).encode()
    except UnicodeEncodeError:
        return True
    return False


def _bad_bytes(text: str) -> str:
    marks: Sequence[str] = [visible(char) for char in text if damaged(char)]
    return " ".join(marks[:10]) + (" …" if len(marks) > 10 else "")  # noqa: PLR2004 - enough to find the place
