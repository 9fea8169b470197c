"""Build a serving generation from rows, switch readers to it in one rename, and remove what nobody needs any more."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import duckdb
import lmdb
import numpy as np
import orjson
import pyarrow as pa
import zstandard

from warehouse.errors import WarehouseError
from warehouse.json_text import json_of
from warehouse.serving import (
    ABOUT,
    CURRENT,
    INDEX,
    LONGEST_KEY,
    MAX_DATABASES,
    RECORDS,
    SUFFIX,
    Generation,
    current,
    generation_file,
    open_once,
)
from warehouse.sql import quote

BUILDING = ".building"  # suffix of the folder a generation is built in
KEEP = 2  # generations: the one in force and the one before it, for readers about to switch
CHUNK = 65_536  # rows compressed and written at a time
SAMPLES = 8_192  # records a dictionary is trained on, at most
DICTIONARY = 65_536  # bytes
LEVEL = 3
MAP_SIZE = 1 << 38  # address space, not memory or disk


class KeyUnusableError(WarehouseError):
    """Rows that cannot be served by key: the key is null, empty or not unique."""

    def __init__(self, library: str, key: str, empty: int, repeated: int) -> None:
        super().__init__(
            "WH-SERVING-KEY",
            zh=f"基础库 {library} 无法按 {key} 发布：{empty} 行为空，{repeated} 行重复",
            en=f"library {library} cannot be served by {key}: {empty} rows have none, {repeated} rows repeat one",
            fix_zh=f"重新归并后再发布：shutong library merge {library}",
            fix_en=f"Merge it again, then publish: shutong library merge {library}",
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build: rows of a relation known to a DuckDB connection, keyed and indexed, and what to say about them.

    `embedded` are columns that already hold JSON text and become part of the record as they are.
    """

    library: str
    key: str
    generation: int  # above every generation the library ever had
    indexed: Sequence[str] = ()
    embedded: Sequence[str] = ()
    release: int = 0
    snapshot: str = ""
    published_at: str = ""
    freshness: Mapping[str, str] = field(default_factory=dict)


def build(folder: Path, connection: duckdb.DuckDBPyConnection, relation: str, plan: Plan) -> Generation:
    """Write a generation beside the one in force; durable when this returns, seen by nobody until `switch`.

    `relation` is a table or view of `connection`. Rows are ordered by key; the same rows give the same digest.
    """
    home = Path(folder) / plan.library
    home.mkdir(parents=True, exist_ok=True)
    columns = {name: str(kind) for name, kind, *_ in connection.execute(f"DESCRIBE {quote(relation)}").fetchall()}
    indexed = tuple(name for name in plan.indexed if name in columns and name != plan.key)
    values = ", ".join(json_of(name, kind, name in plan.embedded) for name, kind in columns.items())
    rows = _Rows(connection, relation, plan.key, f"json_array({values})")
    count = _count(rows, plan.library)
    about = Generation(
        id=plan.generation, library=plan.library, key=plan.key, rows=count, fields=tuple(columns), indexed=indexed,
        published_at=plan.published_at, release=plan.release, snapshot=plan.snapshot, digest="",
        freshness=dict(plan.freshness),
    )  # fmt: skip
    work = home / f"{os.getpid()}{BUILDING}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    env = lmdb.open(str(work / "filling"), subdir=False, map_size=MAP_SIZE, max_dbs=MAX_DATABASES,
                    sync=False, lock=False)  # fmt: skip
    try:
        dictionary = _train(rows, count)
        about = replace(about, digest=_fill(env, rows, dictionary))
        for name in indexed:
            _index(env, rows, name)
        with env.begin(write=True, db=env.open_db(ABOUT)) as write:
            write.put(b"generation", orjson.dumps(asdict(about)))
            if dictionary is not None:
                write.put(b"dictionary", dictionary.as_bytes())
        env.copy(str(work / "compact"), compact=True)
    finally:
        env.close()
    _sync(work / "compact")
    (work / "compact").replace(generation_file(home, about.id))
    _sync(home)
    shutil.rmtree(work)
    return about


def switch(folder: Path, library: str, generation: int) -> None:
    """Put a built generation in force: readers see the old one or this one, never a mixture; then drop older ones."""
    home = Path(folder) / library
    before = current(home)
    fresh = home / (CURRENT + BUILDING)
    fresh.write_text(f"{generation}\n", "ascii")
    _sync(fresh)
    fresh.replace(home / CURRENT)
    _sync(home)
    sweep(folder, library, keep=(before,) if before != generation else ())


def sweep(folder: Path, library: str, keep: Sequence[int] = ()) -> list[str]:
    """Remove what was half built or never put in force, and all but the newest KEEP; returns the names removed.

    Call it with the library's lock held: somebody else's work in progress looks like an orphan.
    """
    home = Path(folder) / library
    now = current(home)
    older = sorted((int(path.stem) for path in home.glob("*" + SUFFIX) if int(path.stem) < now), reverse=True)
    needed = {generation_file(home, one) for one in (now, *keep, *older[: KEEP - 1])}
    removed = []
    for path in (*home.glob("*" + SUFFIX), *home.glob("*" + BUILDING)):
        if path in needed:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path.name)
    return removed


