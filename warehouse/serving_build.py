"""Build a serving generation from all rows of a relation, in the order of their keys and in bounded memory."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import duckdb
import lmdb
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import zstandard

from warehouse.serving_errors import KeyUnusableError
from warehouse.serving_file import ABOUT, MAX_DATABASES, RECORDS, Generation, generation_file, seal
from warehouse.serving_index import put_index
from warehouse.serving_records import LEVEL, Digest, Packer, Rows, chunks, plain, put_records
from warehouse.sql import literal, quote

BUILDING = ".building"  # suffix of the folder a generation is built in
AT_ONCE = 262_144  # rows whose JSON is in memory at a time, twice; row groups at the edge of a part are read twice
SAMPLES = 8_192  # records a dictionary is trained on, at most
STRETCHES = 16  # places of the key's range where they are taken
DICTIONARY = 65_536  # bytes
MAP_SIZE = 1 << 38  # address space, not memory or disk


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build: rows of a relation known to a DuckDB connection, keyed and indexed, and what to say about them.

    `embedded` are columns that already hold JSON text and become part of the record as they are, for readers to parse
    when they are asked for; `read` names the
    snapshots of tables that the rows come from.
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
    read: Mapping[str, int] = field(default_factory=dict)


def build(folder: Path, connection: duckdb.DuckDBPyConnection, relation: str, plan: Plan) -> Generation:
    """Write a generation beside the one in force; durable when this returns, seen by nobody until it is switched to.

    `relation` is a table or view of `connection`. Raises KeyUnusableError.
    """
    rows = Rows.of(connection, relation, plan.key, plan.embedded)
    indexed = rows.indexable(plan.indexed)
    about = Generation(
        id=plan.generation, library=plan.library, key=plan.key, rows=_count(rows, plan.library),
        fields=tuple(rows.columns), indexed=indexed, published_at=plan.published_at, release=plan.release,
        snapshot=plan.snapshot, digest="", freshness=dict(plan.freshness), read=dict(plan.read), beside=rows.beside,
    )  # fmt: skip
    with writing(Path(folder) / plan.library, about.id) as env:
        bounds = _bounds(rows, about.rows)
        dictionary = _train(rows, bounds)
        about = replace(about, digest=_fill(env, rows, bounds, Packer(dictionary), about))
        for name in indexed:
            put_index(env, name, rows.pairs(name))
        put_about(env, about, dictionary.as_bytes() if dictionary is not None else None)
    return about


@contextmanager
def writing(home: Path, generation: int, base: int = 0) -> Iterator[lmdb.Environment]:
    """A new file of a library; it gets its place, sealed, when the block ends without an error."""
    home.mkdir(parents=True, exist_ok=True)
    work = home / f"{os.getpid()}{BUILDING}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    env = lmdb.open(str(work / "made"), subdir=False, map_size=MAP_SIZE, max_dbs=MAX_DATABASES,
                    sync=False, lock=False)  # fmt: skip
    try:
        yield env
    finally:
        env.close()
    seal(work / "made", generation_file(home, generation), base)
    shutil.rmtree(work)


def put_about(env: lmdb.Environment, about: Generation, dictionary: bytes | None) -> None:
    """What a file tells about itself."""
    with env.begin(write=True, db=env.open_db(ABOUT)) as write:
        write.put(b"generation", orjson.dumps(asdict(about)))
        if dictionary is not None:
            write.put(b"dictionary", dictionary)


def _count(rows: Rows, library: str) -> int:
    key = quote(rows.key)
    told = rows.connection.execute(
        f"SELECT count(*), count(*) FILTER (coalesce({key}::VARCHAR, '') = '') FROM {quote(rows.relation)}"
    ).fetchone()
    count, empty = told or (0, 0)
    if empty:
        raise KeyUnusableError(library, rows.key, empty, 0)
    return int(count)


def _bounds(rows: Rows, count: int) -> list[str]:
    """Keys that cut the rows into parts of about AT_ONCE rows."""
    if count <= AT_ONCE:
        return []
    key, parts = f"{quote(rows.key)}::VARCHAR", -(-count // AT_ONCE)
    step = max(1, count // (parts * 256))
    picked = rows.connection.execute(
        f"SELECT {key} AS k FROM {quote(rows.relation)} WHERE hash({key}) % {step} = 0 ORDER BY k"
    ).fetchall()
    keys = [one for (one,) in picked]
    return sorted({keys[len(keys) * part // parts] for part in range(1, parts)}) if keys else []


def _parts(rows: Rows, bounds: Sequence[str]) -> list[str]:
    """Conditions that give all rows whose key stands for itself, part by part, in the order of keys."""
    # Where the column is text, the bare name lets Parquet's statistics skip what a part does not need.
    key = quote(rows.key) + ("" if rows.columns[rows.key] == "VARCHAR" else "::VARCHAR")
    edges = [None, *bounds, None]
    return [
        " AND ".join(
            [
                plain(key),
                *([f"{key} >= {literal(low)}"] if low is not None else []),
                *([f"{key} < {literal(high)}"] if high is not None else []),
            ]
        )
        for low, high in pairwise(edges)
    ]


def _train(rows: Rows, bounds: Sequence[str]) -> zstandard.ZstdCompressionDict | None:
    """A dictionary trained on stretches of records; None when there are too few to learn from."""
    parts = _parts(rows, bounds)
    chosen = parts[:: max(1, len(parts) // STRETCHES)][:STRETCHES]
    samples: list[bytes | bytearray | memoryview] = []
    for part in chosen:
        found = rows.connection.execute(
            f"SELECT {rows.record()} FROM (SELECT * FROM {quote(rows.relation)} WHERE {part}"
            f" LIMIT {SAMPLES // len(chosen)})"
        ).fetchall()
        samples += [one.encode() for (one,) in found]
    size = min(DICTIONARY, sum(map(len, samples)) // 8)
    if len(samples) < 100 or size < 1024:  # noqa: PLR2004 (below that zstd has nothing to learn)
        return None
    try:
        return zstandard.train_dictionary(size, samples, level=LEVEL)
    except zstandard.ZstdError:
        return None


def _fill(env: lmdb.Environment, rows: Rows, bounds: Sequence[str], packer: Packer, about: Generation) -> str:
    """Write every record in the order of keys, while DuckDB makes the JSON of the next part; returns the digest."""
    query = f"SELECT {rows.stands_for(rows.key)} AS k, {rows.record()} AS v FROM {quote(rows.relation)} WHERE "
    long = f"NOT ({plain(quote(rows.key) + '::VARCHAR')})"
    queries = [f"{query}{part} ORDER BY k" for part in _parts(rows, bounds)]
    database, digest, repeated, before = env.open_db(RECORDS), Digest(), 0, None
    for table in _ahead(rows.connection, queries):
        for keys, values in chunks(table):
            repeated += _twice(keys, before)
            before = keys[-1]
            if not repeated:
                packed = packer.pack(values)
                digest.add(packed)
                put_records(env, database, zip(keys.to_pylist(), packed, strict=True))
    if repeated:
        raise KeyUnusableError(about.library, rows.key, 0, repeated)
    for keys, values in chunks(rows.connection.execute(query + long).to_arrow_table()):  # their digests sort anywhere
        packed = packer.pack(values)
        digest.add(packed)
        with env.begin(write=True, db=database) as write:
            for key, one in zip(keys.to_pylist(), packed, strict=True):
                repeated += not write.put(key, one, overwrite=False)
    if repeated:
        raise KeyUnusableError(about.library, rows.key, 0, repeated)
    return digest.hexdigest()


def _ahead(connection: duckdb.DuckDBPyConnection, queries: Sequence[str]) -> Iterator[pa.Table]:
    """The answer to each query, the next one on its way while one is looked at."""

    def answer(query: str) -> pa.Table:
        return connection.execute(query).to_arrow_table()

    with ThreadPoolExecutor(1, "rows") as thread:
        waiting = deque(thread.submit(answer, one) for one in queries[:1])
        for following in (*queries[1:], None):
            table = waiting.popleft().result()
            if following is not None:
                waiting.append(thread.submit(answer, following))
            yield table
            del table


def _twice(keys: pa.Array, before: pa.Scalar | None) -> int:
    """How many of the ordered keys repeat the one in front of them."""
    same = int(pc.sum(pc.equal(keys[1:], keys[:-1])).as_py() or 0)
    return same + (before is not None and bool(keys[0] == before))
