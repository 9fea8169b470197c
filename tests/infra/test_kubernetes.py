"""The manifests for a cluster: by Kubernetes' own schemas, complete, locked down, and running what the units run."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest
import yaml
from cryptography.fernet import Fernet
from sqlalchemy import make_url
from unit_files import TOP, UNITS, commands, module_of

FOLDER = TOP / "infra" / "kubernetes"
SCHEMAS = json.loads((TOP / "tests" / "infra" / "schemas" / "kubernetes.json").read_text())
LISTED = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [one for name in LISTED["resources"] for one in yaml.safe_load_all((FOLDER / name).read_text())]
API = next(one for one in OBJECTS if one["kind"] == "StatefulSet")
POD = API["spec"]["template"]["spec"]


def complaints(one):
    schema = {**SCHEMAS["kinds"][one["kind"]], "$defs": SCHEMAS["$defs"]}
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(one)]


@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_every_object_is_one_by_the_schema_of_its_kind(one):
    assert complaints(one) == []


def test_the_schema_would_have_noticed_a_misspelt_setting():
    wrong = json.loads(json.dumps(API))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert complaints(wrong)


def test_every_manifest_is_applied():
    assert set(LISTED["resources"]) == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}


def test_every_container_keeps_to_the_restricted_standard_and_has_a_memory_limit():
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["automountServiceAccountToken"] is False
    for one in (*POD["initContainers"], *POD["containers"]):
        context = one["securityContext"]
        assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert one["resources"]["limits"]["memory"]


def test_what_an_object_refers_to_is_there():
    (service,) = (one for one in OBJECTS if one["kind"] == "Service")
    labels = API["spec"]["template"]["metadata"]["labels"]
    for one in OBJECTS:
        if one["kind"] in ("PodDisruptionBudget", "NetworkPolicy"):
            chosen = one["spec"].get("selector", one["spec"].get("podSelector"))["matchLabels"]
            assert chosen == labels
    assert service["spec"]["selector"] == labels
    assert API["spec"]["serviceName"] == service["metadata"]["name"]
    volumes = {one["name"] for one in POD["volumes"]} | {
        one["metadata"]["name"] for one in API["spec"]["volumeClaimTemplates"]
    }
    told = {one["metadata"]["name"] for one in OBJECTS if one["kind"] == "ConfigMap"}
    for one in POD["containers"]:
        assert {mount["name"] for mount in one["volumeMounts"]} <= volumes
        assert {source["configMapRef"]["name"] for source in one["envFrom"] if "configMapRef" in source} <= told
        assert one["image"] in {image["name"] for image in LISTED["images"]}


def test_a_pod_runs_what_the_systemd_units_run():
    by_name = {one["name"]: module_of(one["command"]) for one in POD["containers"]}
    units = {
        "api": ("shutong-api", ""),
        "legal-person": ("shutong-library@", "legal_person"),
        "jobs": ("shutong-jobs", ""),
    }
    run = {name: commands(UNITS / f"{unit}.service", instance) for name, (unit, instance) in units.items()}
    assert by_name == {name: module_of(command) for name, (command,) in run.items()}


def test_the_secrets_made_for_a_cluster_have_the_names_that_are_asked_for(tmp_path):
    making = [sys.executable, TOP / "infra" / "make_secrets.py", tmp_path / "made", "--host", "db.example", "--cluster"]
    subprocess.run(making, check=True, capture_output=True)
    lines = dict(one.split("=", 1) for one in (tmp_path / "made" / "cluster.env").read_text().splitlines())
    assert set(lines) == {
        "PGPASSWORD",
        *(f"SHUTONG_SECRET_{one}" for one in ("DEPLOYMENT", "S3_ACCESS_KEY", "S3_SECRET_KEY")),
    }
    url = make_url((tmp_path / "made" / "connection").read_text())
    assert (url.host, url.database, url.password) == ("db.example", "airflow", lines["PGPASSWORD"])
    Fernet((tmp_path / "made" / "fernet-key").read_text())
    assert (tmp_path / "made" / "jwt-secret").read_text() != (tmp_path / "made" / "api-secret-key").read_text()


def test_the_values_of_airflow_agree_with_what_else_is_deployed():
    values = yaml.safe_load((TOP / "infra" / "helm" / "airflow.yaml").read_text())
    image = LISTED["images"][0]
    assert values["images"]["airflow"] == {"repository": image["newName"], "tag": image["newTag"]}
    assert f'"apache-airflow=={values["airflowVersion"]}"' in (TOP / "pyproject.toml").read_text()
    (started,) = values["scheduler"]["extraInitContainers"]
    assert started["image"] == f"{image['newName']}:{image['newTag']}"
    contexts = [started["securityContext"], values["securityContexts"]["containers"]]
    assert contexts == [{"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}] * 2
    assert yaml.safe_load(values["extraEnvFrom"])[0]["configMapRef"]["name"] == "shutong-settings"
    compile(values["airflowLocalSettings"], "airflow_local_settings.py", "exec")
