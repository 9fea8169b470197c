"""Arrange a table of a departmental database (SQLite) that tests change, and read it again in every mode."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from small_deployment import SMALL_STANDARD, add_resource, code

COLUMNS = "uniscid TEXT, entname TEXT, apprdate TEXT, dom TEXT"
MAP = "map: {uscc: uniscid, ent_name: entname, appr_date: apprdate, domicile: dom}\n"
TABLE = "{kind: sql, table: ent}"
CHANGING = "{kind: sql, table: ent, cursor: {column: changed, lag: 0}}"


def system(home: Path, more: str = "", name: str = "db") -> Path:
    """The department's database with its empty table `ent`; `more` are further columns."""
    path = home / f"{name}.db"
    change(path, f"CREATE TABLE ent ({COLUMNS}{more})")
    with (home / "connections.yaml").open("a", encoding="utf-8") as file:
        start = "connections:\n" if not file.tell() else ""
        file.write(f'{start}  {name}: {{url: "sqlite:///{{home}}/{name}.db"}}\n')
    return path


def change(path: Path, *statements: str, rows: Sequence[Sequence[object]] = ()) -> None:
    """Do the statements in one transaction; `rows` are inserted last."""
    with closing(sqlite3.connect(path)) as database, database:
        for statement in statements:
            database.execute(statement)
        if rows:
            database.executemany(f"INSERT INTO ent VALUES ({', '.join('?' * len(rows[0]))})", rows)


def firm(number: int, name: str = "甲有限公司", day: str = "2024-01-01", *more: object) -> tuple[object, ...]:
    """One row of `ent`."""
    return (code(number), name, day, "杭州市西湖区", *more)


def delete(path: Path, *numbers: int) -> None:
    """The department deletes firms."""
    change(path, *(f"DELETE FROM ent WHERE uniscid = '{code(number)}'" for number in numbers))


def reads(home: Path, read: str, source: str = TABLE, name: str = "firms", system: str = "db") -> Path:
    """A resource over `ent` of a system; `read` is the YAML of its `read`."""
    lines = f"connection: {system}\n{MAP}" + (f"read: {read}\n" if read else "")
    return add_resource(home, source, name, standard=SMALL_STANDARD, more=lines)
