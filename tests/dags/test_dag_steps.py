"""The steps as Airflow calls them, over a real deployment: what fails at once, what is tried again, what is no news."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from connectors.errors import SourceUnavailable
from shutong.supervisor import free_port
from shutong.wiring import open_deployment


@pytest.fixture
def steps(home, monkeypatch):
    """The steps within one DAG run."""
    from dags import steps_in_airflow

    within(monkeypatch, "scheduled__2025-01-01T00:00:00+08:00", "ingest__gongan__population")
    return steps_in_airflow


def within(monkeypatch, run_id, dag_id):
    from dags import steps_in_airflow

    context = {"dag_run": SimpleNamespace(run_id=run_id, dag_id=dag_id)}
    monkeypatch.setattr(steps_in_airflow, "get_current_context", lambda: context)


def test_an_error_that_no_retry_mends_fails_the_task_at_once_in_both_languages(steps):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="RUN-RESOURCE-UNKNOWN") as raised:
        steps.pull("swj.nothing")
    assert "没有名为 swj.nothing 的资源" in str(raised.value)
    assert "Run `shutong resource list`" in str(raised.value)


def test_a_system_that_is_down_is_tried_again(steps, home):
    path = home / "connections.yaml"
    path.write_text(path.read_text().replace(":8131", f":{free_port()}"))
    with pytest.raises(SourceUnavailable) as raised:
        steps.pull("swj.taxpayer")
    assert raised.value.retryable


def test_a_landing_that_brought_nothing_wakes_no_merge(steps, home):
    from airflow.sdk.exceptions import AirflowSkipException

    (home / "systems" / "gongan").mkdir(parents=True)
    assert steps.pull("gongan.population")["pulled"] == 0
    steps.check("gongan.population")
    with pytest.raises(AirflowSkipException, match="nothing new"):
        steps.land("gongan.population")


def test_a_merge_before_anything_landed_is_skipped(steps):
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="nothing to merge"):
        steps.merge("population")


def test_the_run_of_a_task_is_found_again_under_the_same_name_with_its_trigger(steps, home):
    (home / "systems" / "gongan").mkdir(parents=True)
    steps.pull("gongan.population")
    steps.pull("gongan.population")
    from shutong.settings import read

    with open_deployment(read()) as wired:
        (run,) = wired.state.runs("gongan.population", 10)
    assert (run.run_id, run.trigger) == (steps.run_name(), "schedule")


def test_runs_of_different_dags_at_the_same_minute_have_different_names_safe_in_a_path(steps, monkeypatch):
    names = set()
    for dag in ("ingest__a__b", "ingest__a__c", "merge__legal_person"):
        within(monkeypatch, "scheduled__2025-01-01T00:00:00+08:00", dag)
        names.add(steps.run_name())
    assert len(names) == 3
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in names)
