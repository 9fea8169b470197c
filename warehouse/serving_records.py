"""Rows as a serving file holds them: JSON made by DuckDB, compressed by whole columns, summed up in a digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import lmdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import zstandard

from warehouse.json_text import json_of, text_of
from warehouse.serving_file import BEGINNING, BESIDE, LONGEST_KEY
from warehouse.sql import quote

LEVEL = 1  # with a dictionary 3 saves 2 % of the bytes and costs a third more time
_RECORD = 700  # bytes of a record, about
THREADS = 2
_CHUNK = 32_768  # rows compressed and written at a time
_MIXED = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))  # steps of two independent sums


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows to serve: a table or view known to a connection, its columns with their types, its key.

    `embedded` are columns that already hold JSON text.
    """

    connection: duckdb.DuckDBPyConnection
    relation: str
    columns: Mapping[str, str]
    key: str
    embedded: Sequence[str] = ()

    @staticmethod
    def of(connection: duckdb.DuckDBPyConnection, relation: str, key: str, embedded: Sequence[str] = ()) -> Rows:
        """The rows of that table or view."""
        told = connection.execute(f"DESCRIBE {quote(relation)}").fetchall()
        return Rows(connection, relation, {name: str(kind) for name, kind, *_ in told}, key, embedded)

    @property
    def beside(self) -> tuple[str, ...]:
        """The columns that are read only when asked for: JSON text and lists, which take long and are seldom wanted."""
        return tuple(name for name, kind in self.columns.items() if name in self.embedded or kind.endswith("[]"))

    def record(self) -> str:
        """SQL of a row as the JSON text of its values, and behind BESIDE of those beside them, if any."""
        beside = self.beside
        parts = ([name for name in self.columns if name not in beside], beside)
        values = [[json_of(name, self.columns[name], name in self.embedded) for name in part] for part in parts if part]
        return f" || chr({ord(BESIDE)}) || ".join(f"json_array({', '.join(part)})::VARCHAR" for part in values)

    def stands_for(self, name: str) -> str:
        """SQL of what stands for a value in an LMDB key; the same as serving_file.index_key of what the JSON says."""
        text = text_of(name, self.columns[name])
        beginning = f"replace(left({text}, {BEGINNING}), chr(0), '')"
        return f"CASE WHEN {plain(text)} THEN {text} ELSE {beginning} || chr(1) || sha256({text}) END"

    def indexable(self, names: Iterable[str]) -> tuple[str, ...]:
        """Of the names, the columns that records can be found by: not the key itself, and of exact text."""
        return tuple(
            name
            for name in dict.fromkeys(names)
            if name in self.columns and name != self.key and name not in self.embedded and _exact(self.columns[name])
        )

    def pairs(self, name: str) -> Iterator[pa.Array]:
        """What stands for the column's values, with the keys of their rows, as serving_index takes them."""
        query = (
            f"SELECT {self.stands_for(name)} || chr(0) || {self.stands_for(self.key)} AS pair"
            f" FROM {quote(self.relation)} WHERE coalesce({quote(name)}::VARCHAR, '') <> '' ORDER BY pair"
        )
        for batch in self.connection.execute(query).to_arrow_reader(_CHUNK):
            yield binary(batch.column(0))


class Digest:
    """The sum of the checksums of records, mixed: whatever their order, and whichever came or went later.

    It tells whether two files hold the same records; that a file is what it was is what its seal tells.
    """

    def __init__(self, told: str = "") -> None:
        self._sums = np.frombuffer(bytes.fromhex(told), "<u8").copy() if told else np.zeros(len(_MIXED), "<u8")

    def add(self, packed: Sequence[bytes]) -> None:
        """Records that are there, as `Packer` gives them."""
        self._sums += _summed(packed)

    def remove(self, packed: Sequence[bytes]) -> None:
        """Records that went."""
        self._sums -= _summed(packed)

    def hexdigest(self) -> str:
        """The sums as text."""
        return self._sums.astype("<u8").tobytes().hex()


def _summed(packed: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """Sums over the checksum of its content that a zstd frame ends with, mixed as splitmix64 does."""
    checks = np.frombuffer(b"".join([one[-4:] for one in packed]), "<u4").astype("<u8")
    sums = []
    for step in _MIXED:
        mixed = (checks + np.uint64(1)) * step
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        sums.append(np.add.reduce(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64))
    return np.array(sums, "<u8")


class Packer:
    """Compresses records, each by itself; a record says by a checksum of its own when it is damaged."""

    def __init__(self, dictionary: zstandard.ZstdCompressionDict | None) -> None:
        size = len(dictionary.as_bytes()) if dictionary is not None else 0
        told = zstandard.ZstdCompressionParameters.from_level(
            LEVEL,
            source_size=_RECORD,
            dict_size=size,
            write_checksum=True,
            write_content_size=True,
            write_dict_id=False,
        )
        self._zstd = zstandard.ZstdCompressor(compression_params=told, dict_data=dictionary)

    def pack(self, records: pa.Array) -> list[bytes]:
        """The records of a large_binary column."""
        if not len(records):
            return []
        packed = self._zstd.multi_compress_to_buffer(_segments(records), threads=THREADS)
        return [packed[place].tobytes() for place in range(len(packed))]


def put_records(env: lmdb.Environment, database: Any, pairs: Iterable[tuple[bytes, bytes]]) -> None:  # noqa: ANN401
    """Records in the order of their keys, all behind those that are there."""
    with env.begin(write=True, db=database) as write, write.cursor() as cursor:
        cursor.putmulti(pairs, append=True, overwrite=False)


def chunks(table: pa.Table) -> Iterator[tuple[pa.Array, pa.Array]]:
    """The two text columns of a table as binary columns, piece by piece."""
    for batch in table.to_batches(max_chunksize=_CHUNK):
        yield binary(batch.column(0)), binary(batch.column(1))


def binary(column: pa.Array) -> pa.Array:
    """A text column as bytes with 64-bit offsets."""
    return column.cast(pa.large_binary())


def plain(text: str) -> str:
    """SQL of whether a text stands for itself in an LMDB key."""
    return f"strlen({text}) <= {LONGEST_KEY} AND NOT contains({text}, chr(0))"


def _segments(values: pa.Array) -> zstandard.BufferWithSegments:
    """An Arrow binary column as zstandard takes it: one buffer and (offset, length) pairs; nothing is copied."""
    offsets = np.frombuffer(values.buffers()[1], dtype=np.int64)[values.offset : values.offset + len(values) + 1]
    places = np.empty((len(values), 2), dtype=np.uint64)
    places[:, 0], places[:, 1] = offsets[:-1], np.diff(offsets)
    return zstandard.BufferWithSegments(values.buffers()[2], places.tobytes())


def _exact(kind: str) -> bool:
    upper = kind.upper()
    return not upper.endswith("[]") and upper not in {"DOUBLE", "FLOAT", "BLOB"}
