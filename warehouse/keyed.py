"""A keyed twin of a data file: its rows as texts by number, numbers by hashes of keys and identifiers; never the truth.

A data file never changes, so its twin is never stale: it fits, or it is not there. Rows are found by the upper half of
DuckDB's hash of a text, so whoever asks looks at the rows found, which may be too many and are never too few.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema

from schemas.points import reached
from warehouse import columns, keyed_record
from warehouse.site import name as name_of
from warehouse.sql import literal, quote

Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
_Number = TypeVar("_Number", np.uint64, np.uint8)
_Whole = TypeVar("_Whole", np.uint64, np.int64)

FORMAT = 2
BUILDING = ".building"  # suffix of the folder a twin is built in
SOURCE, NUMBER = "_twinned", "_number"  # the relation a lens looks at, and what it has beside columns and their texts
RECORD, CHECK = "_record", "_check"  # a row as bytes, and what SAME makes of it
SAME = f"hash({RECORD}, {NUMBER})"
OWN = ""  # the name of what every row is found by
_AT_ONCE = 65_536
_UPPER = 0xFFFF_FFFF_0000_0000
_LOWER = np.uint64(0xFFFF_FFFF)
_TEXTUAL = ("boolean", "int", "long", "float", "double", "date", "time", "timestamp", "timestamptz", "string", "binary")


class _TooLongError(Exception):
    """A text is too long for lengths of so many bytes."""


class DamagedTwinError(Exception):
    """A twin is not what was written; it is of no use any more."""

    def __init__(self, twin: Twin) -> None:
        super().__init__(str(twin.folder))
        self.twin = twin


@dataclass(frozen=True, slots=True)
class Lens:
    """How the rows of files are looked at: the columns kept, and SQL over SOURCE with texts that rows are found by.

    `shaped` gives `texts`, NUMBER and what `found` is said with; a row whose text is null is not found by that name.
    """

    schema: Schema
    columns: tuple[str, ...]
    shaped: str
    found: Mapping[str, str]

    @property
    def usable(self) -> bool:
        """Whether every column kept survives being text."""
        kinds = {one.name: str(one.field_type) for one in self.schema.fields}
        return bool(self.columns) and all(
            kinds[one] in _TEXTUAL or kinds[one].startswith("decimal") for one in self.columns
        )

    def digest(self) -> str:
        """What tells this lens from another: a twin made with another one is not looked at."""
        ids = [(one.field_id, one.name) for one in self.schema.fields if one.name in self.columns]
        said = [FORMAT, duckdb.__version__, ids, self.columns, self.shaped, sorted(self.found.items())]
        return hashlib.sha256(json.dumps(said, ensure_ascii=False).encode()).hexdigest()

    def texts(self) -> str:
        """SQL of the texts of a row's values, by the names `texts` gives them."""
        kinds = {one.name: str(one.field_type) for one in self.schema.fields}
        # An instant long ago has an offset with seconds, which its text leaves out: in UTC it has none.
        values = (
            f"(r.{quote(one)} AT TIME ZONE 'UTC')::VARCHAR"
            if kinds[one] == "timestamptz"
            else f"r.{quote(one)}::VARCHAR"
            for one in self.columns
        )
        return ", ".join(f"{value} AS {name}" for value, name in zip(values, texts(self.columns), strict=True))

    def values(self) -> str:
        """SQL of the columns from their texts."""
        kinds = {one.name: one.field_type for one in self.schema.fields}
        told = []
        for text, name in zip(texts(self.columns), self.columns, strict=True):
            kind = columns.duckdb_type(kinds[name])
            value = f"{text}::TIMESTAMP AT TIME ZONE 'UTC'" if kind == "TIMESTAMPTZ" else f"{text}::{kind}"
            told.append(f"{value} AS {quote(name)}")
        return ", ".join(told)


def texts(names: Sequence[str]) -> list[str]:
    """What the texts of columns are called."""
    return [f"_text_{place}" for place in range(len(names))]


@dataclass(frozen=True, slots=True)
class Seal:
    """What a twin was when it was finished: its lens, rows, bytes of records; entries and their sum by name.

    `width` is how many bytes tell how long a text is.
    """

    lens: str
    rows: int
    size: int
    width: int
    found: Mapping[str, tuple[int, int]]


