"""Read dropped files of any format from any place as one source, each content once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from importlib import import_module
from typing import BinaryIO, Protocol, cast, runtime_checkable

import pyarrow as pa

from connectors.errors import SourceError
from connectors.files import archive, selection
from connectors.files.format import HEAD, Format, expect
from connectors.files.place import Found
from connectors.files.selection import Selection, failed, select
from connectors.files.taken import HashedFile, TakenFiles
from connectors.files.taken_memory import Facts
from connectors.files.taken_seal import read_seal
from connectors.options import Options, Secrets
from connectors.rows import CHUNK, first_rows
from schemas.values import RAW_COLUMNS, ROW, Batch, Check, Json, Position, Split, StreamInfo

OPTIONS = (*selection.OPTIONS, "member", "columns")
# The module of each kind: OPTIONS and `open_format(options) -> Format`.
FORMATS = {
    "csv": "connectors.files.csv_format",
    "txt": "connectors.files.delimited_text",
    "xlsx": "connectors.files.workbooks",
    "fixed": "connectors.files.fixed_width",
    "jsonl": "connectors.files.jsonl",
    "xml": "connectors.files.xml_format",
    "parquet": "connectors.files.parquet_format",
}
SAMPLE = 1 << 22  # unpacked bytes of a file read to estimate how many records it holds
SAMPLED = 20  # files looked at to estimate how many records all of them hold

Opener = Callable[[Mapping[str, Json], Mapping[str, Json], Secrets], "FileSource"]


@runtime_checkable
class Described(Protocol):
    """A format that knows more of a file than the names of its columns."""

    def streams(self, file: BinaryIO, name: str) -> list[StreamInfo]:
        """What can be read in the file: sheets, or its columns with their types."""
        ...


def open_files(kind: str) -> Opener:
    """The opener of file sources of one kind; OPTIONS and those of the format are allowed."""

    def opener(options: Mapping[str, Json], connection: Mapping[str, Json], secrets: Secrets) -> FileSource:
        module = import_module(FORMATS[kind])
        own: tuple[str, ...] = module.OPTIONS
        said = Options(options, (*OPTIONS, *own))
        form: Format = module.open_format(said)
        member = said.maybe("member")
        return FileSource(
            select(said, connection, tuple(form.patterns), secrets),
            form,
            columns=said.names("columns"),
            members=(member,) if member else tuple(form.patterns),
        )

    return opener


open_csv, open_txt, open_xlsx = open_files("csv"), open_files("txt"), open_files("xlsx")
open_fixed, open_jsonl = open_files("fixed"), open_files("jsonl")
open_xml, open_parquet = open_files("xml"), open_files("parquet")


class FileSource:
    """The files of one selection in one format; zip members count as files of their own."""

    def __init__(
        self, where: Selection, form: Format, *, columns: tuple[str, ...] = (), members: tuple[str, ...] = ()
    ) -> None:
        self._where, self._format = where, form
        self._taken = TakenFiles(where)
        self._columns, self._members = columns, members or tuple(form.patterns)

    def check(self) -> list[Check]:
        """Whether the place answers, files are there and whole, and the newest has the expected columns."""
        lines = self._where.checks()
        if not all(line.ok for line in lines if line.name != "manifest"):
            return lines
        try:
            lines += self._format.checks(self._head())
            names = self.preview(1).column_names[: -len(RAW_COLUMNS)]
        except SourceError as error:
            return [*lines, failed("columns", error)]
        return [*lines, Check("columns", ok=True, zh=f"列：{'、'.join(names)}", en=f"columns: {', '.join(names)}")]

    def discover(self) -> list[StreamInfo]:
        """What the newest file holds: its sheets, or the place as one stream with that file's columns."""
        found = self._newest()
        if found is None or not isinstance(self._format, Described):
            return [replace(self.stream(), rows=self.estimate())]
        with (
            closing(self._taken.file(found.name)) as file,
            self._parts(file, found) as (part, *_),
            closing(part.open()) as one,
        ):
            return self._format.streams(archive.plain(one, part.name), one.where)

    def stream(self) -> StreamInfo:
        """The place, with the columns of the newest file that may be taken; no columns while there is none."""
        names = self.preview(1).column_names[: -len(RAW_COLUMNS)] if self._where.look().ready else []
        return StreamInfo(self._where.shown, dict.fromkeys(names, "text"))

    def preview(self, rows: int = 20) -> pa.Table:
        """The first records of the newest file, whole or not."""
        found = self._newest()
        if found is None:
            return first_rows(iter(()), rows)
        with closing(self._taken.file(found.name)) as file:
            return first_rows(self._batches(file, found, rows), rows)

    def estimate(self) -> int | None:
        """Records over all files ready to be taken: what control files say, else counted or by size from samples."""
        ready = self._where.look().ready
        step = max(len(ready) // SAMPLED, 1)
        sample = ready[::step]
        rows, size = sum(self._rows(found) for found in sample), sum(found.size for found in sample)
        return rows if step == 1 else rows * sum(found.size for found in ready) // max(size, 1)

    def plan(self, position: Position | None) -> list[Split]:
        """One split for each file whose content was not taken before."""
        return self._taken.plan(position)

    def read(self, split: Split) -> Iterator[Batch]:
        """The records of one file; the position comes with the last batch, when the file is known to be whole."""
        taking = self._taken.take(split)
        with closing(taking.file) as file:
            yield from self._taken.finished(self._batches(file, taking.found, take=True), taking, split)

    def close(self) -> None:
        """Give back the connection to the place."""
        self._where.place.close()

    def _newest(self) -> Found | None:
        look = self._where.look()
        return max(look.ready or look.present, key=lambda found: (found.mtime_ns, found.name), default=None)

    def _head(self) -> bytes:
        """The first bytes of the newest file, unpacked."""
        found = self._newest()
        if found is None:
            return b""
        with (
            closing(self._taken.file(found.name)) as file,
            self._parts(file, found) as (part, *_),
            closing(part.open()) as one,
        ):
            return archive.plain(one, part.name).read(HEAD)

    def _parts(self, file: HashedFile, found: Found) -> AbstractContextManager[list[archive.Part]]:
        return archive.parts(file, found.name, found.size, self._members)

    def _batches(self, file: HashedFile, found: Found, size: int = CHUNK, *, take: bool = False) -> Iterator[Batch]:
        """The records of a file, of its members one after another if it is a zip.

        With `take`, members taken before are left out and each one read is remembered as it ends.
        """
        first, memory = 1, self._taken.memory
        with self._parts(file, found) as parts:
            fresh = [one for one in parts if not (take and one.key and memory.unchanged(one.key, one.size, one.mark))]
            self._taken.left_out = len(fresh) < len(parts)
            for part in fresh:
                with closing(part.open()) as one:
                    for batch, last in _marking_last(self._records(one, part.name, size)):
                        counted = _counted(batch, first)
                        first += batch.rows.num_rows
                        if last:
                            one.drain()
                        if last and take and part.key:
                            memory.remember(part.key, Facts(one.digests()["sha256"], part.size, part.mark))
                            counted = replace(counted, position=memory.position())
                        yield counted
            if not fresh:
                with closing(parts[0].open()) as one:
                    yield Batch(next(self._records(one, parts[0].name, 1)).rows.slice(0, 0))

    def _records(self, file: HashedFile, name: str, size: int) -> Iterator[Batch]:
        for at, batch in enumerate(self._format.batches(archive.plain(file, name), file.where, size)):
            if at == 0:
                expect(self._columns, batch.rows.schema.names[: -len(RAW_COLUMNS)], file.where)
            yield batch

    def _rows(self, found: Found) -> int:
        """About how many records a file holds."""
        said = read_seal(self._where.place, found.name, self._where.seal).get("rows", "")
        if said.isdecimal():
            return int(said)
        with (
            closing(self._taken.file(found.name)) as file,
            self._parts(file, found) as parts,
            closing(parts[0].open()) as one,
        ):
            sample = _Beginning(archive.plain(one, parts[0].name), SAMPLE)
            rows = self._counted_rows(sample, one.where)
            whole = sum(part.size for part in parts)
            small = len(parts) > 1 and whole <= SAMPLE
            if not small and (rows or not sample.cut):
                return rows if one.passed >= whole else rows * whole // max(one.passed, 1)
        # A small zip of many members, or a format that can only be read whole, such as a workbook.
        with closing(self._taken.file(found.name)) as file:
            return sum(batch.rows.num_rows for batch in self._batches(file, found))

    def _counted_rows(self, sample: _Beginning, where: str) -> int:
        rows = 0
        try:
            for batch in self._format.batches(cast("BinaryIO", io.BufferedReader(sample)), where, CHUNK):
                rows += batch.rows.num_rows
        except SourceError:
            if not sample.cut:
                raise
        return rows


class _Beginning(io.RawIOBase):
    """The first `most` bytes of a file; `cut` is true once more of them were wanted."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._left, self.cut = file, most, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer protocol
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        if not self._left and not self.cut:
            self.cut = bool(self._file.read(1))
        buffer[: len(data)] = data
        return len(data)


def _marking_last(batches: Iterator[Batch]) -> Iterator[tuple[Batch, bool]]:
    """Each batch, and whether it is the last one."""
    held: Batch | None = None
    for batch in batches:
        if held is not None:
            yield held, False
        held = batch
    if held is not None:
        yield held, True


def _counted(batch: Batch, first: int) -> Batch:
    """The batch with its records counted on from `first` instead of from wherever its own file has them."""
    if not batch.rows.num_rows or first == 1:
        return batch
    rows, at = batch.rows, batch.rows.schema.get_field_index(ROW)
    numbers = pa.array(range(first, first + rows.num_rows), pa.int64())
    return replace(batch, rows=rows.set_column(at, rows.schema.field(at), numbers))
