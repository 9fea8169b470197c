"""Laying out a deployment: what an example brings, what is never overwritten, secrets nobody else reads."""

from __future__ import annotations

import pytest

from shutong.deployment import DeploymentSecrets, load
from shutong.layout import SetupError, examples, init, read_secrets
from shutong.settings import read
from shutong.wiring import read_authority


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def settings(home, **more):
    return read({"SHUTONG_HOME": str(home), **more})


def contents(home):
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("example", ["enterprises", "zhejiang"])
def test_an_example_becomes_a_deployment_that_can_be_used(home, example):
    written = init(home, example)
    assert "departments.yaml" in written
    for name in written:
        assert (home / name).read_bytes() == (examples() / example / name).read_bytes()
    assert home.stat().st_mode & 0o077 == 0
    deployment = load(settings(home))
    assert deployment.resources
    for resource in deployment.resources:
        deployment.connection(resource)
        deployment.department(resource.department)


def test_laid_out_again_nothing_changes_and_secrets_stay(home):
    init(home, "zhejiang")
    before = contents(home)
    assert init(home, "zhejiang") == []
    assert contents(home) == before


def test_a_file_the_manager_changed_stays_and_a_missing_one_comes_back(home):
    init(home, "zhejiang")
    (home / "grants.yaml").write_text("grants: []\n")
    (home / "resources" / "swj" / "taxpayer.yaml").unlink()
    assert init(home, "zhejiang") == ["resources/swj/taxpayer.yaml"]
    assert (home / "grants.yaml").read_text() == "grants: []\n"


def test_another_deployment_is_left_alone(home):
    init(home, "zhejiang")
    before = contents(home)
    with pytest.raises(SetupError, match="SYS-HOME-EXISTS") as raised:
        init(home, "enterprises")
    assert "--force" in raised.value.fix_zh
    assert contents(home) == before


def test_a_file_in_the_place_of_the_folder_is_told(home):
    home.write_text("a file")
    with pytest.raises(SetupError, match="SYS-HOME-REFUSED"):
        init(home, "enterprises")


def test_force_overwrites_settings_but_neither_data_nor_secrets(home):
    init(home, "zhejiang")
    (home / "state").mkdir()
    (home / "state" / "state.db").write_bytes(b"data")
    (home / "grants.yaml").write_text("grants: []\n")
    secrets = read_secrets(home)
    assert "grants.yaml" in init(home, "zhejiang", force=True)
    assert (home / "grants.yaml").read_bytes() == (examples() / "zhejiang" / "grants.yaml").read_bytes()
    assert (home / "state" / "state.db").read_bytes() == b"data"
    assert read_secrets(home) == secrets


def test_an_example_that_does_not_exist_is_answered_with_those_that_do(home):
    with pytest.raises(SetupError, match="SYS-EXAMPLE-UNKNOWN") as raised:
        init(home, "hangzhou")
    assert "enterprises" in raised.value.zh
    assert "zhejiang" in raised.value.en
    assert not home.exists()


def test_every_secret_a_connection_names_is_made_once_and_only_its_owner_reads_it(home):
    init(home, "zhejiang")
    made = read_secrets(home)
    assert made.keys() == {"deployment", "tax_token"}
    assert all(len(value) >= 32 for value in made.values())
    assert made["deployment"] != made["tax_token"]
    assert (home / "secrets.yaml").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_secrets_file_that_others_may_read_is_refused(home, mode):
    init(home, "zhejiang")
    values = read_secrets(home).values()
    (home / "secrets.yaml").chmod(mode)
    with pytest.raises(SetupError, match="SYS-SECRETS-OPEN") as raised:
        read_secrets(home)
    assert "chmod 600" in raised.value.fix_en
    assert not any(value in str(raised.value) for value in values)


def test_a_secret_in_the_environment_comes_before_the_file(home):
    init(home, "zhejiang")
    assert DeploymentSecrets(settings(home, SHUTONG_SECRET_TAX_TOKEN="said")).get("tax_token") == "said"
    assert DeploymentSecrets(settings(home)).get("tax_token") == read_secrets(home)["tax_token"]


def test_a_missing_secret_is_named_with_where_to_put_it(home):
    init(home, "enterprises")
    with pytest.raises(SetupError, match="SYS-SECRET-MISSING") as raised:
        DeploymentSecrets(settings(home)).get("tax_token")
    assert "SHUTONG_SECRET_TAX_TOKEN" in raised.value.fix_zh
    assert "shutong secret set tax_token" in raised.value.fix_en


def test_a_folder_without_a_deployment_says_how_to_make_one(home):
    with pytest.raises(SetupError, match="SYS-NO-HOME") as raised:
        load(settings(home))
    assert "shutong init" in raised.value.fix_zh


def test_a_connection_that_is_not_defined_is_named_with_those_that_are(home):
    init(home, "zhejiang")
    path = home / "resources" / "swj" / "taxpayer.yaml"
    path.write_text(path.read_text().replace("connection: tax", "connection: taxes"))
    deployment = load(settings(home))
    with pytest.raises(SetupError, match="SYS-CONNECTION-UNKNOWN") as raised:
        deployment.connection(deployment.resource("taxpayer"))
    assert "taxes" in raised.value.zh
    assert "registry" in raised.value.en


def test_a_department_that_is_not_registered_is_named_with_those_that_are(home):
    init(home, "zhejiang")
    with pytest.raises(SetupError, match="SYS-DEPARTMENT-UNKNOWN") as raised:
        load(settings(home)).department("gat")
    assert "gongan" in raised.value.en


def test_a_merge_rule_that_names_an_unknown_department_is_refused_before_anything_runs(home):
    init(home, "zhejiang")
    path = home / "departments.yaml"
    before, _, after = path.read_text("utf-8").partition("authority:\n  legal_person:")
    assert after
    path.write_text(before + "authority:\n  legal_person:\n    ent_name: [scjg, nobody]\n", "utf-8")
    with pytest.raises(SetupError, match="SYS-DEPARTMENT-UNKNOWN") as raised:
        read_authority(load(settings(home)))
    assert "nobody" in raised.value.zh
    assert "scjg" in raised.value.en


def test_placeholders_are_filled_in_wherever_they_stand(home):
    init(home, "zhejiang")
    said = load(settings(home, SHUTONG_SHARED="/srv/shared")).expand({"a": ["{home}/x", 1, None], "b": "{shared}/y{z}"})
    assert said == {"a": [f"{home}/x", 1, None], "b": "/srv/shared/y{z}"}
