"""Read CSV files a department drops: UTF-8, GB18030 or UTF-16, plain or gzip, each content once."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pyarrow as pa

from connectors.csv_records import CsvRecords, Header
from connectors.errors import SourceError, changed
from connectors.options import Options, Secrets, wrong
from connectors.rows import CHUNK, ESCAPE, first_rows
from connectors.taken import FILE_OPTIONS, HashedFile, TakenFiles, missing, place, seal, unreadable
from schemas.values import Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = (*FILE_OPTIONS, "encoding", "delimiter", "header", "columns")
PATTERNS = ("*.csv", "*.csv.gz")
# Whatever a department calls it: Python's gbk, gb2312 and cp936 fail on 𠮷, 㛃 and €, which its gb18030 decodes.
ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8", "utf-8-sig"), "utf-8"),
    **dict.fromkeys(("gb18030", "gbk", "gb2312", "cp936"), "gb18030"),
    **dict.fromkeys(("utf-16", "utf16"), "utf-16"),
}
_BUFFER = 1 << 16
_GZIP = b"\x1f\x8b\x08"  # how gzip begins, whatever the file is called; no text begins so
_SAMPLE = 20_000  # records read to estimate how many a file holds


def open_csv(options: Mapping[str, Json], connection: Mapping[str, Json], _secrets: Secrets) -> CsvSource:
    """A source of kind `csv`; OPTIONS are allowed, `connection.folder` is where relative paths start."""
    return CsvSource(Options(options, OPTIONS), connection, options.get("header", True))


class CsvSource:
    """CSV files of one place, read by Python's csv module so that its field boundaries are ours."""

    def __init__(self, options: Options, connection: Mapping[str, Json], header: Json) -> None:
        self._files = TakenFiles(place(options, connection, PATTERNS))
        encoding = options.text("encoding", "utf-8")
        if encoding.lower() not in ENCODINGS:
            raise wrong("source.encoding", f"不能是 {encoding}", f"cannot be {encoding}", tuple(ENCODINGS))
        self._encoding = ENCODINGS[encoding.lower()]
        self._delimiter = options.text("delimiter", ",")
        if len(self._delimiter) != 1 or self._delimiter in '"\r\n':
            raise wrong("source.delimiter", "须为一个字符", "must be one character")
        self._header: Header = header if isinstance(header, bool) else options.names("header")
        self._columns = options.names("columns")

    def check(self) -> list[Check]:
        """Whether files are there and whole, and whether the header of the first has the expected columns."""
        lines = self._files.checks()
        if not all(line.ok for line in lines if line.name == "files"):
            return lines
        path = self._files.where.present()[0]
        try:
            names = self._names(path)
        except SourceError as error:
            lines.append(Check("columns", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}"))
        else:
            lines.append(Check("columns", ok=True, zh=f"列：{'、'.join(names)}", en=f"columns: {', '.join(names)}"))
        return lines

    def discover(self) -> list[StreamInfo]:
        """The place as one stream, with the columns of its first file."""
        return [replace(self.stream(), rows=self.estimate())]

    def stream(self) -> StreamInfo:
        """The place, with the columns of its first file."""
        present = self._files.where.present()
        names = self._names(present[0]) if present else ()
        return StreamInfo(self._files.where.shown, dict.fromkeys(names, "text"))

    def preview(self, rows: int = 20) -> pa.Table:
        """The first records of the first file, sealed or not."""
        present = self._files.where.present()
        if not present:
            return first_rows(iter(()), rows)
        with closing(_open(present[0])) as file:
            return first_rows(self._batches(present[0], file, size=rows), rows)

    def estimate(self) -> int | None:
        """Records over all files ready to be taken: what a `.ok` says, else by size from the first 20,000 records."""
        return sum(self._rows(path) for path in self._files.where.ready())

    def plan(self, position: Position | None) -> list[Split]:
        """One split for each file whose content was not taken before."""
        return self._files.plan(position)

    def read(self, split: Split) -> Iterator[Batch]:
        """The records of one file; the position comes with the last batch, when the file is known to be whole."""
        path = self._files.path(split)
        with closing(_open(path)) as file:
            yield from self._files.finished(self._batches(path, file), split, file)

    def close(self) -> None:
        """Nothing is held between two files."""

    def _batches(self, path: Path, file: HashedFile, size: int = CHUNK) -> Iterator[Batch]:
        try:
            records = self._records(path, file)
            yield from records.batches(size)
            file.drain()
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _torn_gzip(path, error) from error
        except OSError as error:
            raise unreadable(path, error) from error

    def _records(self, path: Path, file: HashedFile) -> CsvRecords:
        raw: io.BufferedReader = io.BufferedReader(file, _BUFFER)
        if path.suffix.lower() == ".gz" or raw.peek(len(_GZIP)).startswith(_GZIP):
            if not raw.peek(1):
                raise EOFError("the file has no bytes")  # gzip itself takes it for an empty text
            raw = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=raw, mode="rb")), _BUFFER)
        encoding = self._encoding
        if encoding == "utf-16" and raw.peek(2)[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            encoding = "utf-16-le"  # what Windows programs write; the utf-16 codec refuses a text without a mark
        text = io.TextIOWrapper(raw, encoding, errors=ESCAPE, newline="")
        records = CsvRecords(text, delimiter=self._delimiter, header=self._header, where=str(path))
        names = records.open()
        lost = [name for name in self._columns if name not in names]
        if lost and names:
            raise changed(("列", "column"), str(path), lost, names)
        return records

    def _names(self, path: Path) -> tuple[str, ...]:
        with closing(_open(path)) as file:
            batch = next(self._batches(path, file, size=1))
        return tuple(batch.rows.schema.names[:-4])

    def _rows(self, path: Path) -> int:
        said = seal(path).get("rows", "")
        if said.isdecimal():
            return int(said)
        size = path.stat().st_size
        with closing(_open(path)) as file:
            batches = self._batches(path, file, size=_SAMPLE)
            rows: int = next(batches).rows.num_rows
            # A file this small is wholly in the buffer: count it.
            if file.passed >= size:
                rows += sum(batch.rows.num_rows for batch in batches)
                return rows
        return rows * size // max(file.passed, 1)


def _open(path: Path) -> HashedFile:
    try:
        return HashedFile(path)
    except OSError as error:
        raise missing(path) if isinstance(error, FileNotFoundError) else unreadable(path, error) from error


def _torn_gzip(path: Path, error: Exception) -> SourceError:
    return SourceError(
        "SRC-FILE-GZIP",
        zh=f"{path} 的压缩数据不完整或已损坏：{error}",
        en=f"the gzip data of {path} is incomplete or damaged: {error}",
        fix_zh="本次不采集；请来源部门重新投放该文件",
        fix_en="Nothing was taken; ask the department to drop the file again.",
    )
