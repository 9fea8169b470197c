"""Run Airflow for a deployment and ask it, over its own REST API, what it ran: its programs, environment and client."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self, cast

import httpx
import stamina

from shutong.supervisor import Program, python

USER = "shutong"
PRELOAD = '''"""Import the heavy libraries once in the scheduler: the tasks it forks inherit them."""

import sys

if sys.argv[1:2] == ["scheduler"]:
    import shutong.preload  # noqa: F401
'''


@dataclass(frozen=True, slots=True)
class AirflowKeys:
    """What all components of one deployment share; generated once, kept in a file only its owner reads."""

    password: str
    fernet: str
    jwt: str
    api: str


@dataclass(frozen=True, slots=True)
class Airflow:
    """One deployment's Airflow: folder, port, environment."""

    home: Path
    port: int
    environment: Mapping[str, str]
    password: str

    @property
    def url(self) -> str:
        """Where its pages and API are."""
        return f"http://127.0.0.1:{self.port}"

    def programs(self) -> tuple[Program, ...]:
        """The four components; log servers stay off because they would listen on every address."""
        airflow = python("-m", "airflow")
        return tuple(
            Program(name, (*airflow, *arguments), self.environment)
            for name, arguments in (
                ("airflow-api", ("api-server",)),
                ("airflow-scheduler", ("scheduler", "--skip-serve-logs")),
                ("airflow-dags", ("dag-processor",)),
                ("airflow-triggerer", ("triggerer", "--skip-serve-logs")),
            )
        )

    def migrate(self) -> None:
        """Create or upgrade Airflow's own database."""
        self._call("db", "migrate")

    def import_pools(self, pools: Mapping[str, int]) -> None:
        """Create or resize pools in Airflow's own database, whether or not its API runs."""
        path = self.home / "pools.json"
        described = {"description": "Shutong", "include_deferred": False}
        path.write_text(json.dumps({name: {"slots": slots, **described} for name, slots in pools.items()}))
        self._call("pools", "import", str(path))

    def _call(self, *arguments: str) -> None:
        subprocess.run(  # noqa: S603 - our own interpreter
            python("-m", "airflow", *arguments),
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
        )


def prepare(home: Path, port: int, deployment: Mapping[str, str], database_url: str | None = None) -> Airflow:
    """Lay out `<home>/airflow` and return it as a value.

    `deployment` is handed to every component (SHUTONG_HOME and the like); `database_url` is Airflow's metadata
    database, SQLite in its folder when None.
    """
    folder = home / "airflow"
    (folder / "config").mkdir(parents=True, exist_ok=True)
    _write_private(folder / "config" / "airflow_local_settings.py", PRELOAD)
    keys = _keys(folder / "keys.json")
    passwords = folder / "passwords.json"
    _write_private(passwords, json.dumps({USER: keys.password}))
    found = find_spec("dags")
    if found is None or found.origin is None:
        raise FileNotFoundError("dags")
    url = f"http://127.0.0.1:{port}"
    environment = {
        **deployment,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(found.origin).parent),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Asia/Shanghai",
        "AIRFLOW__CORE__FERNET_KEY": keys.fernet,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url or f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__SECRET_KEY": keys.api,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": keys.jwt,
        "AIRFLOW__DAG_PROCESSOR__DAG_VERSION_INFLATION_CHECK_LEVEL": "error",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
        "GX_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    return Airflow(folder, port, environment, keys.password)


def _keys(path: Path) -> AirflowKeys:
    if not path.exists():
        made = {
            "password": secrets.token_urlsafe(12),
            "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt": secrets.token_hex(32),
            "api": secrets.token_hex(16),
        }
        _write_private(path, json.dumps(made))
    return AirflowKeys(**json.loads(path.read_text()))


def _write_private(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return  # another part of the same Airflow may be reading it
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)


@dataclass(frozen=True, slots=True)
class DagRun:
    """One run as Airflow's API tells it; `kind` is scheduled, asset_triggered, manual or backfill."""

    dag: str
    run: str
    kind: str
    state: str


class AirflowClient:
    """Airflow's REST API, logged in as the deployment's user."""

    def __init__(self, airflow: Airflow) -> None:
        self._airflow = airflow
        self._http = httpx.Client(base_url=airflow.url, timeout=60.0, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def healthy(self) -> bool:
        """True when the scheduler, the DAG processor and the triggerer all report so."""
        try:
            answer = self._http.get("/api/v2/monitor/health")
            parts = answer.json()
            return answer.status_code == httpx.codes.OK and all(
                parts[name]["status"] == "healthy" for name in ("scheduler", "dag_processor", "triggerer")
            )
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def login(self) -> None:
        """Take a token for the calls below."""
        answer = self._http.post("/auth/token", json={"username": USER, "password": self._airflow.password})
        answer.raise_for_status()
        self._http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

    def dags(self) -> list[str]:
        """The DAG ids Airflow knows."""
        return sorted(one["dag_id"] for one in self._pages("/api/v2/dags", "dags"))

    def set_pools(self, pools: Mapping[str, int]) -> None:
        """Create or resize the pools that tasks name: without its pool a task never runs."""
        known = {one["name"] for one in self._pages("/api/v2/pools", "pools")}
        for name, slots in pools.items():
            body = {"name": name, "slots": slots, "description": "Shutong", "include_deferred": False}
            if name in known:
                self._http.patch(f"/api/v2/pools/{name}", json=body).raise_for_status()
            else:
                self._http.post("/api/v2/pools", json=body).raise_for_status()

    def import_errors(self) -> list[str]:
        """What kept a DAG file from loading."""
        return [one["stack_trace"] for one in self._pages("/api/v2/importErrors", "import_errors")]

    def runs(self, dag: str = "~") -> list[DagRun]:
        """The runs of one DAG, or of all."""
        return [
            DagRun(one["dag_id"], one["dag_run_id"], one["run_type"], one["state"])
            for one in self._pages(f"/api/v2/dags/{dag}/dagRuns", "dag_runs")
        ]

    def trigger(self, dag: str) -> str:
        """Start a run by hand; returns its id."""
        answer = self._http.post(f"/api/v2/dags/{dag}/dagRuns", json={"logical_date": None})
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def pause(self, dag: str, *, paused: bool = True) -> None:
        """Pause or unpause a DAG."""
        self._http.patch(f"/api/v2/dags/{dag}", json={"is_paused": paused}).raise_for_status()

    @stamina.retry(on=httpx.TransportError, attempts=5)
    def _page(self, path: str, size: int, offset: int) -> dict[str, list[dict[str, str]]]:
        answer = self._http.get(path, params={"limit": size, "offset": offset})
        answer.raise_for_status()
        return cast("dict[str, list[dict[str, str]]]", answer.json())

    def _pages(self, path: str, key: str) -> Iterator[dict[str, str]]:
        offset, size = 0, 100
        while True:
            found = self._page(path, size, offset)[key]
            yield from found
            offset += size
            if len(found) < size:
                return
