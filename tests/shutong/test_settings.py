"""Settings: their defaults, what the environment says, and that nothing else reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shutong.running import environment
from shutong.settings import SETTINGS, SettingError, read

ROOT = Path(__file__).parents[2]


def test_with_nothing_said_everything_has_a_default_on_loopback(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = read({})
    assert settings.home == tmp_path / "var"
    assert settings.shared == tmp_path.parent / "shared"
    assert settings.state_url == f"sqlite:///{tmp_path}/var/state/state.db"
    assert (settings.api_host, settings.api_port, settings.airflow_port, settings.api_workers) == (
        "127.0.0.1",
        8600,
        8680,
        1,
    )
    assert settings.lang == "zh"
    assert settings.secrets == {}


def test_what_the_environment_says_counts_and_an_empty_value_is_nothing_said(tmp_path):
    settings = read(
        {
            "SHUTONG_HOME": str(tmp_path),
            "SHUTONG_STATE_URL": "postgresql+psycopg://localhost/state",
            "SHUTONG_API_PORT": "0",
            "SHUTONG_AIRFLOW_PORT": "",
            "SHUTONG_LANG": "en_GB.UTF-8",
        }
    )
    assert settings.home == tmp_path
    assert settings.state_url == "postgresql+psycopg://localhost/state"
    assert (settings.api_port, settings.airflow_port, settings.lang) == (0, 8680, "en")


@pytest.mark.parametrize(("said", "spoken"), [("zh", "zh"), ("en", "en"), ("fr", "zh"), ("", "zh")])
def test_the_language_is_chinese_unless_english_is_asked_for(said, spoken):
    assert read({"SHUTONG_LANG": said}).lang == spoken


@pytest.mark.parametrize("name", ["SHUTONG_API_PORT", "SHUTONG_AIRFLOW_PORT", "SHUTONG_API_WORKERS"])
@pytest.mark.parametrize("said", ["abc", "-1", "65536", "８６００", "1.5", "9" * 5000])
def test_a_number_that_is_none_is_told_by_its_name(name, said):
    with pytest.raises(SettingError, match=name) as told:
        read({name: said})
    assert told.value.code == "SYS-SETTING"


def test_a_service_without_a_worker_is_refused():
    with pytest.raises(SettingError, match="SHUTONG_API_WORKERS"):
        read({"SHUTONG_API_WORKERS": "0"})


def test_secrets_come_by_lower_case_name():
    assert read({"SHUTONG_SECRET_TAX_TOKEN": "s3cret", "SECRET_OTHER": "x"}).secrets == {"tax_token": "s3cret"}


def test_a_home_folder_may_be_written_with_a_tilde():
    assert read({"SHUTONG_HOME": "~/exchange"}).home == Path.home() / "exchange"


def test_every_setting_says_in_both_languages_what_it_is():
    for one in SETTINGS:
        assert one.name.startswith("SHUTONG_")
        assert re.search("[\u4e00-\u9fff]", one.zh), one.name
        assert one.en.isascii(), one.name


def test_child_processes_get_the_settings_and_no_secret(tmp_path):
    settings = read({"SHUTONG_HOME": str(tmp_path), "SHUTONG_SECRET_TAX_TOKEN": "s3cret", "SHUTONG_LANG": "en"})
    passed = environment(settings, api_port=4711)
    again = read(passed)
    assert (again.home, again.shared, again.state_url, again.api_port) == (
        settings.home,
        settings.shared,
        settings.state_url,
        4711,
    )
    assert "s3cret" not in "".join(passed.values())


def test_settings_are_read_in_one_place():
    """Nothing else reads a SHUTONG_ variable, and os.environ is otherwise only handed on to child processes."""
    names = "|".join(one.name for one in SETTINGS)
    readers = []
    for package in ("schemas", "connectors", "quality", "warehouse", "runs", "sharing", "shutong", "dags"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if re.search(rf"(environ(\.get)?|getenv)[\[(]\s*[\"']({names})", text):
                readers.append(str(path.relative_to(ROOT)))
    assert readers == []
    assert "os.environ" in (ROOT / "shutong" / "settings.py").read_text()
