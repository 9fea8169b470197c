"""The DAG that rebuilds a library in buckets, a mapped task each, on however many workers Airflow has (airflow dag)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, Param, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException

from dags import steps_in_airflow as steps
from dags.steps_in_airflow import Report
from schemas.errors import ShutongError

if TYPE_CHECKING:
    from shutong.wiring import Wired

WHOLE = "merge_whole__{}"
_STALE, _AGAIN = "WH-SPREAD-STALE", "again"  # of the error; in the conf of the run that begins anew
BUCKETS = Param(16, type="integer", minimum=1, maximum=1_000, title="分成多少份 | into how many pieces")


def spread_dag(library: str) -> DAG:
    """Begin, combine the buckets wherever there is room, commit all of them at once, publish; only run by hand.

    What tasks hand on says where things lie and how many they are. A bucket whose worker dies is tried again.
    """
    with DAG(
        WHOLE.format(library),
        dag_display_name=f"分份重做 {library}",
        description="Rebuild the library in buckets",
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai")),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
        params={"buckets": BUCKETS},
        tags=[f"lib:{library}"],
    ) as dag:
        alone = f"merge_{library}"
        begun = task(task_id="begin", pool=alone)(begin)(library)
        pieces = task(task_id="bucket", retries=3)(combine).expand(asked=begun)
        finished = task(task_id="finish", pool=alone)(finish)(library, begun, pieces)
        published = task(task_id="publish", pool=alone)(steps.publish)(library)
        finished >> published
    return dag


def begin(library: str) -> list[Report]:
    """Cut the library into buckets; skip while nothing of it has landed."""
    buckets = int(str(get_current_context()["params"]["buckets"]))
    found: list[Report] = []

    def act(wired: Wired) -> Report:
        from warehouse.spread_merge import HandedError, Handing, Spreading, combine

        try:
            spreading = Spreading(Handing(), buckets, partial(combine, wired.tables))
            wired.steps.merge(library, steps.run_name(), whole=True, spreading=spreading)
        except HandedError as handed:
            found.extend(asdict(one) for one in handed.buckets)
        return {}

    steps.with_wiring(act)
    if not found:
        raise AirflowSkipException("尚无可合并的数据 | nothing to merge yet")
    return found


def combine(asked: Mapping[str, object]) -> Report:
    """Combine one bucket; tried again it writes other files, and those that nobody commits are swept."""

    def act(wired: Wired) -> Report:
        from warehouse import spread_merge

        return asdict(spread_merge.combine(wired.tables, spread_merge.Bucket(**asked)))  # type: ignore[arg-type]

    return steps.with_wiring(act)


def finish(library: str, asked: Iterable[Mapping[str, object]], made: Iterable[Mapping[str, object]]) -> Report:
    """Commit what all buckets made as one release of the library.

    Where the library was merged meanwhile the DAG is begun anew, once; the second time the task fails and says why.
    """
    plan, told = str(next(iter(asked))["plan"]), list(made)
    begun_anew, stale = bool((get_current_context()["dag_run"].conf or {}).get(_AGAIN)), False

    def act(wired: Wired) -> Report:
        from warehouse.spread_merge import Piece, Returned, read

        pieces = tuple(Piece(**one) for one in told)  # type: ignore[arg-type]
        returned = Returned(read(wired.tables, plan), pieces)
        try:
            return wired.steps.merge(library, steps.run_name(), whole=True, spreading=returned).as_dict()
        except ShutongError as error:
            if error.code != _STALE or begun_anew:
                raise
            nonlocal stale
            stale = True
            return {}

    report = steps.with_wiring(act)
    if stale:
        raise _anew(library)
    return report


def _anew(library: str) -> DagRunTriggerException:
    """The same DAG with the same number of buckets; it waits until this run has ended."""
    return DagRunTriggerException(
        trigger_dag_id=WHOLE.format(library),
        dag_run_id=f"again--{steps.run_name()}",
        conf={"buckets": get_current_context()["params"]["buckets"], _AGAIN: True},
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=["success"],
        failed_states=["failed"],
        poke_interval=60,
        deferrable=False,
    )
