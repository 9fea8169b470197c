"""Merge three departments: rebuilt whole beside a bare DuckDB join, sort and write; changes beside the rebuild.

Changes are merged through keyed twins of data files, whose making is a step of its own.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from schemas.standard import Field, Standard
from warehouse.crosswalk import Contribution
from warehouse.keyed_care import tend
from warehouse.merge import merge
from warehouse.state import State
from warehouse.tables import Tables

STEPS = ("land", "bare", "whole", "twins", "change", "changes", "again")
TARGETS = {"merge_whole_over_bare": 2.5, "merge_whole_over_changes": 50.0, "merge_peak_mib": 4_096.0}
AT_MOST = ("merge_whole_over_bare", "merge_peak_mib")
BYTES_PER_ROW = 1_500  # of disk; two thirds are keyed twins
CHANGED = (35_000, 10_000, 5_000)  # rows of each department, of ten million firms or of fewer
MEMORY = "3GB"  # of DuckDB in the bare run, whose join and sort spill beyond
TYPES = {"reg_capital": "capital", "est_date": "date", "appr_date": "date", "staff": "integer"}
NAMES = (
    "uscc", "subject_id", "reg_no", "org_code", "tax_no", "ent_name", "dom", "legal_rep", "reg_capital", "est_date",
    "appr_date", "status", "industry", "staff", "tel", "region",
)  # fmt: skip
STANDARD = Standard(
    name="legal_person", version=1, zh="法人", en="legal person", library="legal_person", rules=(), key=("uscc",),
    order=("appr_date",), identifiers=("subject_id", "uscc", "reg_no", "org_code", "tax_no"),
    fields=tuple(
        Field(name, name, name, TYPES.get(name, "text"), authority={"dom": ("d1",), "ent_name": ("d0",)}.get(name, ()))
        for name in NAMES
    ),
)  # fmt: skip
WHO = tuple(Contribution(f"d{n}.firms", f"d{n}", f"std_d{n}.firms") for n in range(3))


def rows_of(department: int, count: int, landed: str, suffix: str = "", where: str = "true") -> str:
    """SQL of a department's rows of the firms 0 to `count` of which `where` (about `i`) is true.

    One in twenty has another name there.
    """
    key = "'9133' || lpad((i * 7 + 13)::VARCHAR, 14, '0')"
    return f"""
        SELECT {key} AS uscc, 'P' || lpad(i::VARCHAR, 16, '0') AS subject_id,
          '3303' || lpad(i::VARCHAR, 11, '0') AS reg_no, substr({key}, 9, 9) AS org_code, {key} AS tax_no,
          '浙江' || hash(i) % 100000 || '第' || i || '有限公司' || CASE WHEN i % 20 = {department} THEN '×' ELSE '' END
            AS ent_name,
          '杭州市西湖区文三路' || hash(i + {department}) % 1000 || '号' || i % 77 || '室{suffix}' AS dom,
          '法人' || hash(i * 3) % 500000 AS legal_rep, (hash(i) % 1000000)::DECIMAL(24, 6) / 10 AS reg_capital,
          DATE '1990-01-01' + (hash(i * 5) % 12000)::INT AS est_date,
          DATE '2010-01-01' + (hash(i * 5 + {department}) % 5000)::INT AS appr_date,
          (hash(i + {department * 7}) % 5)::VARCHAR AS status, (hash(i) % 97)::VARCHAR AS industry,
          (hash(i * 9) % 1000)::BIGINT AS staff, '0571-8' || hash(i + {department}) % 10000000 AS tel,
          (hash(i) % 90)::VARCHAR AS region, '{landed}' AS _landed_at
        FROM range({count}) AS t(i) WHERE {where}"""


def land(rows: int, folder: Path) -> dict[str, object]:
    """Three departments' tables, and the same rows as plain files."""
    state, tables = opened(folder)
    with tables.connect() as connection:
        for number, one in enumerate(WHO):
            said = connection.sql(rows_of(number, rows, "2026-11-22T08:00:00.000000+08:00"))
            said.to_parquet(str(folder / f"{number}.parquet"), compression="zstd")
            relation = connection.sql(f"FROM read_parquet('{folder / f'{number}.parquet'}')")
            tables.ensure(one.table, relation.limit(0).to_arrow_table().schema)
            snapshot = tables.replace(one.table, relation, sort=("uscc",))
            state.commit_release(f"land-{number}", {one.table: tables.pin(one.table, snapshot)})
    return {}


