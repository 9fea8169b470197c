"""Take dropped CSV files apart: UTF-8, GB18030 or UTF-16, with the field boundaries of Python's csv module."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from connectors.csv_records import CsvRecords, Header
from connectors.options import Options, wrong
from connectors.rows import ESCAPE
from schemas.values import Batch, Check

OPTIONS = ("encoding", "delimiter", "header")
# Whatever a department calls it: Python's gbk, gb2312 and cp936 fail on 𠮷, 㛃 and €, which its gb18030 decodes.
ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8", "utf-8-sig"), "utf-8"),
    **dict.fromkeys(("gb18030", "gbk", "gb2312", "cp936"), "gb18030"),
    **dict.fromkeys(("utf-16", "utf16"), "utf-16"),
}


def open_format(options: Options) -> CsvText:
    """The format a resource file describes with OPTIONS."""
    encoding = options.text("encoding", "utf-8")
    if encoding.lower() not in ENCODINGS:
        raise wrong("source.encoding", f"不能是 {encoding}", f"cannot be {encoding}", tuple(ENCODINGS))
    delimiter = options.text("delimiter", ",")
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise wrong("source.delimiter", "须为一个字符", "must be one character")
    said = options.value("header")
    header: Header = said if isinstance(said, bool) else options.names("header") or True
    return CsvText(ENCODINGS[encoding.lower()], delimiter, header)


class CsvText:
    """CSV in one encoding."""

    patterns: tuple[str, ...] = ("*.csv", "*.csv.gz")

    def __init__(self, encoding: str, delimiter: str, header: Header) -> None:
        self._encoding, self._delimiter, self._header = encoding, delimiter, header

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one file."""
        raw = io.BufferedReader(cast("io.RawIOBase", file))
        encoding = self._encoding
        if encoding == "utf-16" and raw.peek(2)[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding = "utf-16-le"  # what Windows programs write; the utf-16 codec refuses a text without a mark
        text = io.TextIOWrapper(raw, encoding, errors=ESCAPE, newline="")
        records = CsvRecords(text, delimiter=self._delimiter, header=self._header, where=name)
        records.open()
        yield from records.batches(size)

    def checks(self, head: bytes) -> list[Check]:
        """Nothing beyond the columns."""
        del head
        return []
