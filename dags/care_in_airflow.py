"""The DAG that cares for the warehouse every night: compact, expire, sweep, verify, back up (airflow dag).

Beside it the call records are sealed, put away and stated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from airflow.sdk import DAG, CronTriggerTimetable, task
from airflow.sdk.exceptions import AirflowFailException

from dags.airflow_secrets import AirflowConnections
from dags.steps_in_airflow import Report, with_wiring

if TYPE_CHECKING:
    from runs.nightly import Nightly
    from shutong.accounts import Accounts
    from shutong.wiring import Wired

CARE = "care__warehouse"
DAYS = 2  # of raw batches whose every byte is looked at; of older ones files are looked for


def care_dag() -> DAG:
    """One step after the other: what verifying finds wrong is not backed up in the place of what was right."""
    with DAG(
        CARE,
        dag_display_name="数据仓库维护",
        description="Care for the warehouse",
        schedule=CronTriggerTimetable("30 2 * * *", timezone="Asia/Shanghai"),
        start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai")),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
        tags=["care"],
    ) as dag:
        first, *others = [task(task_id=act.__name__)(act)() for act in (compact, expire, sweep, verify, back_up)]
        for one in others:
            first >> one
            first = one
        # Whatever is wrong with a table, the days of the call records are sealed, and the other way round.
        sealed, kept, issued = [task(task_id=act.__name__)(act)() for act in (seal, put_away, issue)]
        sealed >> kept >> issued
    return dag


def compact() -> Report:
    """Write the tables that have become disordered anew; a try after a killed one goes on with it."""
    return _with_nightly(lambda night: {one.table: one.changed for one in night.compact()})


def expire() -> Report:
    """Forget the snapshots nobody needs."""
    return _with_nightly(lambda night: {one.table: one.count for one in night.expire()})


def sweep() -> Report:
    """Remove the files nothing names."""
    return _with_nightly(lambda night: {one.table: one.count for one in night.sweep()})


def verify() -> Report:
    """Look at raw batches, tables and what is published; what is wrong fails the task, and says what to do."""

    def act(night: Nightly) -> Report:
        found = list(night.verify(DAYS))
        if errors := [str(error) for one in found for error in one.errors]:
            raise AirflowFailException("\n".join(errors))
        return {f"{one.kind} {one.name}": one.rows for one in found}

    return _with_nightly(act)


def back_up() -> Report:
    """Back up state and catalog."""
    return _with_nightly(lambda night: asdict(night.back_up()))


def seal() -> Report:
    """Seal the call records of the days that are over."""

    def act(books: Accounts, _: Wired) -> Report:
        return {one.day: one.calls for one in books.seals.seal()}

    return _with_accounts(act)


def put_away() -> Report:
    """Put the call records of sealed days away in the warehouse."""

    def act(books: Accounts, wired: Wired) -> Report:
        from shutong.accounts import put_away as put

        done, removed = put(books, wired.tables)
        return {**{one.day: one.calls for one in done}, "files_removed": removed}

    return _with_accounts(act)


def issue() -> Report:
    """Issue the statements of the month before, once no call of it can follow."""

    def act(books: Accounts, _: Wired) -> Report:
        from shutong.accounts import issue as issued

        return {f"{one.month} {one.consumer} {one.provider}": one.calls for one in issued(books)}

    return _with_accounts(act)


def _with_accounts(act: Callable[[Accounts, Wired], Report]) -> Report:
    def acting(wired: Wired) -> Report:
        from sharing.archive import Archive
        from shutong.accounts import accounts_of

        return act(accounts_of(wired.deployment.settings, Archive(wired.tables)), wired)

    return with_wiring(acting)


def _with_nightly(act: Callable[[Nightly], Report]) -> Report:
    def acting(wired: Wired) -> Report:
        from runs.nightly import Nightly
        from shutong.deployment import DeploymentSecrets
        from shutong.storage import backups, places

        settings = wired.deployment.settings
        where = places(settings, DeploymentSecrets(settings, AirflowConnections()))
        return act(Nightly(wired.parts, backups(settings, where)))

    return with_wiring(acting)
