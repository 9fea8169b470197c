"""One side of the serving benchmark in a process of its own; it prints what it measured as JSON."""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import lmdb
import orjson

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "benchmarks")]

from schemas.standard import Field, Standard  # noqa: E402
from serving_parts.firms import COLUMNS, EMBEDDED, INDEXED, KEY, key, prepare, query  # noqa: E402
from warehouse.publish import publish  # noqa: E402
from warehouse.serving import ServingStore  # noqa: E402
from warehouse.serving_build import Plan, build  # noqa: E402
from warehouse.serving_care import switch  # noqa: E402
from warehouse.state import State  # noqa: E402
from warehouse.tables import Tables  # noqa: E402

LIBRARY, BATCH, ASKED = "firms", 1_000, 20_000
CHANGED = 50_000
MAP = 1 << 37
STANDARD = Standard(
    name=LIBRARY, version=1, zh="企业", en="firms", library=LIBRARY, rules=(), key=(KEY,), order=(),
    identifiers=(KEY, "reg_no", "legal_rep_id"),
    fields=tuple(Field(name, name, name) for name in COLUMNS if name[0] != "_"),
)  # fmt: skip


def main() -> None:
    """`sides.py <side> <file> <rows> <folder>`."""
    name, file, rows, folder = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    print(json.dumps(SIDES[name](file, rows, folder)))


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _timed(act: Callable[[], object]) -> dict[str, float]:
    began, spent = time.perf_counter(), _spent()
    act()
    return {"seconds": time.perf_counter() - began, "cpu": _spent() - spent}


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def _asked(
    rows: int, get: Callable[[str], object], many: Callable[[list[str]], object], times: int
) -> dict[str, float]:
    """Microseconds of single look-ups of random keys, milliseconds of a batch of 1,000, when the file is in memory."""
    chosen = random.Random(7)
    keys = [key(chosen.randrange(rows)) for _ in range(times)]
    for one in keys[: times // 2]:
        get(one)
    spent = []
    for one in keys:
        began = time.perf_counter_ns()
        get(one)
        spent.append((time.perf_counter_ns() - began) / 1_000)
    batches = []
    for _ in range(max(3, times // 1_000)):
        batch = [key(chosen.randrange(rows)) for _ in range(BATCH)]
        began = time.perf_counter_ns()
        many(batch)
        batches.append((time.perf_counter_ns() - began) / 1e6)
    spent.sort()
    return {"p50": spent[len(spent) // 2], "p99": spent[len(spent) * 99 // 100], "batch": statistics.median(batches)}


def _said(get: Callable[[str], tuple[object, object] | None], rows: int) -> list[object]:
    """A few answers, so that the sides can be compared."""
    return [get(key(number)) for number in (*range(0, rows, max(1, rows // 50)), rows)]


def ours(file: Path, _rows: int, folder: Path) -> dict[str, object]:
    """Build."""
    with duckdb.connect(config={"memory_limit": "1GB", "temp_directory": str(folder / "spill")}) as connection:
        connection.execute(f"CREATE VIEW firms AS FROM read_parquet('{file}')")
        plan = Plan(library=LIBRARY, key=KEY, generation=1, indexed=INDEXED, embedded=EMBEDDED)
        took = _timed(lambda: build(folder, connection, "firms", plan))
    switch(folder, LIBRARY, 1)
    return {**took, "bytes": _size(folder / LIBRARY)}


def ours_asked(_file: Path, rows: int, folder: Path) -> dict[str, object]:
    """Look up."""
    store = ServingStore(folder, LIBRARY, ahead=True)  # as the service opens it
    names = [str(store.view().get(key(n))["ent_name"]) for n in range(0, rows, max(1, rows // 2_000))]  # type: ignore[index]
    found = iter(names * 2)
    by_name = _timed(lambda: [store.find("ent_name", next(found)) for _ in names])
    told = _asked(rows, store.get, lambda keys: _read(store, keys), ASKED)
    told["by_name"] = by_name["seconds"] * 1e6 / len(names)
    return {
        **told,
        "said": _said(lambda one: (found["ent_name"], found["status"]) if (found := store.get(one)) else None, rows),
    }


def plain(file: Path, rows: int, folder: Path) -> dict[str, object]:
    """LMDB as one would use it first: JSON arrays as they are, one by one, no secondary key; changed in place."""
    path = folder / "plain.lmdb"
    env = lmdb.open(str(path), subdir=False, map_size=MAP, lock=False)

    def written() -> None:
        for batch in _batches(f"FROM read_parquet('{file}') ORDER BY {KEY}"):
            with env.begin(write=True) as write, write.cursor() as cursor:
                cursor.putmulti(((row[0].encode(), orjson.dumps(row, default=str)) for row in batch), append=True)

    took = _timed(written)
    size = path.stat().st_size
    told = _asked(rows, lambda one: _loaded(env, one), lambda keys: [_loaded(env, one) for one in keys], ASKED)
    said = _said(lambda one: (row[1], row[4]) if (row := _loaded(env, one)) else None, rows)
    fresh = [row for batch in _batches(_changes(rows)) for row in batch]

    def changed() -> None:
        with env.begin(write=True) as write:
            for row in fresh:
                write.put(row[0].encode(), orjson.dumps(row, default=str))

    return {**took, **told, "bytes": size, "said": said, "change": _timed(changed)["seconds"]}


def _batches(source: str) -> Iterator[list[tuple]]:  # type: ignore[type-arg]
    with duckdb.connect() as connection:
        prepare(connection)
        found = connection.execute(source)
        while batch := found.fetchmany(10_000):
            yield batch


def _loaded(env: lmdb.Environment, one: str) -> list[object] | None:
    with env.begin() as read:
        packed = read.get(one.encode())
        return None if packed is None else orjson.loads(packed)


def sqlite(file: Path, rows: int, folder: Path) -> dict[str, object]:
    """SQLite: a table without rowid with a column for each field, and the same three secondary keys."""
    path = folder / "firms.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    names = list(COLUMNS)
    connection.execute(f"CREATE TABLE firms ({', '.join(names)}, PRIMARY KEY ({KEY})) WITHOUT ROWID")

    def written() -> None:
        marks = ", ".join("?" * len(names))
        connection.execute("BEGIN")
        for batch in _batches(f"FROM read_parquet('{file}') ORDER BY {KEY}"):
            plain_rows = ([one if isinstance(one, str | int | None) else str(one) for one in row] for row in batch)
            connection.executemany(f"INSERT INTO firms VALUES ({marks})", plain_rows)
        connection.execute("COMMIT")
        for name in INDEXED:
            connection.execute(f"CREATE INDEX by_{name} ON firms ({name})")

    took = _timed(written)
    one_of = f"SELECT * FROM firms WHERE {KEY} = ?"
    several = f"SELECT * FROM firms WHERE {KEY} IN ({', '.join('?' * BATCH)})"
    told = _asked(
        rows,
        lambda one: connection.execute(one_of, (one,)).fetchone(),
        lambda keys: connection.execute(several, keys).fetchall(),
        ASKED,
    )
    said = _said(lambda one: (row[1], row[4]) if (row := connection.execute(one_of, (one,)).fetchone()) else None, rows)
    return {**took, **told, "bytes": path.stat().st_size, "said": said}


def parquet(file: Path, rows: int, _folder: Path) -> dict[str, object]:
    """DuckDB over the Parquet file itself."""
    connection = duckdb.connect()
    connection.execute("SET parquet_metadata_cache = true")
    one_of = f"SELECT * FROM read_parquet('{file}') WHERE {KEY} = ?"

    def many(keys: list[str]) -> object:
        return connection.execute(
            f"SELECT * FROM read_parquet('{file}') WHERE {KEY} IN (SELECT unnest(?))", [keys]
        ).fetchall()

    def get(one: str) -> tuple | None:  # type: ignore[type-arg]
        return connection.execute(one_of, [one]).fetchone()

    told = _asked(rows, get, many, 60)
    return {**told, "said": _said(lambda one: (row[1], row[4]) if (row := get(one)) else None, rows)}


def lag(file: Path, rows: int, folder: Path) -> dict[str, object]:
    """From the release of merged changes to the answer, in a process that has published before."""
    state = State(f"sqlite:///{folder / 'state.db'}")
    state.migrate()
    tables = Tables(folder / "warehouse", f"sqlite:///{folder / 'catalog.db'}")
    store, told = ServingStore(folder / "published", LIBRARY, check_every=0.2, ahead=True), {}
    base, said = f"base.{LIBRARY}", f"base.{LIBRARY}_attr"
    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(folder / "spill")}) as connection:
        prepare(connection)
        whole = connection.sql(f"FROM read_parquet('{file}')")
        schema = whole.limit(0).to_arrow_table().schema
        spoken = connection.sql(f"SELECT {KEY} AS key, 'market' AS department, '2026-11-22' AS observed_at FROM whole")
        for name, relation in ((base, whole), (said, spoken.limit(1000))):
            tables.ensure(name, relation.limit(0).to_arrow_table().schema)
            tables.replace(name, relation, sort=(relation.columns[0],))
        _released(state, tables, [base, said])
        told["build"] = _timed(lambda: publish(state, tables, folder / "published", LIBRARY, STANDARD))["seconds"]
        for name, count, salt in (("warm", 1_000, 3), ("few", 1_000, 1), ("many", CHANGED, 2)):
            rows_now = connection.execute(_changes(rows, count, salt)).to_arrow_table().cast(schema)
            tables.upsert(base, rows_now, key=(KEY,))
            _released(state, tables, [base])
            wanted = rows_now.slice(0, 1).to_pylist()[0]

            def answered(wanted: dict[str, object] = wanted) -> None:
                publish(state, tables, folder / "published", LIBRARY, STANDARD)
                while (store.get(str(wanted[KEY])) or {}).get("ent_name") != wanted["ent_name"]:
                    time.sleep(0.005)

            took = _timed(answered)
            told[name], told[name + "_cpu"] = took["seconds"], took["cpu"]
    told["changed"] = store.refresh().changed
    asked = _asked(rows, store.get, lambda keys: _read(store, keys), ASKED)
    return {**told, **{f"asked_{name}": one for name, one in asked.items()}}


def _read(store: ServingStore, keys: list[str]) -> list[object]:
    """A batch with a field of each record read: records are parsed when they are asked for."""
    return [one["ent_name"] for one in store.get_many(keys).values()]


def _released(state: State, tables: Tables, names: list[str]) -> None:
    heads = {name: head for name in names if (head := tables.head(name))}
    pins = {name: tables.pin(name, head.snapshot) for name, head in heads.items()}
    state.commit_release("-".join(str(one.snapshot) for one in pins.values()), pins, kind="merge")


def _changes(rows: int, count: int = CHANGED, salt: int = 2) -> str:
    """Firms spread over the whole file, with other contents."""
    count = min(count, rows // 20)
    place = f"right({KEY}, 8)::INTEGER % {rows // count}"
    return f"SELECT * FROM ({query(0, rows, salt)}) WHERE {place} = {salt} LIMIT {count}"


SIDES: dict[str, Callable[[Path, int, Path], dict[str, object]]] = {
    "ours": ours, "ours_asked": ours_asked, "plain": plain, "sqlite": sqlite, "parquet": parquet, "lag": lag,
}  # fmt: skip

if __name__ == "__main__":
    main()
