"""A held batch waits for an answer in a running Airflow, and what is answered over its API lands or does not."""

from __future__ import annotations

import os

import pytest

from runs.holds_store import Holds
from shutong.printing import Voice
from shutong.running import running
from shutong.settings import read
from tests.runs.small_deployment import (
    add_resource,
    code,
    csv_source,
    drop,
    firm,
    landed,
    lay_out,
    opened,
    write_small_standard,
)

RELEASED, REJECTED = "scjg.firms", "scjg.others"
BAD = ["913301001111111111", "坏有限公司", "2024-01-01", "杭州"]
OPTIONS = ["放行 release", "拒收 reject"]
PATIENCE = 240.0  # seconds a DAG may take that others wait for on two cores


@pytest.fixture
def town(tmp_path, monkeypatch):
    """A deployment of two resources, each of which delivers a batch that is held."""
    home = lay_out(tmp_path / "home")
    standard = write_small_standard(home)
    for name in ("firms", "others"):
        add_resource(home, csv_source(name), name, standard=standard, percent=20, more='schedule: "* * * * *"\n')
        drop(home, "a.csv", [BAD, firm(1 if name == "firms" else 2)], folder=name)
    for name in [name for name in os.environ if name.startswith(("SHUTONG_", "AIRFLOW"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SHUTONG_SECRET_DEPLOYMENT", "of this test only")
    return home


def hits(now, dag):
    """Requests that wait for a person, by the run of the DAG: what Airflow's page of required actions shows."""
    answer = now.client._http.get(f"/api/v2/dags/{dag}/dagRuns/~/hitlDetails")
    answer.raise_for_status()
    return {one["task_instance"]["dag_run_id"]: one for one in answer.json()["hitl_details"]}


def answer(now, run, option, reason):
    body = {"chosen_options": [option], "params_input": {"reason": reason}}
    path = f"/api/v2/dags/decide__held/dagRuns/{run}/taskInstances/ask/-1/hitlDetails"
    now.client._http.patch(path, json=body).raise_for_status()


def ended(now, dag):
    return {one.run: one.state for one in now.client.runs(dag) if one.state in ("success", "failed")}


@pytest.mark.prove
@pytest.mark.scheduler
@pytest.mark.timeout(900)
def test_held_batches_wait_in_airflow_and_land_or_not_as_a_person_answers(town):
    settings = read({"SHUTONG_HOME": str(town), "SHUTONG_API_PORT": "0", "SHUTONG_AIRFLOW_PORT": "0"})
    with running(settings, Voice("en")) as now:
        wait = now.supervisor.wait
        wait(lambda: len(hits(now, "decide__held")) == 2, ("提问", "both questions"), PATIENCE)
        asked = {one.partition("--")[0]: (one, said) for one, said in hits(now, "decide__held").items()}
        assert set(asked) == {RELEASED, REJECTED}
        for resource, (_, said) in asked.items():
            assert said["options"] == OPTIONS
            assert resource in said["subject"]
            assert "50.00%" in said["body"]
            assert said["task_instance"]["state"] == "awaiting_input"
        for resource in ("firms", "others"):
            more = (f"ingest__scjg__{resource}", len(ended(now, f"ingest__scjg__{resource}")))
            wait(lambda more=more: len(ended(now, more[0])) > more[1], ("下次运行", "the next run"), PATIENCE)
            assert set(ended(now, more[0]).values()) == {"success"}, "a held batch stops no later run"
        with opened(town) as wired:
            assert landed(wired) == {}, "nothing lands while nobody has answered"
        answer(now, asked[RELEASED][0], OPTIONS[0], "来源已核实")
        answer(now, asked[REJECTED][0], OPTIONS[1], "是测试数据")
        wait(lambda: len(ended(now, "decide__held")) == 2, ("答复", "the answers"), PATIENCE)
        assert set(ended(now, "decide__held").values()) == {"success"}
        assert len(hits(now, "decide__held")) == 2, "nobody is asked a second time"
    with opened(town) as wired:
        assert set(landed(wired)) == {code(1)}
        said = [(one.resource, one.who, one.decision, one.why) for one in Holds(wired.state.engine).decisions()]
    assert sorted(said) == [
        (RELEASED, "airflow:shutong", "release", "来源已核实"),
        (REJECTED, "airflow:shutong", "reject", "是测试数据"),
    ]
