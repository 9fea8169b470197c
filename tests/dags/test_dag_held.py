"""A held batch becomes a question to a data manager in Airflow, and the answer does what the command line would do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from runs.holds_store import Holds
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

FIRMS = "scjg.firms"
BAD = ["913301001111111111", "坏有限公司", "2024-01-01", "杭州"]


@pytest.fixture
def held(airflow, tmp_path, monkeypatch):
    """A deployment with one held batch, and what Airflow was told of it."""
    from airflow.sdk.exceptions import DagRunTriggerException

    from dags import steps_in_airflow as steps

    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home), percent=20)
    drop(home, "a.csv", [BAD, firm(1)])
    monkeypatch.setenv("SHUTONG_HOME", str(home))
    run = SimpleNamespace(run_id="scheduled__1", dag_id="ingest__scjg__firms", conf={})
    monkeypatch.setattr(steps, "get_current_context", lambda: {"dag_run": run})
    steps.pull(FIRMS)
    steps.check(FIRMS)
    with pytest.raises(DagRunTriggerException) as asked:
        steps.land(FIRMS)
    run.conf = asked.value.conf
    return home, steps, asked.value


def answered(steps, option, reason="来源已核实", who="admin"):
    return steps.answer(
        {
            "chosen_options": [option],
            "params_input": {"reason": reason},
            "responded_by_user": {"id": who, "name": who},
        }
    )


def test_a_held_batch_asks_once_with_its_figures_and_does_not_stop_the_next_run(held):
    _, _, asked = held
    assert (asked.trigger_dag_id, asked.skip_when_already_exists, asked.wait_for_completion) == (
        "decide__held",
        True,
        False,
    )
    assert asked.conf["resource"] == FIRMS
    assert asked.conf["rows"] == 2
    assert "50.00%" in asked.conf["reason_zh"]
    assert "50.00%" in asked.conf["reason_en"]


def test_an_answer_releases_and_says_who_answered_and_a_second_one_comes_too_late(held):
    from airflow.sdk.exceptions import AirflowSkipException

    home, steps, _ = held
    assert answered(steps, steps.RELEASE)["landed"] == 1
    with opened(home) as wired:
        assert set(landed(wired)) == {code(1)}
        (one,) = Holds(wired.state.engine).decisions(FIRMS)
        assert (one.who, one.why, one.decision) == ("airflow:admin", "来源已核实", "release")
    with pytest.raises(AirflowSkipException):
        answered(steps, steps.REJECT)


def test_an_answer_rejects_and_a_person_who_is_no_data_manager_may_not_answer(held):
    from airflow.sdk.exceptions import AirflowFailException

    home, steps, _ = held
    (home / "people.yaml").write_text(
        "people:\n  - {id: wang, name: 王, department: scjg, roles: [member], mail: wang@example.invalid}\n"
    )
    with pytest.raises(AirflowFailException, match="RUN-HELD-RIGHT"):
        answered(steps, steps.REJECT, who="wang")
    assert answered(steps, steps.REJECT)["rejected"] == 2
    with opened(home) as wired:
        assert landed(wired) == {}
