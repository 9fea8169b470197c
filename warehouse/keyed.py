"""A keyed twin of a data file: its rows as text by number, numbers by hashes of keys and identifiers; never the truth.

A data file never changes, so its twin is never stale: it fits, or it is not there. Rows are found by the upper half of
DuckDB's hash of a text, so whoever asks looks at the rows found, which may be too many and are never too few.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema

from schemas.points import reached
from warehouse import columns
from warehouse.site import name as name_of
from warehouse.sql import literal, quote

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
_Number = TypeVar("_Number", np.uint64, np.uint8)

FORMAT = 1
BUILDING = ".building"  # suffix of the folder a twin is built in
SOURCE, ROW, NUMBER = "_twinned", "_row", "_number"  # the relation a lens looks at, and what it has beside columns
OWN = ""  # the name of what every row is found by
_AT_ONCE = 65_536
_UPPER = 0xFFFF_FFFF_0000_0000
_LOWER = np.uint64(0xFFFF_FFFF)
_TEXTUAL = ("boolean", "int", "long", "float", "double", "date", "time", "timestamp", "timestamptz", "string", "binary")


class DamagedTwinError(Exception):
    """A twin is not what was written; it is of no use any more."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(str(twin.folder))
        self.twin = twin


@dataclass(frozen=True, slots=True)
class Lens:
    """How the rows of files are looked at: the columns kept, and SQL over SOURCE with texts that rows are found by.

    `shaped` gives ROW, NUMBER and what `found` is said with; a row whose text is null is not found by that name.
    """

    schema: Schema
    columns: tuple[str, ...]
    shaped: str
    found: Mapping[str, str]

    @property
    def usable(self) -> bool:
        """Whether every column kept survives being text."""
        kinds = {one.name: str(one.field_type) for one in self.schema.fields}
        return all(kinds[one] in _TEXTUAL or kinds[one].startswith("decimal") for one in self.columns)

    def digest(self) -> str:
        """What tells this lens from another: a twin made with another one is not looked at."""
        ids = [(one.field_id, one.name) for one in self.schema.fields if one.name in self.columns]
        said = [FORMAT, duckdb.__version__, ids, self.columns, self.shaped, sorted(self.found.items())]
        return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()

    def text(self) -> str:
        """SQL of a row as the JSON text of its values."""
        kinds = {one.name: str(one.field_type) for one in self.schema.fields}
        # An instant long ago has an offset with seconds, which its text leaves out: in UTC it has none.
        values = (
            f"(r.{quote(one)} AT TIME ZONE 'UTC')::VARCHAR"
            if kinds[one] == "timestamptz"
            else f"r.{quote(one)}::VARCHAR"
            for one in self.columns
        )
        return f"json_array({', '.join(values)})::VARCHAR"

    def values(self, values: str) -> str:
        """SQL of the columns from a list of the texts of a row."""
        kinds = {one.name: one.field_type for one in self.schema.fields}
        told = []
        for place, name in enumerate(self.columns, 1):
            kind = columns.duckdb_type(kinds[name])
            text = f"{values}[{place}]"
            value = f"{text}::TIMESTAMP AT TIME ZONE 'UTC'" if kind == "TIMESTAMPTZ" else f"{text}::{kind}"
            told.append(f"{value} AS {quote(name)}")
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Seal:
    """What a twin was when it was finished: its lens, rows, bytes of text; entries and their sum by name."""

    lens: str
    rows: int
    size: int
    found: Mapping[str, tuple[int, int]]


class Twin:
    """The twin of one data file, open for reading; `file` is how DuckDB calls the data file."""

    def __init__(self, folder: Path, file: str, seal: Seal) -> None:
        self.folder, self.file, self.seal = folder, file, seal
        self._found: dict[str, Hashes] = {}
        self._maps: dict[str, mmap.mmap] = {}

    @cached_property
    def _rows(self) -> tuple[Hashes, pa.Buffer]:
        ends = self._mapped("ends", np.uint64, 2 * (self.seal.rows + 1)).reshape(-1, 2)
        return ends, pa.py_buffer(self._mapped("text", np.uint8, self.seal.size))

    def _mapped(self, name: str, kind: type[_Number], count: int) -> npt.NDArray[_Number]:
        if not count:
            return np.empty(0, kind)
        try:
            with (self.folder / name).open("rb") as file:
                mapped = self._maps[name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DamagedTwinError(self) from error
        if len(mapped) != count * np.dtype(kind).itemsize:
            raise DamagedTwinError(self)
        return np.frombuffer(mapped, kind)

    def _let_go(self) -> None:
        """A look at a row brings its neighbours along: unless they go, a merge comes to hold every twin."""
        for mapped in self._maps.values():
            mapped.madvise(mmap.MADV_DONTNEED)

    def _refuse_cut(self) -> None:
        """A mapped file that somebody cut ends the process that reads beyond its end."""
        for name, mapped in self._maps.items():
            try:
                found = (self.folder / name).stat().st_size
            except OSError as error:
                raise DamagedTwinError(self) from error
            if found != len(mapped):
                raise DamagedTwinError(self)

    def find(self, name: str, hashes: Hashes) -> Numbers:
        """The numbers of rows whose text of that name may have one of the hashes, each once, in order."""
        if not len(hashes):
            return np.empty(0, np.int64)
        if name not in self._found:
            entries, told = self.seal.found[name]
            there = self._mapped(_file(self.seal, name), np.uint64, entries)
            if int(np.add.reduce(there, dtype=np.uint64)) != told:
                raise DamagedTwinError(self)
            self._found[name] = there
        self._refuse_cut()
        there, wanted = self._found[name], np.unique(hashes & np.uint64(_UPPER))
        low, high = np.searchsorted(there, wanted), np.searchsorted(there, wanted | _LOWER, "right")
        count = high - low
        places = np.repeat(low - np.cumsum(count) + count, count) + np.arange(count.sum())
        numbers = np.unique((there[places] & _LOWER).astype(np.int64))
        self._let_go()
        return numbers

    def rows(self, numbers: Numbers) -> pa.Table:
        """The rows of these numbers: ROW as text, NUMBER, and `_check`, which `hash(ROW, NUMBER)` must be."""
        ends, buffer = self._rows
        self._refuse_cut()
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < self.seal.rows):
            raise DamagedTwinError(self)
        begin, end = ends[numbers, 0], ends[numbers + 1, 0]
        if not bool(np.all(begin <= end)) or (len(end) and int(end.max()) > self.seal.size):
            raise DamagedTwinError(self)
        bounds = np.empty(2 * len(numbers), np.int64)
        bounds[0::2], bounds[1::2] = begin, end
        rows = pa.table({ROW: _spans(buffer, bounds), NUMBER: numbers, "_check": ends[numbers + 1, 1]})
        self._let_go()
        return rows

    def discard(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _spans(buffer: pa.Buffer, bounds: Numbers) -> pa.Array:
    """The texts from every other bound to the next, copied out of the buffer; nothing between them is looked at."""
    if not len(bounds):
        return pa.array([], pa.large_utf8())
    every = pa.LargeStringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), buffer)
    return every.take(pa.array(np.arange(0, len(bounds), 2)))