def bare(_rows: int, folder: Path) -> dict[str, object]:
    """What anybody would write first: join, take the first that is there, sort, write."""
    told = ", ".join(f"coalesce(a.{name}, b.{name}, c.{name}) AS {name}" for name in NAMES[1:])
    a, b, c = (f"read_parquet('{folder / f'{number}.parquet'}')" for number in range(3))
    with duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(folder / "spill")}) as connection:
        connection.execute(
            f"COPY (SELECT uscc, {told} FROM {a} AS a FULL JOIN {b} AS b USING (uscc) FULL JOIN {c} AS c USING (uscc)"
            f" ORDER BY uscc) TO '{folder / 'bare.parquet'}' (FORMAT parquet, COMPRESSION zstd)"
        )
    for file in folder.glob("*.parquet"):
        file.unlink()  # no later step reads them
    return {}


def change(rows: int, folder: Path) -> dict[str, object]:
    """50,000 rows of three departments landed as row deltas: new addresses, and new firms."""
    state, tables = opened(folder)
    with tables.connect() as connection:
        for number, one in enumerate(WHO):
            count = CHANGED[number]
            landed = f"2026-11-23T0{number}:00:00.000000+08:00"
            some, few = (f"hash(i, {number + salt}) % {rows} < {most}" for salt, most in ((0, count), (3, count // 10)))
            fresh = rows_of(number, rows, landed, "新", few)
            relation = connection.sql(
                f"{rows_of(number, rows, landed, '新', some)} UNION ALL"
                f" SELECT * REPLACE ('92' || uscc[3:] AS uscc, 'N' || subject_id AS subject_id) FROM ({fresh})"
            )
            snapshot = tables.upsert(one.table, relation, key=("uscc",))
            assert snapshot is not None
            state.commit_release(f"change-{number}", {one.table: tables.pin(one.table, snapshot)})
    return {}


def twinned(folder: Path) -> dict[str, object]:
    """The keyed twins of what was merged, and their disk."""
    state, tables = opened(folder)
    made = tend(state, tables, "legal_person")
    size = sum(one.stat().st_size for one in (tables.folder / "keyed").rglob("*") if one.is_file())
    return {"rows": made.rows, "mib": size / 2**20}


def merged(folder: Path, *, whole: bool) -> dict[str, object]:
    """One merge in a process that looked at the tables before; what it counted, as a digest.

    What pyiceberg imports with a process's first commit is there: a run that landed something has paid for it.
    """
    for name in ("rich.console", "rich.table"):
        importlib.import_module(name)
    state, tables = opened(folder)
    for one in WHO:
        tables.plan(one.table, state.released(one.table))
    began = _cpu()
    made = merge(state, tables, "legal_person", STANDARD, WHO, whole=whole)
    used = _cpu() - began
    counted = [made.records, *(number for one in made.compared for number in (one.records, one.differing))]
    with tables.connect() as connection:
        base = tables.relation("base.legal_person", state.released("base.legal_person"))
        (digest,) = connection.execute(f"SELECT bit_xor(hash(r)) FROM {base} AS r").fetchone() or (0,)
    return {"whole": int(made.whole), "records": made.records, "counted": sum(counted), "digest": digest, "cpu": used}


def opened(folder: Path) -> tuple[State, Tables]:
    """The deployment in the folder."""
    state = State(f"sqlite:///{folder / 'state.db'}")
    state.migrate()
    return state, Tables(folder / "warehouse", f"sqlite:///{folder / 'catalog.db'}")


def figures(steps: Mapping[str, Any]) -> dict[str, float]:
    """Ratios of CPU seconds, the greatest memory, and whether changes came to what rebuilding comes to."""
    cpu = {name: float(ended.said["cpu"]) for name, ended in steps.items()}
    changes, again = (steps[name].said for name in ("changes", "again"))
    alike = all(changes[name] == again[name] for name in ("records", "counted", "digest"))
    return {
        "merge_bare_cpu_s": cpu["bare"],
        "merge_whole_cpu_s": cpu["whole"],
        "merge_again_cpu_s": cpu["again"],
        "merge_twins_cpu_s": cpu["twins"],
        "merge_twins_disk_mib": float(steps["twins"].said["mib"]),
        "merge_changes_cpu_s": cpu["changes"],
        "merge_whole_over_bare": cpu["whole"] / cpu["bare"],
        "merge_whole_over_changes": cpu["again"] / cpu["changes"],  # both stand on the same library before
        "merge_peak_mib": max(steps[name].mib for name in ("whole", "twins", "changes", "again")),
        "merge_same": float(alike and not changes["whole"]),
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(step: str, rows: int, folder: Path) -> None:
    """Do one step and print what it measured."""
    acts: dict[str, Callable[[], dict[str, object]]] = {
        "land": lambda: land(rows, folder),
        "bare": lambda: bare(rows, folder),
        "whole": lambda: merged(folder, whole=False),
        "twins": lambda: twinned(folder),
        "change": lambda: change(rows, folder),
        "changes": lambda: merged(folder, whole=False),
        "again": lambda: merged(folder, whole=True),
    }
    began = _cpu()
    said = acts[step]()
    print(json.dumps({"cpu": _cpu() - began, **said}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
