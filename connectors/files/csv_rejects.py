"""Say of a CSV record that could not be taken what is wrong with it, and on which line of the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.files.csv_lines import Record
from connectors.rows import Reject, damaged, visible

SHOWN = 1_000  # characters kept of a record too large to be kept
_MARKS = 10  # undecodable bytes listed, enough to find the place


@dataclass(slots=True)
class Giant:
    """A record too long to be held: the file's line (0-based) it begins on, how it begins, its bytes so far."""

    line: int
    start: str
    size: int


@dataclass(frozen=True, slots=True)
class Rejects:
    """The rules of one file: fields of a record, bytes of a field, and what to add (zh, en) about bad bytes."""

    width: int
    longest: int
    likely: tuple[str, str] = ("", "")

    def values(self, record: Record) -> list[str | None]:
        """The fields as far as there are columns for them, those too large left out."""
        large = sum(map(len, record.lines)) * 4 > self.longest
        kept = [None if large and self._large(text) else visible(text) for text in record.fields[: self.width]]
        return kept + [None] * (self.width - len(kept))

    def reason(self, record: Record, base: int) -> Reject | None:
        """Why the record is rejected, None when it is not; `base` lines of the file come before its bytes."""
        number, found = base + record.line + 1, len(record.fields)
        zh, en = f"应有 {self.width} 个字段，实有 {found} 个", f"expected {self.width} fields, found {found}"
        if record.open or (record.unended and found < self.width):
            zh = f"第 {number} 行：文件在此中断，记录不完整（{zh}）"
            return Reject(
                "torn_row", f"{zh} | line {number}: the file ends inside this record ({en})", self._line(record.lines)
            )
        if damaged("".join(record.fields)):
            return self._bad_bytes(record.lines, number)
        if found != self.width:
            return Reject("row_shape", f"第 {number} 行：{zh} | line {number}: {en}", self._line(record.lines))
        if sum(map(len, record.lines)) * 4 > self.longest and any(map(self._large, record.fields)):
            size = max(len(text.encode()) for text in record.fields)
            return self._too_large(number, number, size, visible("".join(record.lines)[:SHOWN]))
        return None

    def giant(self, giant: Giant, record: Record, base: int) -> Reject:
        """The reject of a record whose beginning is gone; `record` is what was left of it."""
        end = base + record.line + len(record.lines)
        size = giant.size + sum(len(text.encode("utf-8", "surrogatepass")) for text in record.lines)
        if record.open:
            number = giant.line + 1
            zh = f"第 {number} 行：引号没有闭合，直到文件结束（{size} 字节）"
            en = f"line {number}: a quote is not closed before the file ends ({size} bytes)"
            return Reject("torn_row", f"{zh} | {en}", giant.start)
        return self._too_large(giant.line + 1, end, size, giant.start)

    def _too_large(self, number: int, end: int, size: int, start: str) -> Reject:
        to_zh, to_en = (f"至 {end} ", f" to {end}") if end > number else ("", "")
        zh = f"第 {number} {to_zh}行：{size} 字节，超过 max_field_bytes（{self.longest}）"
        en = f"line {number}{to_en}: {size} bytes are more than max_field_bytes ({self.longest})"
        return Reject("field_size", f"{zh} | {en}", f"{start} …")

    def _bad_bytes(self, lines: Sequence[str], number: int) -> Reject:
        hit = number + next(at for at, text in enumerate(lines) if damaged(text))
        marks = [visible(char) for text in lines for char in text if damaged(char)]
        said = " ".join(marks[:_MARKS]) + (" …" if len(marks) > _MARKS else "")
        zh, en = self.likely
        detail = f"第 {hit} 行：无法解码的字节 {said}{zh} | line {hit}: bytes {said}{en}"
        return Reject("bad_bytes", detail, self._line(lines))

    def _line(self, lines: Sequence[str]) -> str:
        return visible("".join(lines).removesuffix("\n").removesuffix("\r"))

    def _large(self, text: str) -> bool:
        return len(text) * 4 > self.longest and len(text.encode("utf-8", "surrogatepass")) > self.longest
