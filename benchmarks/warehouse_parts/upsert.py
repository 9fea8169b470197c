"""Bring 50,000 keyed changes into a table and read it again, beside delta-rs, DuckLake and plain Parquet files."""

from __future__ import annotations

import importlib.util
import json
import resource
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP), str(TOP / "benchmarks")]

from serving_parts.firms import COLUMNS, prepare, query  # noqa: E402

from warehouse.site import name as file_name  # noqa: E402
from warehouse.tables import Tables  # noqa: E402

STEPS = ("rows", "ours_made", "ours", "delta_made", "delta", "lake_made", "lake", "read", "scan")
AT_MOST = (
    "upsert_written_percent",
    "upsert_over_ducklake",
    "upsert_scan_over_plain",
    "upsert_wide_scan_over_plain",
    "upsert_peak_mib",
)
TARGETS = {
    "upsert_written_percent": 1.0,
    "upsert_delta_over_ours": 15.0,
    "upsert_over_ducklake": 1.3,
    "upsert_scan_over_plain": 1.3,
    "upsert_wide_scan_over_plain": 1.3,
    "upsert_peak_mib": 700.0,
    "upsert_renamed": 1.0,
}
BYTES_PER_ROW = 900  # four copies of the rows, and those that delta-rs writes again
CHANGED, NEW = 45_000, 5_000  # of ten million rows or of fewer
NAME, KEY, ROUNDS = "t.firms", "uscc", 7
SCANNED = "sum(reg_capital), count(DISTINCT area_code)"  # two columns, of which a part of the changes say something new
WIDE = f"{SCANNED}, max(ent_name), count(DISTINCT status), min(est_date), max({KEY})"  # six
READ = ("reg_capital", "area_code", "ent_name", "status", "est_date", KEY)
PIECES = 5  # files of a table before the changes
FIELDS = [name for name in COLUMNS if name[0] != "_"]  # DuckLake and delta-rs have lists, too; let nobody stumble
MEMORY = "500MB"  # of DuckDB, whoever drives it