def place(folder: Path, file: str) -> Path:
    """Where in a library's folder the twin of a data file lies."""
    return folder / name_of(file).rpartition("/")[2].removesuffix(".parquet")


def opened(folder: Path, file: str, digest: str) -> Twin | None:
    """The twin of a data file; None when there is none that was made with that lens, or it was left half."""
    there = place(folder, file)
    try:
        told, _, text = (there / "seal").read_text().partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != told:
            return None
        said = json.loads(text)
        seal = Seal(said["lens"], said["rows"], said["size"], {name: tuple(one) for name, one in said["found"].items()})
        whole = (there / "text").stat().st_size == seal.size
    except (OSError, ValueError):
        return None
    return Twin(there, name_of(file), seal) if whole and seal.lens == digest else None


def build(connection: duckdb.DuckDBPyConnection, folder: Path, file: DataFile, lens: Lens) -> Twin | None:
    """Make the twin of a data file, which is there whole or not at all; None where its rows come in another order."""
    target = place(folder, file.file_path)
    work = target.with_name(target.name + BUILDING)
    for one in (work, target):
        shutil.rmtree(one, ignore_errors=True)
    work.mkdir(parents=True)
    ids = columns.by_field_id(lens.schema, list(lens.columns))
    listed = ", ".join(f"r.{quote(one)}" for one in lens.columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {SOURCE} AS SELECT {listed}, {lens.text()} AS {ROW}, r.file_row_number AS"
        f" {NUMBER} FROM read_parquet({literal(name_of(file.file_path))}, schema={ids}, file_row_number=true) AS r"
    )
    hashed = ", ".join(
        f"CASE WHEN {text} IS NOT NULL THEN (hash({text}) & {_UPPER}::UBIGINT) | {NUMBER}::UBIGINT END"
        for text in lens.found.values()
    )
    stream = connection.execute(
        f"SELECT {ROW}::VARCHAR, hash({ROW}, {NUMBER}), {NUMBER}, {hashed} FROM ({lens.shaped})"
    ).to_arrow_reader(_AT_ONCE)
    written = _write(stream, work, list(lens.found))
    connection.execute(f"DROP VIEW {SOURCE}")
    if written is None:
        shutil.rmtree(work)
        return None
    rows, size = written
    found = {name: _sorted(work, _numbered(place)) for place, name in enumerate(lens.found)}
    seal = Seal(lens.digest(), rows, size, found)
    text = json.dumps(asdict(seal), ensure_ascii=False)
    (work / "seal").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    reached("keyed.written")
    work.rename(target)
    return Twin(target, name_of(file.file_path), seal)


def _write(stream: pa.RecordBatchReader, work: Path, names: Sequence[str]) -> tuple[int, int] | None:
    """Write texts, their ends with checks, and unsorted entries; how many rows and bytes, None if not in order."""
    rows = size = 0
    with ExitStack() as stack:
        text, ends = (stack.enter_context((work / name).open("wb")) for name in ("text", "ends"))
        found = [stack.enter_context((work / _numbered(place)).open("wb")) for place in range(len(names))]
        np.zeros(2, np.uint64).tofile(ends)
        for batch in stream:
            if not np.array_equal(batch.column(2).to_numpy(), np.arange(rows, rows + len(batch))):
                return None
            column = batch.column(0).cast(pa.large_utf8())
            offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(batch) + 1]
            text.write(memoryview(column.buffers()[2])[offsets[0] : offsets[-1]])
            pairs = np.empty((len(batch), 2), np.uint64)
            pairs[:, 0], pairs[:, 1] = offsets[1:] - offsets[0] + size, batch.column(1).to_numpy()
            pairs.tofile(ends)
            for place, file in enumerate(found):
                batch.column(3 + place).drop_null().to_numpy().tofile(file)
            rows, size = rows + len(batch), size + int(offsets[-1] - offsets[0])
    return rows, size


def _sorted(work: Path, name: str) -> tuple[int, int]:
    """Sort the entries of a file; how many there are, and their sum."""
    entries = np.fromfile(work / name, np.uint64)
    entries.sort()
    entries.tofile(work / name)
    return len(entries), int(np.add.reduce(entries, dtype=np.uint64))


def _numbered(place: int) -> str:
    return f"found-{place}"


def _file(seal: Seal, name: str) -> str:
    return _numbered(list(seal.found).index(name))
