"""The factory: resource files of a real deployment become exactly the DAGs a data manager expects."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from shutong.running import pools
from shutong.settings import read

DAGS = Path(__file__).parents[2] / "dags"
INGESTS = {
    "ingest__gongan__population": "population",
    "ingest__mzj__institution": "legal_person",
    "ingest__mzj__social_org": "legal_person",
    "ingest__scjg__enterprise_base": "legal_person",
    "ingest__swj__taxpayer": "legal_person",
}
MERGES = {"merge__legal_person", "merge__population"}
WHOLES = {"merge_whole__legal_person", "merge_whole__population"}
DECIDE = {"decide__held"}
CARE = {"care__warehouse"}
HEAVY = {"great_expectations", "duckdb", "pyiceberg", "lmdb", "pandas", "fastapi"}


@pytest.fixture(scope="module")
def bag(airflow, laid_out):
    """The DAG folder as the DAG processor reads it, unknown pools being warnings."""
    from airflow.dag_processing.dagbag import DagBag

    known = {"default_pool", *pools(read({"SHUTONG_HOME": str(laid_out)}))}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "GitWildMatchPattern", DeprecationWarning)  # Airflow's own
        return DagBag(dag_folder=DAGS, known_pools=known)


def built(home):
    """What the factory makes of the deployment at `home` now."""
    from dags import shutong_dags

    assert read().home == home
    return shutong_dags.build()


def test_every_resource_and_every_library_is_one_dag_and_nothing_fails_to_import(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == {*INGESTS, *MERGES, *WHOLES, *DECIDE, *CARE}
    assert bag.captured_warnings == {}


def test_every_pool_that_a_task_names_is_made_when_the_deployment_starts(bag):
    assert bag.dag_warnings == set()
    named = {task.pool for dag in bag.dags.values() for task in dag.tasks}
    made = pools(read())
    assert {"dept_scjg", "dept_gongan", "dept_swj", "dept_mzj", "merge_legal_person", "merge_population"} <= named
    assert named - {"default_pool"} == set(made)
    assert {made[name] for name in made if name.startswith("merge_")} == {1}, "one merge of a library at a time"


@pytest.mark.parametrize("dag_id", sorted(INGESTS))
def test_an_ingest_pulls_checks_and_lands_in_that_order_on_its_own_schedule(bag, dag_id):
    _, department, name = dag_id.split("__")
    dag = bag.dags[dag_id]
    assert [task.task_id for task in dag.topological_sort()] == ["pull", "check", "land"]
    assert [sorted(task.downstream_task_ids) for task in dag.topological_sort()] == [["check"], ["land"], []]
    assert dag.task_dict["pull"].pool == f"dept_{department}"
    assert dag.timetable.expression == "*/1 * * * *"
    assert str(dag.timetable.timezone) == "Asia/Shanghai"
    assert set(dag.tags) == {f"dept:{department}", f"lib:{INGESTS[dag_id]}"}
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)
    assert re.search("[\u4e00-\u9fff]", dag.dag_display_name)
    (announced,) = dag.task_dict["land"].outlets
    assert (announced.name, announced.uri) == (f"std_{department}.{name}", f"shutong://std/{department}/{name}")
    assert all(task.retries == 2 for task in dag.tasks)


@pytest.mark.parametrize("dag_id", sorted(MERGES))
def test_a_merge_waits_for_any_landing_of_its_library_and_looks_hourly_besides(bag, dag_id):
    library = dag_id.removeprefix("merge__")
    dag = bag.dags[dag_id]
    assert [task.task_id for task in dag.topological_sort()] == ["merge", "publish"]
    assert {task.pool for task in dag.tasks} == {f"merge_{library}"}
    awaited = {asset.uri for asset in dag.timetable.asset_condition.objects}
    assert awaited == {
        f"shutong://std/{name.replace('ingest__', '').replace('__', '/')}"
        for name, of in INGESTS.items()
        if of == library
    }
    assert dag.timetable.timetable.expression == "17 * * * *"
    assert type(dag.timetable.asset_condition).__name__ == "AssetAny"


def test_a_held_batch_is_asked_about_in_a_run_of_its_own_without_an_answer_by_default(bag):
    dag = bag.dags["decide__held"]
    assert [task.task_id for task in dag.topological_sort()] == ["ask", "answer"]
    ask = dag.task_dict["ask"]
    assert [word.split()[1] for word in ask.options] == ["release", "reject"]
    assert (ask.defaults, ask.response_timeout, list(ask.params)) == (None, None, ["reason"])
    assert (dag.max_active_runs, dag.is_paused_upon_creation) == (1000, False)
    assert "reason_zh" in ask.body


def test_the_warehouse_is_cared_for_every_night_and_backed_up_only_when_nothing_is_wrong(bag):
    dag = bag.dags["care__warehouse"]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "compact": {"expire"}, "expire": {"sweep"}, "sweep": {"verify"}, "verify": {"back_up"}, "back_up": set(),
        "seal": {"put_away"}, "put_away": {"issue"}, "issue": set(),
    }  # fmt: skip
    assert (dag.timetable.expression, dag.max_active_runs, dag.catchup) == ("30 2 * * *", 1, False)


@pytest.mark.parametrize("dag_id", sorted(WHOLES))
def test_a_library_is_rebuilt_in_buckets_by_hand_each_a_task_of_its_own_and_one_commit_takes_them(bag, dag_id):
    dag, pool = bag.dags[dag_id], dag_id.replace("_whole__", "_")
    assert [task.task_id for task in dag.topological_sort()] == ["begin", "bucket", "finish", "publish"]
    assert {task.task_id: (task.pool, task.is_mapped) for task in dag.tasks} == {
        "begin": (pool, False), "bucket": ("default_pool", True), "finish": (pool, False), "publish": (pool, False),
    }  # fmt: skip
    assert (type(dag.timetable).__name__, dict(dag.params)) == ("NullTimetable", {"buckets": 16})


@pytest.mark.parametrize(
    "wanted", ["ingest__swj__taxpayer", "merge__legal_person", *sorted(WHOLES), "decide__held", "care__warehouse"]
)
def test_a_worker_that_runs_one_dag_builds_that_one_alone(airflow, laid_out, monkeypatch, wanted):
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", wanted)
    assert set(built(laid_out)) == {wanted}


def test_a_resource_without_a_schedule_is_only_run_by_hand(home):
    path = home / "resources" / "swj" / "taxpayer.yaml"
    path.write_text(path.read_text().replace('schedule: "*/1 * * * *"', "schedule: null"))
    assert type(built(home)["ingest__swj__taxpayer"].timetable).__name__ == "NullTimetable"


def test_a_broken_resource_file_keeps_its_last_good_dag_and_every_other(home, caplog):
    assert set(built(home)) == {*INGESTS, *MERGES, *WHOLES, *DECIDE, *CARE}
    path = home / "resources" / "swj" / "taxpayer.yaml"
    path.write_text("resource: [taxpayer\n")
    made = built(home)
    assert set(made) == {*INGESTS, *MERGES, *WHOLES, *DECIDE, *CARE}
    assert made["ingest__swj__taxpayer"].timetable.expression == "*/1 * * * *"
    assert "taxpayer.yaml" in caplog.text


def test_a_resource_file_that_never_was_right_costs_only_its_own_dag(home):
    (home / "resources" / "swj" / "taxpayer.yaml").write_text("resource: taxpayer\nstandard: legal_person@1\n")
    assert set(built(home)) == {*INGESTS, *MERGES, *WHOLES, *DECIDE, *CARE} - {"ingest__swj__taxpayer"}


def test_a_resource_file_removed_takes_its_dag_away_and_one_added_brings_one(home):
    assert set(built(home)) == {*INGESTS, *MERGES, *WHOLES, *DECIDE, *CARE}
    path = home / "resources" / "mzj" / "social_org.yaml"
    path.with_name("charity.yaml").write_text(path.read_text().replace("resource: social_org", "resource: charity"))
    path.unlink()
    assert set(built(home)) == {*INGESTS, *MERGES, *WHOLES, *DECIDE, *CARE} - {"ingest__mzj__social_org"} | {
        "ingest__mzj__charity"
    }


def test_parsing_the_dag_file_imports_nothing_heavy(laid_out, tmp_path):
    """In a process of its own, with the index there already, as the DAG processor finds it every time but the first."""
    code = "import sys, json, dags.shutong_dags as made; print(json.dumps([sorted(made.build()), sorted(sys.modules)]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SHUTONG_HOME": str(laid_out), "AIRFLOW_HOME": str(tmp_path), "SHUTONG_STATE_URL": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    ids, modules = json.loads(done.stdout.splitlines()[-1])
    assert set(ids) == {*INGESTS, *MERGES, *WHOLES, *DECIDE, *CARE}
    assert "airflow.sdk" in modules
    assert HEAVY & set(modules) == set()
