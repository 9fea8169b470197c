"""A deployment with everything running: Airflow's components and the sharing API under one supervisor."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import httpx

from schemas.errors import StandardError
from schemas.lines import read as read_yaml
from shutong.airflow_service import Airflow, AirflowClient, prepare
from shutong.index import read_index
from shutong.printing import Voice
from shutong.settings import Settings
from shutong.supervisor import Program, Supervisor, free_port, python

LOG = logging.getLogger(__name__)
DEPARTMENT_SLOTS = 2
READY_SECONDS = 240.0
ALARM_SECONDS = 60


@dataclass(slots=True)
class Running:
    """What runs, and where."""

    settings: Settings
    supervisor: Supervisor
    airflow: Airflow
    client: AirflowClient
    api_url: str
    pools: Mapping[str, int] = field(default_factory=dict)
    followed: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    watched: bool = False
    working: bool = False

    def look_after(self) -> None:
        """Notice what has died; give what was added its pools or a follower, people their alarms."""
        self.supervisor.check()
        self._follow()
        if not self.watched and (self.settings.home / "people.yaml").exists():  # else there is nobody to tell
            self.supervisor.start(alarms(self.settings))
            self.watched = True
        if not self.working and any((self.settings.home / one).exists() for one in ("jobs", "webhooks")):
            self.supervisor.start(jobs(self.settings))
            self.working = True
        wanted = pools(self.settings)
        if wanted == self.pools:
            return
        try:
            self.client.login()  # a token lasts a day, a deployment longer
            self.client.set_pools(wanted)
        except httpx.HTTPError as error:
            LOG.warning("pools: %s", error)  # asked again at the next look
        else:
            self.pools = wanted

    def begin(self) -> None:
        """Look after everything until every pool is there: a task whose pool is missing waits for ever, silently."""

        def ready() -> bool:
            self.look_after()
            return self.pools == pools(self.settings)

        self.supervisor.wait(ready, ("Airflow 的资源池", "the pools of Airflow"), READY_SECONDS)

    def _follow(self) -> None:
        """A follower for each resource read by the log of its database and each library asked for, and for no other."""
        wanted = frozenset(one.resource for one in read_index(self.settings.home) if one.followed)
        for resource in self.followed - wanted:
            self.supervisor.end(f"follow-{resource}")
        for resource in sorted(wanted - self.followed):
            self.supervisor.start(follower(self.settings, resource))
        self.followed = wanted
        libraries = followed_libraries(self.settings)
        for library in self.libraries - libraries:
            self.supervisor.end(f"follow-library-{library}")
        for library in sorted(libraries - self.libraries):
            self.supervisor.start(library_follower(self.settings, library))
        self.libraries = libraries


def follower(settings: Settings, resource: str) -> Program:
    """The process that follows one resource; it is started again when it ends."""
    command = python("-m", "shutong", "follow", resource)
    return Program(f"follow-{resource}", command, environment(settings), again=True)


def followed_libraries(settings: Settings) -> frozenset[str]:
    """The libraries that departments.yaml wants published as their resources land: `followed_libraries: [...]`."""
    path = settings.home / "departments.yaml"
    return _listed(path, path.stat().st_mtime_ns) if path.exists() else frozenset()


@lru_cache(maxsize=1)
def _listed(path: Path, _changed: int) -> frozenset[str]:
    try:
        return frozenset(read_yaml(path).texts("followed_libraries"))
    except StandardError as error:
        LOG.warning("%s", error)
        return frozenset()


def library_follower(settings: Settings, library: str) -> Program:
    """The process that merges and publishes a library as its resources land; it is started again when it ends."""
    command = python("-m", "shutong", "library", "follow", library)
    return Program(f"follow-library-{library}", command, environment(settings), again=True)


def alarms(settings: Settings) -> Program:
    """The process that looks every minute whether somebody must be told of something; it is started again."""
    command = python("-m", "shutong", "alarms", "run", "--every", str(ALARM_SECONDS))
    return Program("alarms", command, environment(settings), again=True)


def jobs(settings: Settings) -> Program:
    """The process that answers bulk jobs and tells departments of changes; it is started again when it ends."""
    return Program("jobs", python("-m", "shutong", "job", "run"), environment(settings), again=True)


def environment(settings: Settings, api_port: int | None = None) -> dict[str, str]:
    """The settings as a child process needs them; secrets stay in the environment it inherits."""
    return {
        "SHUTONG_HOME": str(settings.home),
        "SHUTONG_SHARED": str(settings.shared),
        "SHUTONG_STATE_URL": settings.state_url,
        "SHUTONG_WAREHOUSE_URL": settings.storage.url,
        "SHUTONG_CATALOG_URL": settings.storage.catalog_url,
        "SHUTONG_API_HOST": settings.api_host,
        "SHUTONG_API_PORT": str(api_port if api_port is not None else settings.api_port),
        "SHUTONG_API_WORKERS": str(settings.api_workers),
        "SHUTONG_WEBHOOK_NETWORKS": ",".join(settings.webhook_networks),
        "GX_ANALYTICS_ENABLED": "false",
    }


@contextmanager
def running(settings: Settings, voice: Voice, extra: tuple[Program, ...] = ()) -> Iterator[Running]:
    """Start `extra`, Airflow and the API of a deployment; all end on leaving."""
    api_port = free_port(settings.api_port)
    airflow_port = free_port(settings.airflow_port)
    base = environment(settings, api_port)
    airflow = prepare(settings.home, airflow_port, base)
    voice.progress("建立 Airflow 元数据库", "preparing Airflow's database")
    airflow.migrate()
    with Supervisor(settings.home / "logs") as supervisor, AirflowClient(airflow) as client:
        for program in (*extra, *airflow.programs(), Program("sharing-api", python("-m", "shutong.serve_api"), base)):
            supervisor.start(program)
        api_url = f"http://{settings.api_host}:{api_port}"
        took = supervisor.wait(lambda: answers(f"{api_url}/healthz"), ("共享接口", "the sharing API"), READY_SECONDS)
        voice.progress(f"共享接口已启动（{took:.0f} 秒）：{api_url}", f"sharing API is up ({took:.0f} s): {api_url}")
        took = supervisor.wait(client.healthy, ("Airflow ", "Airflow"), READY_SECONDS)
        now = Running(settings, supervisor, airflow, client, api_url)
        now.begin()
        voice.progress(
            f"Airflow 已启动（{took:.0f} 秒）：{airflow.url}", f"Airflow is up ({took:.0f} s): {airflow.url}"
        )
        yield now


def pools(settings: Settings) -> Mapping[str, int]:
    """A pool per department's system and one slot per library."""
    entries = read_index(settings.home)
    return {
        **{f"dept_{one.department}": DEPARTMENT_SLOTS for one in entries},
        **{f"merge_{one.library}": 1 for one in entries if one.library},
    }


def answers(url: str) -> bool:
    """True when the address answers HTTP at all; a service may be up with nothing published yet."""
    try:
        httpx.get(url, timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return False
    return True
