"""The settings say where the warehouse lies, and every command works there: a bucket with PostgreSQL, end to end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from minio.error import S3Error
from pairs import bucket_of

from infra.testing.postgres import Postgres
from infra.testing.seaweed import Seaweed
from schemas.errors import ShutongError
from shutong.cli import main
from shutong.deployment import DeploymentSecrets
from shutong.settings import SettingError, read
from shutong.storage import Places, places

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from small_deployment import LIBRARY, add_resource, csv_source, drop, firm, lay_out, looked_up, write_small_standard


class Known:
    """Both keys."""

    def get(self, name: str) -> str:
        return {"s3_access_key": "name", "s3_secret_key": "the-secret"}[name]


def said(home: Path, **settings: str) -> Places:
    return places(
        read({"SHUTONG_HOME": str(home), **{f"SHUTONG_{name}": text for name, text in settings.items()}}), Known()
    )


def test_without_settings_everything_lies_in_the_deployment(tmp_path: Path) -> None:
    found = said(tmp_path)
    assert (found.folder, found.work, found.bucket) == (tmp_path / "warehouse", tmp_path / "warehouse" / "tables", None)
    assert found.catalog_url == f"sqlite:///{tmp_path}/state/catalog.db"


def test_a_catalog_is_made_where_the_state_lies_in_a_database_and_no_folder_is_there_yet(tmp_path: Path) -> None:
    tables = said(tmp_path).tables()
    assert tables.names() == []
    assert (tmp_path / "state" / "catalog.db").is_file()


@pytest.mark.parametrize("url", ["/srv/lake", "file:///srv/lake"])
def test_a_folder_may_be_named_either_way(tmp_path: Path, url: str) -> None:
    assert said(tmp_path, WAREHOUSE_URL=url).folder == Path("/srv/lake")


def test_a_bucket_takes_its_catalog_into_a_shared_state_database(tmp_path: Path) -> None:
    lake = {"WAREHOUSE_URL": "s3://lake/province/", "S3_ENDPOINT": "https://s3.example:9000/"}
    alone = said(tmp_path, **lake)
    assert alone.catalog_url.startswith("sqlite:///")
    assert (alone.bucket.url, alone.bucket.host, alone.bucket.secure) == ("s3://lake/province", "s3.example:9000", True)
    assert "the-secret" not in repr(alone)
    url = "postgresql+psycopg://shutong@db/shutong"
    assert said(tmp_path, STATE_URL=url, **lake).catalog_url == url
    assert said(tmp_path, STATE_URL=url, CATALOG_URL="sqlite:////x.db", **lake).catalog_url == "sqlite:////x.db"
    assert said(tmp_path, STATE_URL=url).catalog_url.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"WAREHOUSE_URL": "hdfs://x/y"}, "SHUTONG_WAREHOUSE_URL"),
        ({"WAREHOUSE_URL": "s3://UPPER/x", "S3_ENDPOINT": "http://h"}, "SHUTONG_WAREHOUSE_URL"),
        ({"WAREHOUSE_URL": "s3://lake/a?b", "S3_ENDPOINT": "http://h"}, "SHUTONG_WAREHOUSE_URL"),
        ({"WAREHOUSE_URL": "s3://lake"}, "SHUTONG_S3_ENDPOINT"),
        ({"WAREHOUSE_URL": "s3://lake", "S3_ENDPOINT": "http://u:p4ss@h"}, "SHUTONG_S3_ENDPOINT"),
        ({"S3_RETAIN_DAYS": "x"}, "SHUTONG_S3_RETAIN_DAYS"),
        ({"S3_ADDRESSING": "x"}, "SHUTONG_S3_ADDRESSING"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, settings: dict[str, str], name: str) -> None:
    with pytest.raises(SettingError, match=name) as raised:
        said(tmp_path, **settings)
    assert "p4ss" not in str(raised.value)


def test_missing_keys_are_asked_for_by_name(tmp_path: Path) -> None:
    settings = read(
        {"SHUTONG_HOME": str(tmp_path), "SHUTONG_WAREHOUSE_URL": "s3://lake", "SHUTONG_S3_ENDPOINT": "http://h"}
    )
    with pytest.raises(ShutongError, match=r"shutong secret set s3_access_key"):
        places(settings, DeploymentSecrets(settings))


def test_a_deployment_in_a_bucket_ingests_merges_publishes_and_answers(
    tmp_path: Path, bucket_server: Seaweed, database_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database_server.connect() as connection:
        connection.execute("CREATE DATABASE storage_settings")
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home))
    drop(home, "1.csv", [firm(1), firm(2, "乙𠮷有限公司"), ["坏", "丙", "2024-01-01", "杭州"]])
    for name, value in {
        "HOME": str(home),
        "LANG": "en",
        "STATE_URL": database_server.url("storage_settings"),
        "WAREHOUSE_URL": "s3://province/lake",
        "S3_ENDPOINT": bucket_server.endpoint,
        "S3_RETAIN_DAYS": "1",
        "SECRET_S3_ACCESS_KEY": bucket_server.access_key,
        "SECRET_S3_SECRET_KEY": bucket_server.secret_key,
    }.items():
        monkeypatch.setenv(f"SHUTONG_{name}", value)

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, list(words), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    missing = json.loads(call("store", "check", "--json", code=1).output)
    assert [one["code"] for one in missing["errors"]] == ["WH-S3-BUCKET"]
    assert "✓" in call("store", "prepare").output
    assert json.loads(call("store", "check", "--json").output)["ok"]
    call("ingest", "firms")
    assert looked_up(home, 2)["ent_name"] == "乙𠮷有限公司"
    call("library", "merge", LIBRARY)
    call("library", "publish", LIBRARY)
    assert not list((home / "warehouse").rglob("*.parquet"))
    minio = bucket_of(bucket_server, "province").client()
    names = [one.object_name for one in minio.list_objects("province", "lake/", recursive=True)]
    raw = [name for name in names if "/land/" in name and "checked" not in name and name.endswith(".parquet")]
    assert raw
    assert any(name.startswith("lake/tables/base/") for name in names)
    version = minio.stat_object("province", raw[0]).version_id
    with pytest.raises(S3Error):
        minio.remove_object("province", raw[0], version)
