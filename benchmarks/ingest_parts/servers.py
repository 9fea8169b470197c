"""Put the made-up table into a PostgreSQL and a MariaDB server of the benchmark's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pymysql

from infra.testing.mariadb import MariaDB
from infra.testing.postgres import Postgres, binaries
from ingest_parts.entities import COLUMNS

TABLE = "ent"
AGAIN = 4  # the view `ent_again` holds the table's rows so many times
PARTS = Path(__file__).parent


def write(path: Path, rows: int) -> None:
    r"""Write the rows as tab-separated text, \N for null: both servers read it as it is."""
    command = [sys.executable, str(PARTS / "write_entities.py"), str(path), str(rows)]
    subprocess.run(command, check=True)  # in a process of its own: its memory is nobody's peak


def load_postgres(server: Postgres, path: Path) -> int:
    """Create and fill the table and the view; returns the server's main process."""
    with psycopg.connect(server.url(driver="postgresql"), autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {TABLE} ({_columns()})")
        with path.open("rb") as file, connection.cursor().copy(f"COPY {TABLE} FROM STDIN") as copy:
            while block := file.read(1 << 20):
                copy.write(block)
        connection.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (pripid)")
        connection.execute(f"VACUUM (ANALYZE) {TABLE}")
        connection.execute("CHECKPOINT")
        connection.execute(
            f"CREATE VIEW {TABLE}_again AS SELECT {TABLE}.* FROM generate_series(1, {AGAIN}) AS times, {TABLE}"
        )
        backend = connection.info.backend_pid
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def copy_command(server: Postgres) -> tuple[list[str], dict[str, str]]:
    """The floor: PostgreSQL's own client receives the table as text; command and environment."""
    where = ["-h", "127.0.0.1", "-p", str(server.port), "-U", server.user, "-d", "postgres", "-X", "-q"]
    return [str(binaries() / "psql"), *where, "-c", f"COPY {TABLE} TO STDOUT"], {"PGPASSWORD": server.password}


def load_mariadb(server: MariaDB, path: Path) -> int:
    """Create and fill the table; returns the server's process."""
    connection = pymysql.connect(
        host="127.0.0.1",
        port=server.port,
        user=server.user,
        password=server.password,
        database="test",
        local_infile=True,
        charset="utf8mb4",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SET sql_mode = ''")
        cursor.execute(f"CREATE TABLE {TABLE} ({_columns()}, PRIMARY KEY (pripid)) CHARACTER SET utf8mb4")
        cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {TABLE} CHARACTER SET utf8mb4")
        connection.commit()
        cursor.execute(f"ANALYZE TABLE {TABLE}")
    return server.pid


def _columns() -> str:
    return ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