class Twin:
    """The twin of one data file, open for reading; `file` is how DuckDB calls the data file."""

    def __init__(self, folder: Path, file: str, seal: Seal) -> None:
        self.folder, self.file, self.seal = folder, file, seal
        self._found: dict[str, Hashes] = {}
        self._maps: dict[str, mmap.mmap] = {}

    @cached_property
    def _ends(self) -> Hashes:
        return self._mapped("ends", np.uint64, 2 * (self.seal.rows + 1)).reshape(-1, 2)

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
        there, wanted = self._found[name], different(hashes & np.uint64(_UPPER))
        at: Numbers = np.searchsorted(there, wanted).astype(np.int64)
        found = [np.empty(0, np.uint64)]
        while len(at):  # most have one entry, some more beside it
            at, wanted = at[at < len(there)], wanted[at < len(there)]
            near = there[at]
            right = (near & np.uint64(_UPPER)) == wanted
            found.append(near[right])
            at, wanted = at[right] + 1, wanted[right]
        numbers = different((np.concatenate(found) & _LOWER).astype(np.int64))
        self._let_go()
        return numbers

    def rows(self, numbers: Numbers) -> pa.Table:
        """The rows of these numbers: RECORD, which `texts` takes apart, NUMBER, and CHECK, which SAME must be."""
        ends = self._ends
        self._refuse_cut()
        if len(numbers) and not (numbers.min() >= 0 and numbers.max() < self.seal.rows):
            raise DamagedTwinError(self)
        begin, end = ends[numbers, 0].astype(np.int64), ends[numbers + 1, 0].astype(np.int64)
        if not bool(np.all(begin <= end)) or (len(end) and int(end.max()) > self.seal.size):
            raise DamagedTwinError(self)
        rows = pa.table({RECORD: self._read(begin, end), NUMBER: numbers, CHECK: ends[numbers + 1, 1]})
        self._let_go()
        return rows

    def _read(self, begin: Numbers, end: Numbers) -> pa.LargeBinaryArray:
        """Records cut out of their file, each with a call: to map pages, each for a row of it, costs more."""
        size = end - begin
        try:
            with (self.folder / "records").open("rb", buffering=0) as file:
                number = file.fileno()
                told = b"".join(map(os.pread, repeat(number), size.tolist(), begin.tolist()))
        except OSError as error:
            raise DamagedTwinError(self) from error
        if len(told) != size.sum():
            raise DamagedTwinError(self)
        bounds = pa.py_buffer(np.append(0, np.cumsum(size)))
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(size), [None, bounds, pa.py_buffer(told)])

    def texts(self, rows: pa.Table, names: Sequence[str]) -> pa.Table:
        """The columns of `rows` that are what was written, as texts."""
        records = rows[RECORD].combine_chunks()
        made = keyed_record.unpacked(records, len(names), self.seal.width)
        return pa.table([*made, rows[NUMBER]], [*texts(names), NUMBER])

    def discard(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def different(numbers: npt.NDArray[_Whole]) -> npt.NDArray[_Whole]:
    """Numbers each once, in order; `np.unique` hashes them first, which takes ten times as long."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


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
        if said["lens"] != digest:  # made with another lens, or as an earlier version of this program did
            return None
        seal = Seal(**{**said, "found": {name: tuple(one) for name, one in said["found"].items()}})
        whole = (there / "records").stat().st_size == seal.size
    except (OSError, ValueError):
        return None
    return Twin(there, name_of(file), seal) if whole else None


def build(connection: duckdb.DuckDBPyConnection, folder: Path, file: DataFile, lens: Lens) -> Twin | None:
    """Make the twin of a data file, which is there whole or not at all; None where its rows come in another order."""
    target = place(folder, file.file_path)
    work = target.with_name(target.name + BUILDING)
    shutil.rmtree(target, ignore_errors=True)
    for width in keyed_record.WIDTHS:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        try:
            written = _write(connection, _stream(connection, file, lens), work, lens, width)
            break
        except _TooLongError:
            continue
    if written is None:
        shutil.rmtree(work)
        return None
    rows, size = written
    found = {name: _sorted(work, _numbered(place)) for place, name in enumerate(lens.found)}
    seal = Seal(lens.digest(), rows, size, width, found)
    text = json.dumps(asdict(seal), ensure_ascii=False)
    (work / "seal").write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}")
    reached("keyed.written")
    work.rename(target)
    return Twin(target, name_of(file.file_path), seal)


def _stream(connection: duckdb.DuckDBPyConnection, file: DataFile, lens: Lens) -> pa.RecordBatchReader:
    """The rows of a data file in order: number, entries by name, texts."""
    ids = columns.by_field_id(lens.schema, list(lens.columns))
    listed = ", ".join(f"r.{quote(one)}" for one in lens.columns)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {SOURCE} AS SELECT {listed}, {lens.texts()}, r.file_row_number AS"
        f" {NUMBER} FROM read_parquet({literal(name_of(file.file_path))}, schema={ids}, file_row_number=true) AS r"
    )
    hashed = "".join(
        f", CASE WHEN {text} IS NOT NULL THEN (hash({text}) & {_UPPER}::UBIGINT) | {NUMBER}::UBIGINT END"
        for text in lens.found.values()
    )
    query = f"SELECT {NUMBER}{hashed}, {', '.join(texts(lens.columns))} FROM ({lens.shaped})"
    return connection.execute(query).to_arrow_reader(_AT_ONCE)


def _write(connection: duckdb.DuckDBPyConnection, stream: pa.RecordBatchReader, work: Path, lens: Lens,
           width: int) -> tuple[int, int] | None:  # fmt: skip
    """Write records, their ends with checks, and unsorted entries; how many rows and bytes, None if not in order."""
    rows = size = 0
    names = range(1, 1 + len(lens.found))
    with ExitStack() as stack:
        records, ends = (stack.enter_context((work / name).open("wb")) for name in ("records", "ends"))
        found = [stack.enter_context((work / _numbered(place - 1)).open("wb")) for place in names]
        checking = stack.enter_context(connection.cursor())
        np.zeros(2, np.uint64).tofile(ends)
        for batch in stream:
            number = batch.column(0).to_numpy()
            if not np.array_equal(number, np.arange(rows, rows + len(batch))):
                return None
            made = keyed_record.packed(batch.columns[1 + len(found) :], width)
            if made is None:
                raise _TooLongError
            checking.register("_written", pa.table({RECORD: made, NUMBER: number}))
            check = checking.execute(f"SELECT {SAME} AS told FROM _written").fetchnumpy()["told"]
            offsets = np.frombuffer(made.buffers()[1], np.int64)[: len(batch) + 1]
            records.write(memoryview(made.buffers()[2])[: offsets[-1]])
            pairs = np.empty((len(batch), 2), np.uint64)
            pairs[:, 0], pairs[:, 1] = offsets[1:] + size, check
            pairs.tofile(ends)
            for place, file in zip(names, found, strict=True):
                batch.column(place).drop_null().to_numpy().tofile(file)
            rows, size = rows + len(batch), size + int(offsets[-1])
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
