"""What goes wrong with a bucket or a catalog is told in both languages with what to do, and loses nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from land_factory import RESOURCE, Warehouse
from land_kills import SECOND
from minio.error import S3Error, ServerError
from pairs import Pair, fresh

from infra.testing import wire
from schemas.errors import ShutongError
from warehouse import faults, row_delta, s3_care
from warehouse.errors import WarehouseError
from warehouse.land import landed_table
from warehouse.lock import FileLocks
from warehouse.s3_store import BucketStore
from warehouse.state.locks import AdvisoryLocks
from warehouse.tables import Tables

TABLE = landed_table(RESOURCE)


@pytest.fixture
def line(bucket_server) -> Iterator[wire.Wire]:
    with wire.between(bucket_server.port) as between:
        yield between


def through(pair: Pair, **changed) -> Pair:
    """The same bucket, asked in another way."""
    return replace(pair, bucket=replace(pair.bucket, **changed))


def told(error: ShutongError, code: str, *, retryable: bool) -> None:
    assert error.code == code, str(error)
    assert error.retryable is retryable
    assert re.search("[\u4e00-\u9fff]", error.zh)
    assert re.search("[\u4e00-\u9fff]", error.fix_zh)
    assert error.en.replace("数通", "").isascii()
    assert error.fix_en.isascii()


def seen(pair: Pair) -> list[str]:
    warehouse = pair.open()
    try:
        return sorted(str(row["name"]) for row in warehouse.landed())
    finally:
        warehouse.close()


def reads_and_writes(pair: Pair) -> list[ShutongError]:
    """What reading a released table, writing a raw file and staging rows raise there."""
    warehouse = pair.open()
    acts = (
        lambda: warehouse.tables.read(TABLE, warehouse.state.released(TABLE)),
        lambda: warehouse.store.put("land/x/y", b"z"),
        lambda: warehouse.tables.stage(TABLE, pa.table({"code": ["x"]})),
    )
    found = []
    for act in acts:
        with pytest.raises(WarehouseError) as raised:
            act()
        found.append(raised.value)
    warehouse.close()
    return found


def test_a_missing_bucket_is_named_with_the_command_that_makes_it(pair: Pair, tmp_path: Path) -> None:
    store = BucketStore(replace(pair.bucket, bucket="not-there"), tmp_path, FileLocks(tmp_path))
    for act in (lambda: store.get("land/x"), lambda: store.folders("land")):
        with pytest.raises(WarehouseError) as raised:
            act()
        told(raised.value, "WH-S3-BUCKET", retryable=False)
        assert "shutong store prepare" in raised.value.fix_en
    with pytest.raises(WarehouseError, match="WH-FILE-MISSING"):
        BucketStore(pair.bucket, tmp_path, FileLocks(tmp_path)).get("land/x")


@pytest.mark.parametrize("changed", [{"secret_key": "another-key"}, {"access_key": "nobody"}], ids=["secret", "name"])
def test_wrong_or_expired_keys_are_refused_without_being_repeated(pair: Pair, changed: dict[str, str]) -> None:
    for error in reads_and_writes(through(pair, **changed)):
        told(error, "WH-S3-REFUSED", retryable=False)
        assert not any(value in str(error) for value in changed.values())


def test_a_store_that_is_gone_may_come_back(pair: Pair) -> None:
    for error in reads_and_writes(through(pair, endpoint="http://127.0.0.1:9")):
        told(error, "WH-S3-UNAVAILABLE", retryable=True)
    assert len(seen(pair)) == 6


def test_an_answer_that_breaks_off_is_no_answer(pair: Pair, line: wire.Wire) -> None:
    warehouse = through(pair, endpoint=f"http://127.0.0.1:{line.port}").open()
    (folder,) = warehouse.store.folders("land")
    large = b"x" * 300_000
    warehouse.store.put("large", large)
    line.breaks("cut", 100_000)
    with pytest.raises(WarehouseError) as raised:
        warehouse.store.get("large")
    told(raised.value, "WH-S3-UNAVAILABLE", retryable=True)
    line.breaks("cut", 0)
    with pytest.raises(WarehouseError) as raised:
        warehouse.ingest(SECOND, "run-cut")
    told(raised.value, "WH-S3-UNAVAILABLE", retryable=True)
    line.mend()
    assert warehouse.store.get("large") == large
    assert warehouse.store.folders("land") == [folder]
    warehouse.close()


def test_a_file_of_the_table_that_is_damaged_or_gone_says_so(pair: Pair, tmp_path: Path, bucket_server) -> None:
    warehouse = fresh("bucket-sqlite", tmp_path, bucket_server, None).open()
    tables, name = warehouse.tables, "t.damaged"
    tables.ensure(name, pa.schema([("k", pa.string())]))
    head = tables.append(name, pa.table({"k": ["a"] * 1000}))
    (file,) = [task.file.file_path for task in tables._load(name).scan().plan_files()]
    with tables.site.new(file) as here:
        here.write_bytes(b"PAR1" + b"\0" * 400)
    with pytest.raises(WarehouseError) as raised:
        tables.read(name, head)
    told(raised.value, "WH-FILE-DAMAGED", retryable=False)
    tables.site.remove(file)
    with pytest.raises(WarehouseError) as raised:
        tables.read(name, head)
    told(raised.value, "WH-FILE-MISSING", retryable=False)
    warehouse.close()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError("AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: no body"), "WH-S3-UNAVAILABLE"),
        (OSError("AWS Error SLOW_DOWN during PutObject operation: reduce your rate"), "WH-S3-UNAVAILABLE"),
        (duckdb.HTTPException("HTTP Error: HTTP GET error on 'http://h/x' (HTTP 503)"), "WH-S3-UNAVAILABLE"),
        (ServerError("server failed with HTTP status code 503", 503), "WH-S3-UNAVAILABLE"),
        (OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation"), "WH-S3-BUCKET"),
        (OSError("AWS Error REQUEST_TIME_TOO_SKEWED during PutObject operation"), "WH-S3-CLOCK"),
        (OSError("AWS Error UNKNOWN (HTTP status 400) ExpiredToken: The provided token has expired"), "WH-S3-REFUSED"),
        (OSError(28, "No space left on device"), "WH-DISK-FULL"),
        (duckdb.IOException("IO Error: Could not write file x: No space left on device"), "WH-DISK-FULL"),
    ],
    ids=str,
)
def test_whatever_library_says_it_means_one_thing(error: Exception, code: str) -> None:
    with pytest.raises(WarehouseError) as raised, faults.explained("s3://lake", bucket=True):
        raise error
    told(raised.value, code, retryable=code in {"WH-S3-UNAVAILABLE", "WH-DISK-FULL"})
    assert "AWS" not in str(raised.value)


@pytest.mark.parametrize("kind", [duckdb.OutOfMemoryException, duckdb.BinderException])
def test_an_error_that_only_speaks_of_parquet_stays_what_it_is(kind: type[duckdb.Error]) -> None:
    with pytest.raises(kind), faults.explained("s3://lake", bucket=True):
        raise kind("read_parquet: connection reset, no space left on device, HTTP 503")


def test_a_catalog_that_is_locked_may_be_asked_again_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.close()
    for text, code in (
        ("database is locked", "WH-CATALOG-LOCKED"),
        ("connection refused", "WH-CATALOG-GONE"),
        ("database or disk is full", "WH-DISK-FULL"),
    ):
        with pytest.raises(WarehouseError) as raised, faults.catalog_explained():
            raise sa.exc.OperationalError("SELECT", {}, Exception(text))
        told(raised.value, code, retryable=True)
    (tmp_path / "state.db").write_bytes(b"no database at all, but a file of some size" * 100)
    with pytest.raises(WarehouseError) as raised:
        Tables(tmp_path / "tables", f"sqlite:///{tmp_path}/state.db")
    told(raised.value, "WH-CATALOG-GONE", retryable=True)


def test_a_clock_moved_back_holds_up_commits_and_not_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables, name, now = Tables(tmp_path, f"sqlite:///{tmp_path}/catalog.db"), "t.clock", time.time
    tables.ensure(name, pa.schema([("k", pa.string())]))
    head = tables.append(name, pa.table({"k": ["a"]}))
    monkeypatch.setattr(row_delta.time, "time", lambda: now() - 3600)
    with pytest.raises(WarehouseError) as raised:
        tables.append(name, pa.table({"k": ["b"]}))
    told(raised.value, "WH-CLOCK-BACK", retryable=True)
    assert tables.read(name, tables.head(name).snapshot).to_pylist() == [{"k": "a"}]
    monkeypatch.setattr(row_delta.time, "time", lambda: now() - 30)
    after = tables.append(name, pa.table({"k": ["b"]}))
    monkeypatch.undo()
    tables.append(name, pa.table({"k": ["c"]}))
    assert tables.expire(name, keep=2) == 1
    assert tables.read(name, after).num_rows == 2
    assert head not in {one.snapshot_id for one in tables._load(name).snapshots()}
    tables.close()


def test_a_gone_database_gives_no_lock(tmp_path: Path) -> None:
    with pytest.raises(ShutongError) as raised, AdvisoryLocks("postgresql+psycopg://127.0.0.1:9/x").hold("land-x"):
        pass
    told(raised.value, "WH-STATE-GONE", retryable=True)


def test_a_lock_is_had_by_one_and_let_go_of_with_its_connection(database_server) -> None:
    one, another = (AdvisoryLocks(database_server.url()) for _ in range(2))
    count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    ended = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    with database_server.connect() as outside:
        with one.hold("land-x"), another.hold("land-y"):
            assert outside.execute(count).fetchone() == (2,)
        with pytest.raises(WarehouseError) as raised, one.hold("land-x") as still_alone:  # noqa: PT012 - on leaving, too
            still_alone()
            outside.execute(ended)
            with pytest.raises(WarehouseError, match="WH-LOCK-LOST"):
                still_alone()
        told(raised.value, "WH-LOCK-LOST", retryable=True)
        with another.hold("land-x"):
            assert outside.execute(count).fetchone() == (1,)


def test_a_file_is_never_written_over_and_a_lost_answer_is_no_second_file(pair: Pair) -> None:
    warehouse = pair.open()
    with warehouse.store.create("land/one") as stream:
        stream.write(b"first")
    with pytest.raises(WarehouseError) as raised, warehouse.store.create("land/one") as stream:
        stream.write(b"second")
    told(raised.value, "WH-FILE-THERE", retryable=False)
    assert warehouse.store.get("land/one") == b"first"
    large = bytes(range(256)) * (70 << 10)
    for accepted in (True, False):
        try:
            with warehouse.store.create("land/large") as stream:
                stream.write(large)
            assert accepted
        except WarehouseError as error:
            told(error, "WH-FILE-THERE", retryable=False)
            assert not accepted
    assert warehouse.store.get("land/large") == large
    for path in ("land/one", "land/large"):
        warehouse.store.remove(path)
    warehouse.close()


def test_what_was_received_is_kept_for_its_time_whoever_removes_it(pair: Pair, tmp_path: Path) -> None:
    bucket = replace(pair.bucket, bucket="evidence")
    assert [one.error.code for one in s3_care.check(bucket, retain_days=1) if one.error] == ["WH-S3-BUCKET"]
    assert not [one for one in s3_care.prepare(bucket, retain_days=1) if one.error]
    store, client = BucketStore(bucket, tmp_path, FileLocks(tmp_path), retain_days=1), bucket.client()
    for path in ("land/a/part.parquet", "land/a/checked-table.parquet"):
        store.put(path, b"as received")
        store.remove(path)
        assert not store.exists(path)
    versions = {
        one.object_name.rpartition("/")[2]: one.version_id
        for one in client.list_objects(bucket.bucket, recursive=True, include_version=True)
        if not one.is_delete_marker and "land/a" in one.object_name
    }
    prefix = f"{bucket.prefix}/land/a"
    client.remove_object(bucket.bucket, f"{prefix}/checked-table.parquet", versions["checked-table.parquet"])
    with pytest.raises(S3Error):
        client.remove_object(bucket.bucket, f"{prefix}/part.parquet", versions["part.parquet"])


def test_a_bucket_without_lock_and_clocks_apart_are_found(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [one for one in s3_care.check(pair.bucket) if one.error]
    (error,) = [one.error for one in s3_care.check(pair.bucket, retain_days=30) if one.error]
    told(error, "WH-S3-NO-LOCK", retryable=False)
    monkeypatch.setattr(s3_care, "SKEW_SECONDS", -1)
    (error,) = [one.error for one in s3_care.check(pair.bucket) if one.error]
    told(error, "WH-S3-CLOCK", retryable=False)
