"""A library rebuilt by the tasks of a DAG: values alone pass between them, and a bucket tried again counts once."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from shutong.settings import read
from shutong.wiring import open_deployment
from tests.runs.small_deployment import (
    LIBRARY,
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    lay_out,
    write_small_standard,
)


@pytest.fixture
def spread(airflow, tmp_path, monkeypatch):
    """The tasks within one DAG run that asks for three buckets, over a deployment with nine firms to land."""
    from dags import spread_in_airflow, steps_in_airflow

    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home))
    drop(home, "a.csv", [firm(number) for number in range(1, 10)])
    (home / "state").mkdir()
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    run = SimpleNamespace(run_id="manual__2026", dag_id=f"merge_whole__{LIBRARY}", conf={})
    monkeypatch.setattr(spread_in_airflow, "this_run", run, raising=False)
    for module in (spread_in_airflow, steps_in_airflow):
        monkeypatch.setattr(module, "get_current_context", lambda: {"dag_run": run, "params": {"buckets": 3}})
    return spread_in_airflow


def handed_on(values):
    """What another worker gets to see: Airflow keeps it as JSON."""
    return json.loads(json.dumps(values))


def landed():
    with open_deployment(read()) as wired:
        wired.steps.ingest("scjg.firms", "r1")


def library():
    with open_deployment(read()) as wired:
        table = f"base.{LIBRARY}"
        released = wired.state.released(table)
        return [] if released is None else sorted(wired.tables.read(table, released)["uscc"].to_pylist())


def test_tasks_rebuild_a_library_and_one_that_is_tried_again_changes_nothing(spread):
    landed()
    asked = handed_on(spread.begin(LIBRARY))
    assert [one["number"] for one in asked] == [0, 1, 2]
    spread.combine(asked[1])  # by a worker that died before it told
    made = handed_on([spread.combine(one) for one in asked])
    assert library() == []
    report = spread.finish(LIBRARY, asked, made)
    assert (report["records"], report["changed"]) == (9, True)
    assert library() == sorted(code(number) for number in range(1, 10))
    assert spread.finish(LIBRARY, asked, made)["changed"] is False


def test_a_library_that_was_merged_meanwhile_is_begun_anew_once_and_then_refused(spread):
    from airflow.sdk.exceptions import AirflowFailException, DagRunTriggerException

    landed()
    asked = handed_on(spread.begin(LIBRARY))
    made = handed_on([spread.combine(one) for one in asked])
    with pytest.raises(AirflowFailException, match="WH-SPREAD-PIECES"):
        spread.finish(LIBRARY, asked, made[1:])
    with open_deployment(read()) as wired:
        wired.steps.merge(LIBRARY, "m1")
    with pytest.raises(DagRunTriggerException) as anew:
        spread.finish(LIBRARY, asked, made)
    assert (anew.value.trigger_dag_id, anew.value.conf["buckets"]) == (f"merge_whole__{LIBRARY}", 3)
    spread.this_run.run_id, spread.this_run.conf = anew.value.dag_run_id, anew.value.conf
    with pytest.raises(AirflowFailException, match=f"WH-SPREAD-STALE.*merge_whole__{LIBRARY}"):
        spread.finish(LIBRARY, asked, made)
    with open_deployment(read()) as wired:
        drop(wired.deployment.home, "b.csv", [firm(10)])
        wired.steps.ingest("scjg.firms", "r2")
    asked = handed_on(spread.begin(LIBRARY))
    assert spread.finish(LIBRARY, asked, handed_on([spread.combine(one) for one in asked]))["records"] == 10


def test_before_anything_landed_there_is_nothing_to_spread(spread):
    from airflow.sdk.exceptions import AirflowSkipException

    with pytest.raises(AirflowSkipException, match="nothing to merge"):
        spread.begin(LIBRARY)