def published(folder: Path, library: str) -> Generation | None:
    """What is in force, read from the file itself; None when nothing is, or what is named cannot be read."""
    home = Path(folder) / library
    number = current(home)
    try:
        return open_once(generation_file(home, number)).info if number else None
    except (OSError, lmdb.Error):
        return None


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows to serve: a relation, its key column, and SQL that makes a record of a row."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    key: str
    record: str


def _count(rows: _Rows, library: str) -> int:
    key = quote(rows.key)
    told = rows.connection.execute(
        f"SELECT count(*), count(*) FILTER (coalesce({key}, '') = ''), count({key}) - count(DISTINCT {key})"
        f" FROM {quote(rows.relation)}"
    ).fetchone()
    count, empty, repeated = told or (0, 0, 0)
    if empty or repeated:
        raise KeyUnusableError(library, rows.key, empty, repeated)
    return int(count)


def _train(rows: _Rows, count: int) -> zstandard.ZstdCompressionDict | None:
    """A dictionary trained on records picked by the hash of their key; None when there are too few to learn from."""
    step = max(1, count // SAMPLES)
    picked = rows.connection.execute(
        f"SELECT {rows.record}::VARCHAR FROM {quote(rows.relation)} WHERE hash({quote(rows.key)}) % {step} = 0"
        f" ORDER BY {quote(rows.key)} LIMIT {2 * SAMPLES}"
    ).fetchall()
    samples = [one.encode() for (one,) in picked]
    size = min(DICTIONARY, sum(map(len, samples)) // 8)
    if len(samples) < 100 or size < 1024:  # noqa: PLR2004 (below that zstd has nothing to learn)
        return None
    try:
        return zstandard.train_dictionary(size, samples, level=LEVEL)
    except zstandard.ZstdError:
        return None


def _fill(env: lmdb.Environment, rows: _Rows, dictionary: zstandard.ZstdCompressionDict | None) -> str:
    """Write every record, whole columns at a time, in key order; returns the digest of keys and records."""
    pack = zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary)
    database = env.open_db(RECORDS)
    digest = _Digest(2)
    query = f"SELECT {_indexable(rows.key)} AS k, {rows.record}::VARCHAR AS v FROM {quote(rows.relation)} ORDER BY k"
    for keys, values in _pairs(rows.connection, query):
        digest.add(keys, values)
        packed = pack.multi_compress_to_buffer(_segments(values), threads=2)
        with env.begin(write=True, db=database) as write, write.cursor() as cursor:
            pairs = zip(keys.to_pylist(), (packed[place].tobytes() for place in range(len(packed))), strict=True)
            cursor.putmulti(pairs, append=True, overwrite=False)
    return digest.hexdigest()


def _index(env: lmdb.Environment, rows: _Rows, name: str) -> None:
    database = env.open_db((INDEX + name).encode(), dupsort=True)
    query = (
        f"SELECT {_indexable(name)} AS k, {_indexable(rows.key)} AS v FROM {quote(rows.relation)}"
        f" WHERE coalesce({quote(name)}::VARCHAR, '') <> '' ORDER BY k, v"
    )
    for names, keys in _pairs(rows.connection, query):
        with env.begin(write=True, db=database) as write, write.cursor() as cursor:
            cursor.putmulti(zip(names.to_pylist(), keys.to_pylist(), strict=True), append=True, dupdata=True)


def _pairs(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[pa.Array, pa.Array]]:
    """The two text columns of a query as binary arrays, CHUNK rows at a time."""
    for batch in connection.execute(query).to_arrow_reader(CHUNK):
        yield batch.column(0).cast(pa.large_binary()), batch.column(1).cast(pa.large_binary())


def _segments(values: pa.Array) -> zstandard.BufferWithSegments:
    """An Arrow binary column as zstandard takes it: one buffer and (offset, length) pairs; nothing is copied."""
    offsets = _offsets(values)
    places = np.empty((len(values), 2), dtype=np.uint64)
    places[:, 0], places[:, 1] = offsets[:-1], np.diff(offsets)
    return zstandard.BufferWithSegments(values.buffers()[2], places.tobytes())


class _Digest:
    """SHA-256 over columns of text, the same however they were cut into chunks."""

    def __init__(self, columns: int) -> None:
        self._lengths = [hashlib.sha256() for _ in range(columns)]
        self._values = [hashlib.sha256() for _ in range(columns)]

    def add(self, *columns: pa.Array) -> None:
        for lengths, values, column in zip(self._lengths, self._values, columns, strict=True):
            offsets = _offsets(column)
            lengths.update(np.diff(offsets).tobytes())
            values.update(column.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])))

    def hexdigest(self) -> str:
        parts = b"".join(one.digest() for one in (*self._lengths, *self._values))
        return hashlib.sha256(parts).hexdigest()


def _offsets(values: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.frombuffer(values.buffers()[1], dtype=np.int64)[values.offset : values.offset + len(values) + 1]


def _indexable(column: str) -> str:
    """SQL of what stands for a value in an LMDB key; the same as serving.index_key."""
    text = f"{quote(column)}::VARCHAR"
    return f"CASE WHEN strlen({text}) <= {LONGEST_KEY} THEN {text} ELSE 'sha256:' || sha256({text}) END"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
