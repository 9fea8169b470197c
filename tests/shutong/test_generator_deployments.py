"""The example deployments: their files can be used, and agree with what the generator writes."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from runs.resources import load_resource
from schemas.load import find_standard
from sharing import grants
from shutong.demo.ledger import AUTHORITY
from shutong.demo.rows import LAYOUTS

EXAMPLES = Path(__file__).parents[2] / "examples"
ZHEJIANG = EXAMPLES / "zhejiang"
FILES = sorted(EXAMPLES.glob("*/resources/*/*.yaml"))


def plain(path: Path):
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def resource_file(resource: str) -> Path:
    department, _, name = resource.partition(".")
    return ZHEJIANG / "resources" / department / f"{name}.yaml"


@pytest.mark.parametrize("path", FILES, ids=lambda path: "/".join(path.parts[-4:]))
def test_every_resource_file_loads_against_its_standard(path):
    resource = load_resource(path, [])
    assert resource.id == f"{path.parent.name}.{path.stem}"
    assert set(resource.standard.key) <= set(resource.columns)
    assert resource.kind in {"sql", "csv", "rest", "xlsx"}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.resource)
def test_the_generator_and_the_resource_file_speak_of_the_same_columns(layout):
    resource = load_resource(resource_file(layout.resource), [])
    assert dict(resource.columns) == dict(layout.fields)
    assert resource.standard.library == layout.library
    assert resource.standard.key == (layout.key,)
    assert (resource.zh, resource.en) == (layout.zh, layout.en)


def test_every_generated_resource_has_a_file_and_every_file_is_generated():
    assert {f"{path.parent.name}.{path.stem}" for path in ZHEJIANG.glob("resources/*/*.yaml")} == {
        layout.resource for layout in LAYOUTS
    }


def test_whose_word_counts_is_the_same_in_the_deployment_and_in_the_ledger():
    written = plain(ZHEJIANG / "departments.yaml")["authority"]
    expected = {
        library: {field or "default": list(departments) for field, departments in fields.items()}
        for library, fields in AUTHORITY.items()
    }
    assert written == expected


@pytest.mark.parametrize("example", ["zhejiang", "enterprises"])
def test_grants_can_be_used_and_name_departments_that_exist(example):
    libraries = {name: find_standard(f"{name}@1") for name in ("legal_person", "population")}
    known = {one["id"] for one in plain(EXAMPLES / example / "departments.yaml")["departments"]}
    found = [grant for grant, _ in grants.read(EXAMPLES / example / "grants.yaml", libraries, {})]
    assert found
    assert {grant.department for grant in found} <= known


def test_departments_see_the_same_person_and_firm_differently():
    libraries = {name: find_standard(f"{name}@1") for name in ("legal_person", "population")}
    plans = {
        (grant.department, grant.subject): grants.compile_plan(grant, standard)
        for grant, standard in grants.read(ZHEJIANG / "grants.yaml", libraries, {})
    }
    assert ("swj", "population") not in plans, "the tax bureau has no grant for persons"
    assert "legal_rep_name" in plans["swj", "legal_person"].masked
    assert "legal_rep_name" not in plans["mzj", "legal_person"].masked
    assert {"id_no", "name"} <= set(plans["rsj", "population"].masked)
    assert "name" not in plans["mzj", "population"].masked
    assert "id_no" in plans["mzj", "population"].masked


@pytest.mark.parametrize("example", ["zhejiang", "enterprises"])
def test_every_connection_named_exists_and_no_secret_stands_in_the_files(example):
    connections = plain(EXAMPLES / example / "connections.yaml")["connections"]
    for path in (EXAMPLES / example).glob("resources/*/*.yaml"):
        assert plain(path).get("connection") in {None, *connections}
    for settings in connections.values():
        assert not {"password", "token", "secret"} & set(settings)
