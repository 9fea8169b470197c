"""The DAG in which a data manager decides about a held batch, one run for each batch that waits (airflow dag)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, task

from dags import steps_in_airflow as steps

SUBJECT = "待定批次 {{ dag_run.conf['resource'] }}：放行还是拒收？ | a held batch: release or reject it?"
BODY = """{{ dag_run.conf['resource'] }} · {{ dag_run.conf['run'] }} · {{ dag_run.conf['rows'] }} 行 rows

{{ dag_run.conf['reason_zh'] }}

{{ dag_run.conf['reason_en'] }}

`shutong quality show {{ dag_run.conf['resource'] }} --rows 20`"""
MANY = 1000  # batches that may wait at the same time


def held_dag() -> DAG:
    """Ask, then do what was answered. Nobody answers by default: a batch waits as long as it takes."""
    with DAG(
        steps.DECIDE,
        dag_display_name="待定批次审批",
        description="Held batches: release or reject them",
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai")),
        catchup=False,
        max_active_runs=MANY,
        is_paused_upon_creation=False,
        tags=["held"],
    ) as dag:
        ask = HITLOperator(
            task_id="ask",
            subject=SUBJECT,
            body=BODY,
            options=[steps.RELEASE, steps.REJECT],
            params={"reason": Param("", type="string", title="理由 | the reason")},
        )
        answer = task(task_id="answer")(steps.answer)(ask.output)
        ask >> answer
    return dag