def rows(count: int, folder: Path) -> dict[str, float]:
    """The rows in files by key, and the changes: firms spread over all of them, and new ones."""
    listed = ", ".join(FIELDS)
    with _connected(folder) as connection:
        prepare(connection)
        for piece in range(PIECES):
            first, last = count * piece // PIECES, count * (piece + 1) // PIECES
            target = folder / f"rows-{piece}.parquet"
            connection.execute(
                f"COPY (SELECT {listed} FROM ({query(first, last - first)})) TO '{target}' (COMPRESSION zstd)"
            )
        updated, new = min(CHANGED, count // 20), min(NEW, count // 100)
        old = f"SELECT {listed} FROM ({query(0, count, 2)}) WHERE right(uscc, 8)::INTEGER % {count // updated} = 1"
        connection.execute(
            f"COPY (SELECT * FROM ({old} LIMIT {updated}) UNION ALL SELECT {listed} FROM ({query(count, new)}))"
            f" TO '{folder / 'changes.parquet'}' (COMPRESSION zstd)"
        )
    return {}


def ours_made(_count: int, folder: Path) -> dict[str, float]:
    """The rows in a table of several files."""
    tables = _tables(folder)
    with tables.connect(MEMORY) as connection:
        tables.ensure(
            NAME, connection.sql(f"FROM read_parquet('{folder / 'rows-0.parquet'}')").limit(0).to_arrow_table().schema
        )
        for piece in range(PIECES):
            tables.append(NAME, connection.sql(f"FROM read_parquet('{folder / f'rows-{piece}.parquet'}')"))
    return {}


def ours(_count: int, folder: Path) -> dict[str, float]:
    """One snapshot of position deletes and a data file."""
    tables, before = _tables(folder), _size(folder / "tables")
    with tables.connect(MEMORY) as connection:
        began = cpu()
        tables.upsert(NAME, connection.sql(f"FROM read_parquet('{folder / 'changes.parquet'}')"), key=(KEY,))
        took = cpu() - began
    return {"cpu": took, "written_percent": (_size(folder / "tables") - before) * 100 / before}


def scan(_count: int, folder: Path) -> dict[str, float]:
    """Two columns, and six, of the snapshot and of its files as they are; then of the table with a column renamed."""
    tables = _tables(folder)
    head = tables.head(NAME)
    assert head is not None
    files = [file_name(one.file_path) for one in tables.plan(NAME, head.snapshot).data]
    relation, spent = tables.relation(NAME, head.snapshot, READ), dict[str, list[float]]()
    with tables.connect(MEMORY) as connection:
        for wanted, wide in ((SCANNED, ""), (WIDE, "wide_")):
            for _round in range(ROUNDS):
                for name, source in (("plain", f"read_parquet({files})"), ("ours", relation)):
                    began = cpu()
                    connection.execute(f"SELECT {wanted} FROM {source}").fetchall()
                    spent.setdefault(f"{wide}{name}", []).append(cpu() - began)
        said = connection.execute(f"SELECT {SCANNED} FROM {relation}").fetchall()
        table = tables._load(NAME)  # noqa: SLF001 - a rename is not for users of tables
        with table.update_schema() as update:
            update.rename_column("reg_capital", "注册资本")
        moved = tables.append(NAME, connection.sql("SELECT 'new' AS uscc, 1::DECIMAL(24, 6) AS \"注册资本\""))
        named = tables.relation(NAME, moved, ["注册资本", "area_code", KEY])
        renamed = SCANNED.replace("reg_capital", '"注册资本"')
        again = connection.execute(f"SELECT {renamed} FROM {named} WHERE uscc <> 'new'").fetchall()
    told = {f"{name}_cpu": statistics.median(one) for name, one in spent.items()}
    return {**told, "renamed": float(said == again)}


def delta_made(_count: int, folder: Path) -> dict[str, float]:
    """The rows in a Delta table of as many files."""
    if not _there("deltalake"):
        return {}
    from deltalake import write_deltalake

    with _connected(folder) as connection:
        for piece in range(PIECES):
            reader = connection.execute(f"FROM read_parquet('{folder / f'rows-{piece}.parquet'}')").to_arrow_reader(
                65_536
            )
            write_deltalake(folder / "delta", reader, mode="append")
    return {}


def delta(_count: int, folder: Path) -> dict[str, float]:
    """Merged by delta-rs."""
    if not _there("deltalake"):
        return {}
    from deltalake import DeltaTable

    table, before = DeltaTable(folder / "delta"), _size(folder / "delta")
    with _connected(folder) as connection:
        changes = connection.execute(f"FROM read_parquet('{folder / 'changes.parquet'}')").to_arrow_table()
        began = cpu()
        merged = table.merge(changes, f"t.{KEY} = s.{KEY}", source_alias="s", target_alias="t")
        merged.when_matched_update_all().when_not_matched_insert_all().execute()
        took = cpu() - began
        written = (_size(folder / "delta") - before) * 100 / before
        return {"cpu": took, "written_percent": written}


def lake_made(_count: int, folder: Path) -> dict[str, float]:
    """The rows in a DuckLake."""
    if not _there("duckdb_extension_ducklake"):
        return {}
    with _lake(folder) as connection:
        files = [str(folder / f"rows-{piece}.parquet") for piece in range(PIECES)]
        connection.execute(f"CREATE TABLE lake.firms AS FROM read_parquet({files[:1]})")
        for one in files[1:]:
            connection.execute(f"INSERT INTO lake.firms FROM read_parquet('{one}')")
    return {}


def lake(_count: int, folder: Path) -> dict[str, float]:
    """Merged by DuckLake."""
    if not _there("duckdb_extension_ducklake"):
        return {}
    with _lake(folder) as connection:
        before, listed = _size(folder / "lake"), ", ".join(FIELDS)
        began = cpu()
        connection.execute(
            f"MERGE INTO lake.firms USING (FROM read_parquet('{folder / 'changes.parquet'}')) AS s USING ({KEY})"
            f" WHEN MATCHED THEN UPDATE WHEN NOT MATCHED THEN INSERT ({listed}) VALUES ({listed})"
        )
        took = cpu() - began
        written = (_size(folder / "lake") - before) * 100 / before
        return {"cpu": took, "written_percent": written}


def read(_count: int, folder: Path) -> dict[str, float]:
    """What each side holds afterwards, as a number that is the same for the same rows."""
    tables, told = _tables(folder), dict[str, float]()
    head = tables.head(NAME)
    assert head is not None
    with tables.connect(MEMORY) as connection:
        told["ours"] = _digest(connection, tables.relation(NAME, head.snapshot, FIELDS))
    if _there("deltalake"):
        from deltalake import DeltaTable

        files = [one.removeprefix("file://") for one in DeltaTable(folder / "delta").file_uris()]
        with _connected(folder) as connection:
            told["delta"] = _digest(connection, f"read_parquet({files})")
    if _there("duckdb_extension_ducklake"):
        with _lake(folder) as connection:
            told["lake"] = _digest(connection, "lake.firms")
    return told


def _lake(folder: Path) -> duckdb.DuckDBPyConnection:
    found = importlib.util.find_spec("duckdb_extension_ducklake")
    assert found is not None
    assert found.origin is not None
    (file,) = Path(found.origin).parent.glob(f"extensions/v{duckdb.__version__}/ducklake.duckdb_extension")
    connection = _connected(folder)
    connection.execute(f"LOAD '{file}'")
    connection.execute(f"ATTACH 'ducklake:{folder / 'lake.ducklake'}' AS lake (DATA_PATH '{folder / 'lake'}')")
    return connection


def _tables(folder: Path) -> Tables:
    return Tables(folder / "tables", f"sqlite:///{folder / 'catalog.db'}")


def _connected(folder: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(folder / "spill")})


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def _digest(connection: duckdb.DuckDBPyConnection, relation: str) -> float:
    """The same for the same rows, whatever their order."""
    (digest,) = connection.execute(f"SELECT sum(hash({', '.join(FIELDS)}) % 1000003) FROM {relation}").fetchone() or (
        0,
    )
    return float(digest)


