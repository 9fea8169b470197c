"""Read CSV: plain blocks at the speed of Arrow, every odd record exactly as Python's csv module has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from connectors.files.csv_reader import CsvReader, Header
from connectors.files.encoding import encoding_checks, encoding_option, pieces
from connectors.files.format import MAX_FIELD_BYTES
from connectors.options import Options, wrong
from connectors.rows import arrow_batch, check_own_names
from schemas.values import Batch, Check

OPTIONS = ("encoding", "delimiter", "header", "max_field_bytes")
PATTERNS = ("*.csv", "*.csv.gz")


def open_format(options: Options) -> CsvFormat:
    """CSV as OPTIONS describe it: UTF-8, commas and a header when nothing is written."""
    return CsvFormat(options, PATTERNS, ",")


class CsvFormat:
    """Delimited text whose field boundaries are those of Python's csv module."""

    def __init__(
        self, options: Options, patterns: tuple[str, ...], delimiter: str, written: str = "encoding: "
    ) -> None:
        self.patterns, self._written = patterns, written
        self._encoding = encoding_option(options)
        self._delimiter = options.text("delimiter", delimiter)
        if len(self._delimiter) != 1 or self._delimiter in '"\r\n':
            raise wrong("source.delimiter", "须为一个字符", "must be one character")
        said = options.value("header")
        self._header: Header = said if isinstance(said, bool) else options.names("header") or True
        if isinstance(self._header, tuple):
            check_own_names("source.header", self._header)
        self._longest = options.whole("max_field_bytes", MAX_FIELD_BYTES, least=1)

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one file; an empty file gives one batch without rows."""
        reader = CsvReader(self._encoding, self._delimiter, self._header, self._longest, name, self._written)
        rest = reader.open(pieces(file, self._encoding, self._longest))
        first = 1
        for columns, rejects in reader.blocks(rest):
            rows = len(columns[0])
            for start in range(0, rows, size):
                count = min(size, rows - start)
                some = {at - start: reject for at, reject in rejects.items() if start <= at < start + count}
                yield arrow_batch(reader.names, [each.slice(start, count) for each in columns], count, first, some)
                first += count
        if first == 1:
            yield arrow_batch(reader.names, [pa.nulls(0, pa.string())] * len(reader.names), 0, 1, {})

    def checks(self, head: bytes) -> list[Check]:
        """Which encoding is read and why, and whether the bytes look like it."""
        return encoding_checks(self._encoding, head)
