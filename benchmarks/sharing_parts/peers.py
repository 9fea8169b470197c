"""The peers: how each is had, started over the same firms and asked for one; packages go into a cache of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from first_parts.processes import BenchmarkError, server

from infra.testing.postgres import Postgres, free_port
from sharing_parts.firms import COLUMNS, KEY, TABLE
from sharing_parts.load import Question

PARTS = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shutong-benchmarks"
POSTGRAPHILE, DATASETTE, GATE = "postgraphile@4.14.1", "datasette==0.65.5", "queryapigate==0.43.0"
ROAPI, DATAPRESS = "roapi==0.12.7", "datap-rs==0.8.6"
GATE_KEY = "a-benchmark-s-own-key"
INSTALL_SECONDS = 600
READY_SECONDS = 300.0


@dataclass(frozen=True)
class Table:
    """The same firms in every form, and the process of the PostgreSQL that has them."""

    folder: Path
    keys: Sequence[str]
    parquet: Path
    sqlite: Path
    postgres: Postgres
    postgres_pid: int


@dataclass(frozen=True)
class Running:
    """A peer that answers: what to ask, its process, and that of its database."""

    question: Question
    pid: int
    database: int | None = None


@dataclass(frozen=True)
class Peer:
    """One of them: its package in the cache, if it has one; a `slow` one is asked for so many seconds at least."""

    name: str
    start: Callable[[Table], Any]  # a context manager of Running
    package: str = ""
    connections: int = 64
    slow: float = 0.0

    def ready(self) -> bool:
        """Whether it can be started without installing anything."""
        return not self.package or (_home(self.package) / "ready").exists()


def environment_of(*packages: str) -> Path:
    """The folder of commands of a virtual environment with these packages. Raises BenchmarkError without them."""
    home = _home(packages[0])
    if not (home / "ready").exists():
        home.mkdir(parents=True, exist_ok=True)
        _had([sys.executable, "-m", "venv", "--clear", str(home)])
        _had([str(home / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages])
        (home / "ready").touch()
    return home / "bin"


def modules_of(package: str) -> Path:
    """The node_modules folder with a package of npm. Raises BenchmarkError without it."""
    home = _home(package)
    if not (home / "ready").exists():
        home.mkdir(parents=True, exist_ok=True)
        _had(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home), package])
        (home / "ready").touch()
    return home / "node_modules"


def _home(package: str) -> Path:
    return CACHE / package.replace("==", "-").replace("@", "-")


def _had(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchmarkError(f"{' '.join(command)}: {type(error).__name__}") from error


@contextmanager
def _up(
    table: Table, name: str, command: list[str], path: str, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Any program, started by our own Python so that one way serves all."""
    started = ["-c", "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])", *command]
    with server(started, environment or {}, path, table.folder / f"{name}.log") as pid:
        yield pid