def figures(steps: Mapping[str, Any]) -> dict[str, float]:
    """Ratios of CPU seconds, far off target where a peer is not installed, and whether all sides hold the same rows."""
    said = {name: ended.said for name, ended in steps.items()}
    spent, scanned = said["ours"]["cpu"], said["scan"]
    return {
        "upsert_cpu_s": spent,
        "upsert_delta_cpu_s": said["delta"].get("cpu", 0.0),
        "upsert_ducklake_cpu_s": said["lake"].get("cpu", 0.0),
        "upsert_delta_written_percent": said["delta"].get("written_percent", 0.0),
        "upsert_written_percent": said["ours"]["written_percent"],
        "upsert_delta_over_ours": said["delta"].get("cpu", 0.0) / spent,
        "upsert_over_ducklake": spent / said["lake"].get("cpu", spent / 99),
        "upsert_scan_over_plain": scanned["ours_cpu"] / scanned["plain_cpu"],
        "upsert_wide_scan_over_plain": scanned["wide_ours_cpu"] / scanned["wide_plain_cpu"],
        "upsert_peak_mib": steps["ours"].mib,
        "upsert_renamed": scanned["renamed"],
        "upsert_same": float(len(set(said["read"].values())) == 1),
    }


def cpu() -> float:
    """Seconds this process has computed."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(step: str, count: int, folder: Path) -> None:
    """Do one step and print what it measured."""
    acts: dict[str, Callable[[int, Path], dict[str, float]]] = {
        "rows": rows, "ours_made": ours_made, "ours": ours, "scan": scan, "delta_made": delta_made, "delta": delta,
        "lake_made": lake_made, "lake": lake, "read": read,
    }  # fmt: skip
    print(json.dumps(acts[step](count, folder)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
