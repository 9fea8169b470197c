"""The steps as Airflow calls them: which run it is, whether a retry helps, what counts as news."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags.airflow_secrets import AirflowConnections
from schemas.errors import ShutongError

if TYPE_CHECKING:
    from shutong.wiring import Wired

Report = dict[str, object]  # a step's report, as Airflow hands it on


@contextmanager
def _in_airflow_words() -> Iterator[None]:
    """An error that no retry mends fails the task at once, with both languages in its log."""
    try:
        yield
    except ShutongError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error


def run_name() -> str:
    """The DAG run as a run of ours: the same for every try of it, unlike that of any other DAG, safe in a path."""
    dag_run = get_current_context()["dag_run"]
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{dag_run.run_id}-{dag_run.dag_id}").strip("-")


def _with_wiring(act: Callable[[Wired], Report]) -> Report:
    from shutong.settings import read
    from shutong.wiring import open_deployment

    with _in_airflow_words(), open_deployment(read(), elsewhere=AirflowConnections()) as deployment:
        return act(deployment)


def pull(resource: str) -> Report:
    """Make what the source has now durable."""
    return _with_wiring(lambda deployment: deployment.steps.pull(resource, run_name(), trigger="schedule").as_dict())


def check(resource: str) -> Report:
    """Check every pulled batch of the resource that has no verdict yet."""
    return _with_wiring(lambda deployment: deployment.steps.check(resource, run_name()).as_dict())


def land(resource: str) -> Report:
    """Land every checked batch; skip when that brought nothing new, so that no merge is woken for nothing."""
    report = _with_wiring(lambda deployment: deployment.steps.land(resource, run_name()).as_dict())
    if not report["changed"]:
        raise AirflowSkipException("没有新数据 | nothing new")
    return report


def merge(library: str) -> Report:
    """Merge a library from the newest releases of its resources; skip while none has landed."""
    report = _with_wiring(lambda deployment: deployment.steps.merge(library, run_name()).as_dict())
    if not report["records"]:
        raise AirflowSkipException("尚无可合并的数据 | nothing to merge yet")
    return report


def publish(library: str) -> Report:
    """Build the library's serving store and switch readers to it."""
    return _with_wiring(lambda deployment: deployment.steps.publish(library, run_name()).as_dict())
