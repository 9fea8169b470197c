"""Copy a state or catalog database to a file and back: SQLite by its online backup, PostgreSQL by its own tools."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from warehouse.durable import sync
from warehouse.errors import WarehouseError

SECONDS = 3600  # a dump or a restore may take
_TOOLS = Path("/usr/lib/postgresql")  # where Debian keeps the tools of each version


def suffix(url: str) -> str:
    """How a dump of the database is called."""
    return ".db" if _is_sqlite(url) else ".dump"


def dump(url: str, target: Path) -> None:
    """Write the database as it stands at one instant to a new file, durable; others go on working meanwhile."""
    if _is_sqlite(url):
        with closing(sqlite3.connect(_path(url))) as source, closing(sqlite3.connect(target)) as copy:
            source.backup(copy)
    else:
        _run("pg_dump", url, ["--format=custom", "--no-owner", f"--file={target}"])
    sync(target)


def load(url: str, source: Path) -> None:
    """Make the database what the file says, in one transaction; a SQLite file that is damaged is put aside before.

    Nobody else may be working with it.
    """
    if not _is_sqlite(url):
        _run("pg_restore", url, ["--clean", "--if-exists", "--no-owner", "--single-transaction", str(source)])
        return
    target = _path(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _copied(source, target)
    except sqlite3.DatabaseError:
        for ending in ("", "-wal", "-shm"):
            damaged = Path(f"{target}{ending}")
            if damaged.exists():
                damaged.replace(f"{target}{ending}.damaged")
        _copied(source, target)
    sync(target)


def sound(file: Path) -> bool:
    """Whether a dumped SQLite file is whole; dumps of PostgreSQL are known by their digest only."""
    if file.suffix != ".db":
        return True
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))


def _copied(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as copy, closing(sqlite3.connect(target)) as live:
        copy.backup(live)


def _is_sqlite(url: str) -> bool:
    return sa.make_url(url).get_backend_name() == "sqlite"


def _path(url: str) -> Path:
    return Path(sa.make_url(url).database or "")


def _run(tool: str, url: str, arguments: list[str]) -> None:
    """Run a tool of PostgreSQL; its password travels in the environment, where no list of processes shows it."""
    parsed = sa.make_url(url)
    said = {"PGHOST": parsed.host, "PGPORT": parsed.port, "PGUSER": parsed.username, "PGDATABASE": parsed.database,
            "PGPASSWORD": parsed.password, "PGCONNECT_TIMEOUT": 10}  # fmt: skip
    known = {name: str(value) for name, value in said.items() if value is not None}
    named = ["--dbname", parsed.database or "postgres"] if tool == "pg_restore" else []
    try:
        done = subprocess.run(  # noqa: S603 - a tool of PostgreSQL, no shell
            [_found(tool), *named, *arguments], env={**os.environ, **known}, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise _failed(tool, f"no end after {SECONDS} s") from error
    if done.returncode:
        raise _failed(tool, (done.stderr.strip().splitlines() or ["?"])[-1])


def _found(tool: str) -> str:
    newest = sorted(_TOOLS.glob(f"*/bin/{tool}"), key=lambda one: one.parts[-3])
    found = shutil.which(tool) or (str(newest[-1]) if newest else None)
    if found is None:
        raise WarehouseError(
            "WH-BACKUP-TOOL",
            zh=f"本机没有 PostgreSQL 的工具 {tool}",
            en=f"this machine has no {tool}, which PostgreSQL databases are copied with",
            fix_zh="安装与服务器同版本或更新的 postgresql-client",
            fix_en="Install postgresql-client, of the server's version or newer",
        )
    return found


def _failed(tool: str, why: str) -> WarehouseError:
    return WarehouseError(
        "WH-BACKUP-FAILED",
        zh=f"{tool} 未能完成：{why}",
        en=f"{tool} did not come to its end: {why}",
        fix_zh="检查数据库服务、权限、磁盘与工具版本后重试；此前的备份不受影响",
        fix_en="Look at the server, permissions, the disk and the tool's version, then try again; earlier backups are"
        " safe",
    )
