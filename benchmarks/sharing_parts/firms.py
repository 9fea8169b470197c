"""Firms of 25 columns with right credit codes, as a Parquet file, an LMDB store, a SQLite and a PostgreSQL table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
from serving_parts import firms

from infra.testing.postgres import Postgres
from warehouse.serving_build import Plan, build
from warehouse.serving_care import switch

KEY, TABLE = "uscc", "firms"
HEAD = "91330300MA"  # what all codes begin with; seven digits and the check character follow
MOST = 10_000_000
_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_FIXED = sum(_SIGNS.index(sign) * pow(3, place, 31) for place, sign in enumerate(HEAD))
_WEIGHTS = [pow(3, place, 31) for place in range(len(HEAD), 17)]
_SUM = " + ".join(
    f"{weight} * (i // {10 ** (6 - place)} % 10)" for place, weight in enumerate(_WEIGHTS)
)  # GB 32100-2015
COLUMNS = {
    **{name: written for name, written in firms.COLUMNS.items() if not name.startswith("_")},
    KEY: f"'{HEAD}' || lpad(i::VARCHAR, 7, '0') || '{_SIGNS}'[((31 - ({_FIXED} + {_SUM}) % 31) % 31 + 1)::INTEGER]",
    "tax_no": "'33030' || lpad((h % 999999937)::VARCHAR, 10, '0')",
    "remark": "CASE WHEN h % 5 = 0 THEN '年报已公示' END",
}
_PART = 500_000


def key(number: int) -> str:
    """The credit code of a firm."""
    digits = f"{number:07d}"
    total = _FIXED + sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True))
    return HEAD + digits + _SIGNS[(31 - total % 31) % 31]


def keys(rows: int, count: int = 5_000) -> list[str]:
    """Codes spread over the whole table."""
    return [key(number * rows // count) for number in range(count)]


def write(folder: Path, rows: int) -> Path:
    """The Parquet file, in the order of codes."""
    listed = ", ".join(f"{written} AS {name}" for name, written in COLUMNS.items())
    towns = "pick(['鹿城', '龙湾', '瓯海', '洞头'], h >> 13) AS town"
    rows_of = f"SELECT i, (hash(i) >> 1)::BIGINT AS h FROM range({rows}) t(i)"
    file = folder / f"{TABLE}.parquet"
    with _duckdb(folder) as connection:
        firms.prepare(connection)
        connection.execute(
            f"COPY (SELECT {listed} FROM (SELECT *, {towns} FROM ({rows_of})))"
            f" TO '{file}' (FORMAT parquet, COMPRESSION zstd)"
        )
    return file


def serve(folder: Path, file: Path) -> None:
    """The store that the sharing service answers from, below `folder`."""
    with _duckdb(folder) as connection:
        connection.execute(f"CREATE VIEW {TABLE} AS FROM read_parquet('{file}')")
        build(folder, connection, TABLE, Plan(library=TABLE, key=KEY, generation=1, indexed=(), embedded=()))
    switch(folder, TABLE, 1)


def write_sqlite(file: Path, folder: Path) -> Path:
    """A SQLite file with a column per field and the code as primary key."""
    path = folder / f"{TABLE}.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
        f"CREATE TABLE {TABLE} ({', '.join(COLUMNS)}, PRIMARY KEY ({KEY})) WITHOUT ROWID; BEGIN"
    )
    marks = ", ".join("?" * len(COLUMNS))
    for batch in _batches(file, folder):
        connection.executemany(f"INSERT INTO {TABLE} VALUES ({marks})", batch)
    connection.execute("COMMIT")
    connection.close()
    return path


def write_postgres(file: Path, folder: Path, server: Postgres, rows: int) -> int:
    """A table of text columns with the code as primary key; gives the server's main process."""
    part = folder / "part.csv"
    with psycopg.connect(server.url(driver="postgresql"), autocommit=True) as connection, _duckdb(folder) as source:
        connection.execute(f"CREATE TABLE {TABLE} ({', '.join(f'{name} text' for name in COLUMNS)})")
        for first in range(0, rows, _PART):
            within = f"{KEY} >= '{key(first)[:17]}'" + (f" AND {KEY} < '{key(end)[:17]}'" if
                (end := first + _PART) < rows else "")  # fmt: skip
            source.execute(f"COPY (FROM read_parquet('{file}') WHERE {within}) TO '{part}' (FORMAT csv, HEADER false)")
            with part.open("rb") as told, connection.cursor().copy(f"COPY {TABLE} FROM STDIN (FORMAT csv)") as copy:
                while block := told.read(1 << 20):
                    copy.write(block)
        part.unlink()
        connection.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY ({KEY})")
        connection.execute(f"VACUUM (ANALYZE) {TABLE}")
        backend = connection.info.backend_pid
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def _duckdb(folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"memory_limit": "1500MB", "threads": 2, "temp_directory": str(folder / "spill")})


def _batches(file: Path, folder: Path) -> Iterator[list[tuple[object, ...]]]:
    texts = ", ".join(f"{name}::VARCHAR" for name in COLUMNS)
    with _duckdb(folder) as connection:
        found = connection.execute(f"SELECT {texts} FROM read_parquet('{file}')")
        while batch := found.fetchmany(20_000):
            yield batch
