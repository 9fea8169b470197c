"""Put changed rows in force as a small file on top of the one that holds all others: a landing is answered at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

import duckdb
import pyarrow as pa
import zstandard

from warehouse.serving import open_view
from warehouse.serving_build import Plan, put_about, writing
from warehouse.serving_errors import KeyUnusableError
from warehouse.serving_file import GONE, RECORDS, Generation, OpenFile, current, index_key
from warehouse.serving_index import BETWEEN, pairs_from, put_index
from warehouse.serving_records import Digest, Packer, Rows, chunks, put_records
from warehouse.serving_view import View
from warehouse.sql import quote

LEAST, MOST, SHARE = 1_000, 250_000, 0.1  # records a file of changes may hold: rows, rows, part of the base's


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since the generation in force, as tables or views known to a connection.

    `upserts` has every column served, one row a key; `gone` has one text column, the keys of records that went: one
    that is among the upserts too stays.
    """

    connection: duckdb.DuckDBPyConnection
    upserts: str
    gone: str


def apply(folder: Path, changes: Changes, plan: Plan) -> Generation | None:
    """Write the generation that follows the one in force; durable when this returns, seen by nobody until `switch`.

    It holds every record that changed since its base was built. None when too many have, or when the columns are
    other ones: then build anew. Raises KeyUnusableError, and what opening or reading the one in force raises.
    """
    home = Path(folder) / plan.library
    before = open_view(home, current(home))
    rows = Rows.of(changes.connection, changes.upserts, plan.key, plan.embedded)
    told, room = before.info, max(LEAST, min(MOST, int(before.base.info.rows * SHARE)))
    now = (tuple(rows.columns), rows.indexable(plan.indexed), plan.key, rows.beside)
    if now != (told.fields, told.indexed, told.key, told.beside) or _count(changes) > room:
        return None
    fresh = _fresh(rows, changes, before, plan)
    was = [one for one in before.raw(fresh) if one is not None]
    new = [one for one in fresh.values() if one != GONE]
    digest = Digest(told.digest)
    digest.remove(was)
    digest.add(new)
    kept = _with(before, fresh)
    if len(kept) > room:
        return None
    about = Generation(
        id=plan.generation, library=plan.library, key=plan.key, rows=told.rows + len(new) - len(was),
        fields=told.fields, indexed=told.indexed, published_at=plan.published_at, release=plan.release,
        snapshot=plan.snapshot, digest=digest.hexdigest(), freshness=dict(plan.freshness), read=dict(plan.read),
        base=before.base.info.id, changed=len(kept), beside=told.beside,
    )  # fmt: skip
    with writing(home, about.id, about.base) as env:
        put_records(env, env.open_db(RECORDS), ((key, kept[key]) for key in sorted(kept)))
        for name in about.indexed:
            put_index(env, name, _pairs(name, rows, before, fresh))
        put_about(env, about, before.base.trained)
    return about


def _count(changes: Changes) -> int:
    counts = [f"(SELECT count(*) FROM {quote(one)})" for one in (changes.upserts, changes.gone)]
    told = changes.connection.execute(f"SELECT {' + '.join(counts)}").fetchone()
    return int(told[0]) if told else 0


def _fresh(rows: Rows, changes: Changes, before: View, plan: Plan) -> dict[bytes, bytes]:
    """Each key that changed with its record now, GONE where there is none any more."""
    gone = rows.connection.execute(f"SELECT * FROM {quote(changes.gone)}").fetchall()
    fresh = {index_key(key): GONE for (key,) in gone}
    trained = before.base.trained
    packer = Packer(zstandard.ZstdCompressionDict(trained) if trained else None)
    key = quote(plan.key)
    query = (
        f"SELECT {rows.stands_for(plan.key)} AS k, {rows.record()} AS v FROM {quote(rows.relation)}"
        f" WHERE coalesce({key}::VARCHAR, '') <> ''"
    )
    upserts: dict[bytes, bytes] = {}
    count = 0
    for keys, values in chunks(rows.connection.execute(query).to_arrow_table()):
        upserts.update(zip(keys.to_pylist(), packer.pack(values), strict=True))
        count += len(keys)
    told = rows.connection.execute(f"SELECT count(*) FROM {quote(rows.relation)}").fetchone()
    empty = (told[0] if told else 0) - count
    if empty or len(upserts) != count:
        raise KeyUnusableError(plan.library, plan.key, empty, count - len(upserts))
    return fresh | upserts


def _with(before: View, fresh: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """All that changed since the base was built; what went and was never in the base needs no mention."""
    kept = {key: packed for key, packed in _held(before) if key not in fresh}
    base = before.base
    with base.begin() as read:
        said = {
            key: packed for key, packed in fresh.items() if packed != GONE or read.get(key, db=base.records) is not None
        }
    return kept | said


def _held(before: View) -> Iterator[tuple[bytes, bytes]]:
    """The records of the file of changes in force, if one is."""
    if before.changes is None:
        return
    with before.changes.begin() as read, read.cursor(db=before.changes.records) as cursor:
        yield from cursor


def _pairs(name: str, rows: Rows, before: View, fresh: Mapping[bytes, bytes]) -> Iterable[pa.Array]:
    """The pairs of a secondary key: those in the file of changes whose records stayed, and the new ones."""
    new = [one for column in rows.pairs(name) for one in column.to_pylist()]
    old = list(_stayed(before.changes, name, fresh)) if before.changes is not None else []
    yield pa.array(list(merge(old, new)), pa.large_binary())


def _stayed(file: OpenFile, name: str, fresh: Mapping[bytes, bytes]) -> Iterator[bytes]:
    with file.begin() as read:
        for pair in pairs_from(read, file.indexes[name], b""):
            if pair[pair.index(BETWEEN) + 1 :] not in fresh:
                yield pair
