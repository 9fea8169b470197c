"""The steps as Airflow calls them: which run it is, whether a retry helps, what counts as news."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from dags.airflow_secrets import AirflowConnections
from schemas.errors import ShutongError

if TYPE_CHECKING:
    from shutong.wiring import Wired

DECIDE = "decide__held"
RELEASE, REJECT = "放行 release", "拒收 reject"
DECIDED = ("RUN-HELD-NONE", "RUN-HELD-LANDED")  # somebody else was faster
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


def with_wiring(act: Callable[[Wired], Report]) -> Report:
    """Act on the deployment, put together for this task; what no retry mends fails the task at once."""
    from shutong.settings import read
    from shutong.wiring import open_deployment

    with _in_airflow_words(), open_deployment(read(), elsewhere=AirflowConnections()) as deployment:
        return act(deployment)


def pull(resource: str) -> Report:
    """Make what the source has now durable."""
    return with_wiring(lambda deployment: deployment.steps.pull(resource, run_name(), trigger="schedule").as_dict())


def check(resource: str) -> Report:
    """Check every pulled batch of the resource that has no verdict yet."""
    return with_wiring(lambda deployment: deployment.steps.check(resource, run_name()).as_dict())


def land(resource: str) -> Report:
    """Land every checked batch; skip when that brought nothing new, so that no merge is woken for nothing.

    Where a batch is held a data manager is asked, in a DAG run of its own: the next runs do not wait for the answer.
    """
    report = with_wiring(lambda deployment: deployment.steps.land(resource, run_name()).as_dict())
    if report["held"] and not report["repeated"]:
        raise _asking(resource, report)
    if not report["changed"]:
        raise AirflowSkipException("没有新数据 | nothing new")
    return report


def _asking(resource: str, report: Report) -> DagRunTriggerException:
    told = {name: report[name] for name in ("run", "reason_zh", "reason_en")}
    return DagRunTriggerException(
        trigger_dag_id=DECIDE,
        dag_run_id=re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{resource}--{report['run']}"),
        conf={"resource": resource, "rows": report["held"], **told},
        reset_dag_run=False,
        skip_when_already_exists=True,
        wait_for_completion=False,
        allowed_states=["success"],
        failed_states=["failed"],
        poke_interval=60,
        deferrable=False,
    )


def answer(asked: Mapping[str, object]) -> Report:
    """Release or reject the held batch as a person answered; skip when somebody has decided already.

    Who answered is a data manager of people.yaml, or (who is not in it) one because Airflow let them answer. What is
    released reaches its library with the next merge, within the hour.
    """
    conf = get_current_context()["dag_run"].conf or {}
    chosen, said = asked["chosen_options"], asked.get("params_input") or {}
    who = asked.get("responded_by_user") or {}
    name = str(who.get("name") or who.get("id") or "airflow") if isinstance(who, Mapping) else "airflow"
    why = str(said.get("reason") or "") if isinstance(said, Mapping) else ""
    released = isinstance(chosen, list) and chosen == [RELEASE]

    def act(deployment: Wired) -> Report:
        from runs.holds import decide
        from shutong.watching import actor_of, now

        by, words = actor_of(deployment.deployment, name), why or "（Airflow 审批，未写理由）"
        steps, parts = deployment.steps, deployment.parts
        try:
            made = decide(
                steps, parts, conf["resource"], "release" if released else "reject", by, words, now(), conf["run"]
            )
        except ShutongError as error:
            if error.code in DECIDED:
                raise AirflowSkipException(str(error)) from error
            raise
        return made.as_dict()

    return with_wiring(act)


def merge(library: str) -> Report:
    """Merge a library from the newest releases of its resources; skip while none has landed."""
    report = with_wiring(lambda deployment: deployment.steps.merge(library, run_name()).as_dict())
    if not report["records"]:
        raise AirflowSkipException("尚无可合并的数据 | nothing to merge yet")
    return report


def publish(library: str) -> Report:
    """Build the library's serving store and switch readers to it."""
    return with_wiring(lambda deployment: deployment.steps.publish(library, run_name()).as_dict())
