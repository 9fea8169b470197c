"""The factory that turns resource files into DAGs: one per resource, two per library, one for care (airflow dag)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Asset, AssetAny, AssetOrTimeSchedule, CronTriggerTimetable, get_parsing_context, task

from dags import steps_in_airflow as steps
from dags.care_in_airflow import CARE, care_dag
from dags.held_in_airflow import held_dag
from dags.spread_in_airflow import WHOLE, spread_dag
from shutong.index import IndexEntry, read_index
from shutong.settings import read

ZONE = "Asia/Shanghai"
START = datetime(2024, 1, 1, tzinfo=ZoneInfo(ZONE))
RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=10)}


def asset(entry: IndexEntry) -> Asset:
    """What a landing announces."""
    return Asset(name=f"std_{entry.resource}", uri=f"shutong://std/{entry.department}/{entry.name}")


def ingest_dag(entry: IndexEntry) -> DAG:
    """Pull, check and land one resource; a pool per department keeps its system from being asked twice at once."""
    with DAG(
        f"ingest__{entry.department}__{entry.name}",
        dag_display_name=f"接入 {entry.zh}",
        description=entry.en,
        schedule=CronTriggerTimetable(entry.schedule, timezone=ZONE) if entry.schedule else None,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args=RETRIES,
        tags=[f"dept:{entry.department}", f"lib:{entry.library or '-'}"],
    ) as dag:
        pulled = task(task_id="pull", pool=f"dept_{entry.department}")(steps.pull)(entry.resource)
        checked = task(task_id="check")(steps.check)(entry.resource)
        landed = task(task_id="land", outlets=[asset(entry)])(steps.land)(entry.resource)
        pulled >> checked >> landed
    return dag


def merge_dag(library: str, entries: Sequence[IndexEntry]) -> DAG:
    """Merge and publish a library when a resource of it landed, and hourly for events that were missed."""
    with DAG(
        f"merge__{library}",
        dag_display_name=f"合并 {library}",
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("17 * * * *", timezone=ZONE), assets=AssetAny(*map(asset, entries))
        ),
        start_date=START,
        catchup=False,
        is_paused_upon_creation=False,
        default_args={**RETRIES, "pool": f"merge_{library}"},
        tags=[f"lib:{library}"],
    ) as dag:
        merged = task(task_id="merge")(steps.merge)(library)
        published = task(task_id="publish")(steps.publish)(library)
        merged >> published
    return dag


def build() -> dict[str, DAG]:
    """Every DAG of the deployment; when Airflow asks for one only, that one."""
    wanted = get_parsing_context().dag_id
    entries = [entry for entry in read_index(read().home) if not entry.followed]  # `shutong follow` does those
    made = {}
    for entry in entries:
        if wanted in (None, f"ingest__{entry.department}__{entry.name}"):
            dag = ingest_dag(entry)
            made[dag.dag_id] = dag
    for library in sorted({entry.library for entry in entries if entry.library}):
        if wanted in (None, f"merge__{library}"):
            dag = merge_dag(library, [entry for entry in entries if entry.library == library])
            made[dag.dag_id] = dag
        if wanted in (None, WHOLE.format(library)):
            made[WHOLE.format(library)] = spread_dag(library)
    if wanted in (None, steps.DECIDE):
        made[steps.DECIDE] = held_dag()
    if wanted in (None, CARE):
        made[CARE] = care_dag()
    return made


globals().update(build())