@contextmanager
def fastapi(table: Table) -> Iterator[Running]:
    """Two workers, threads for synchronous routes, a pool of connections."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {"PEER_URL": table.postgres.url(), "PEER_COLUMNS": ",".join(COLUMNS)}
    command = [str(PARTS / "peer_app.py"), str(port)]
    with server(command, environment, f"{address}/firms/{table.keys[0]}", table.folder / "fastapi.log") as pid:
        yield Running(Question(address, "/firms/{key}", table.keys), pid, table.postgres_pid)


@contextmanager
def postgraphile(table: Table) -> Iterator[Running]:
    """GraphQL over the same PostgreSQL, as its command line starts it."""
    program = modules_of(POSTGRAPHILE) / ".bin" / "postgraphile"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["node", str(program), "-c", table.postgres.url(driver="postgresql"), "-s", "public", "-n", "127.0.0.1"]
    command += ["-p", str(port), "-M", "-b", "-j", "--disable-query-log"]
    names = " ".join(_camel(name) for name in COLUMNS)
    asked = json.dumps({"query": f'{{firmByUscc(uscc:"{{key}}"){{{names}}}}}'})
    with _up(table, "postgraphile", command, f"{address}/graphql", {"NODE_ENV": "production"}) as pid:
        headers = {"Content-Type": "application/json"}
        yield Running(Question(address, "/graphql", table.keys, "POST", headers, asked), pid, table.postgres_pid)


@contextmanager
def datasette(table: Table) -> Iterator[Running]:
    """JSON of a row of the SQLite file."""
    program = environment_of(DATASETTE) / "datasette"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [str(program), "serve", str(table.sqlite), "-p", str(port), "--setting", "num_sql_threads", "8"]
    with _up(table, "datasette", command, f"{address}/-/versions.json") as pid:
        yield Running(Question(address, f"/{TABLE}/{TABLE}/{{key}}.json", table.keys), pid)


@contextmanager
def gate(table: Table) -> Iterator[Running]:
    """QueryAPIGate with a key and run history, over the SQLite file, under gunicorn as in its image."""
    program = environment_of(GATE, "gunicorn") / "gunicorn"
    home, port = table.folder / "gate", free_port()
    home.mkdir(exist_ok=True)
    address = f"http://127.0.0.1:{port}"
    environment = {"QUERYAPIGATE_HOME": str(home), "QUERYAPIGATE_API_KEY": GATE_KEY, "QUERYAPIGATE_ACCESS_LOG": "0",
                   "QUERYAPIGATE_HISTORY_RETENTION_DAYS": "2", "QUERYAPIGATE_LOG_REQUESTS": "0"}  # fmt: skip
    command = [str(program), "-c", "python:queryapigate.gunicorn_conf", "-b", f"127.0.0.1:{port}"]
    with _up(table, "gate", [*command, "queryapigate.app:create_app()"], f"{address}/q/none", environment) as pid:
        if not (home / "saved").exists():
            _tell(f"{address}/api/v1/connections", {"name": "firms", "db": "sqlite", "database": str(table.sqlite),
                                                    "active": True})  # fmt: skip
            rule = {KEY: {"type": "str", "required": True, "max_length": 18}}
            told = {"name": "firm", "sql": f"SELECT * FROM {TABLE} WHERE {KEY} = :{KEY}", "parameters": rule}
            said = {"connection_name": "firms", "author": "benchmark", "description": "a firm", "publish": True}
            _tell(f"{address}/api/v1/queries", told | said)
            (home / "saved").touch()
        yield Running(Question(address, f"/q/firm?{KEY}={{key}}", table.keys, headers={"X-API-Key": GATE_KEY}), pid)


@contextmanager
def roapi(table: Table) -> Iterator[Running]:
    """REST over the Parquet file as it is."""
    program = environment_of(ROAPI) / "roapi"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    told = {"name": TABLE, "uri": str(table.parquet), "option": {"format": "parquet", "use_memory_table": False}}
    written = table.folder / "roapi.yml"
    written.write_text(json.dumps({"addr": {"http": f"127.0.0.1:{port}"}, "tables": [told]}))  # YAML holds JSON
    with _up(table, "roapi", [str(program), "-c", str(written)], f"{address}/api/schema") as pid:
        yield Running(Question(address, f"/api/tables/{TABLE}?filter%5B{KEY}%5D=%27{{key}}%27", table.keys), pid)


@contextmanager
def datapress(table: Table) -> Iterator[Running]:
    """datap-rs: all records in memory and an index over the code, in Rust; two workers."""
    program = environment_of(DATAPRESS) / "python"
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    code = (
        "import asyncio\nfrom datap_rs.datapress import DataPress, DataPressConfig, DatasetConfig\n"
        "async def main():\n"
        f"    firms = DatasetConfig(name={TABLE!r}, source={str(table.parquet)!r}, mode='list',\n"
        f"                          index_columns=[{KEY!r}], index_max_cardinality=20_000_000)\n"
        f"    await DataPress(DataPressConfig(backend='datafusion', port={port}, workers=2), datasets=[firms]).run()\n"
        "asyncio.run(main())\n"
    )
    asked = json.dumps({"predicates": [{"col": KEY, "op": "eq", "val": "{key}"}], "page": 1, "page_size": 1})
    with _up(table, "datapress", [str(program), "-c", code], f"{address}/readyz") as pid:
        _until_ready(f"{address}/readyz")
        headers = {"Content-Type": "application/json"}
        yield Running(Question(address, f"/api/v1/datasets/{TABLE}/query", table.keys, "POST", headers, asked), pid)


PEERS = (
    Peer("fastapi", fastapi), Peer("postgraphile", postgraphile, POSTGRAPHILE), Peer("datasette", datasette, DATASETTE),
    Peer("queryapigate", gate, GATE), Peer("roapi", roapi, ROAPI, 4, 5.0), Peer("datap_rs", datapress, DATAPRESS),
)  # fmt: skip


def _tell(url: str, told: dict[str, object]) -> None:
    headers = {"Content-Type": "application/json", "X-API-Key": GATE_KEY}
    asked = urllib.request.Request(url, json.dumps(told).encode(), headers)
    with urllib.request.urlopen(asked, timeout=20):
        pass


def _until_ready(url: str) -> None:
    """It answers that it is not ready while it reads."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise BenchmarkError(f"{url}: not ready after {READY_SECONDS} s")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(one.title() for one in rest)
