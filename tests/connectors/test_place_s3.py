"""Objects of a real S3 store are taken like local files, each content once, and refusals say what to do."""

import socket
import uuid

import pyarrow as pa
import pyarrow.fs as pafs
import pytest

from connectors import SourceChanged, SourceError, SourceRefused, SourceUnavailable, open_source
from connectors.files import place_ahead
from infra.testing import seaweed


class Held:
    """Secrets by name."""

    def __init__(self, **values):
        self.values = values

    def get(self, name):
        return self.values[name]


@pytest.fixture(scope="module")
def store():
    with seaweed.running() as started:
        yield started


@pytest.fixture(scope="module")
def admin(store):
    files = pafs.S3FileSystem(
        access_key=store.access_key,
        secret_key=store.secret_key,
        scheme="http",
        endpoint_override=store.endpoint.removeprefix("http://"),
        region="us-east-1",
        allow_bucket_creation=True,
    )
    files.create_dir("drops")
    return files


@pytest.fixture
def prefix():
    return uuid.uuid4().hex


@pytest.fixture
def put(admin, prefix):
    def of(name, data):
        with admin.open_output_stream(f"drops/{prefix}/{name}") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    return of


@pytest.fixture
def opened(store, prefix):
    sources = []

    def of(secrets=None, s3=None, **options):
        said = {
            "endpoint": store.endpoint,
            "bucket": "drops",
            "prefix": prefix,
            "access_key_secret": "access",
            "secret_key_secret": "key",
            "timeout": "5s",
        }
        held = secrets or Held(access=store.access_key, key=store.secret_key)
        where = {} if "path" in options else {"folder": "."}
        sources.append(open_source("csv", {**where, **options}, {"s3": {**said, **(s3 or {})}}, held))
        return sources[-1]

    yield of
    for source in sources:
        source.close()
        source.close()


def taken(source, position=None):
    batches = [batch for split in source.plan(position) for batch in source.read(split)]
    return pa.Table.from_batches([batch.rows for batch in batches]), batches[-1].position


def test_objects_are_taken_once_also_those_that_come_late_or_are_replaced(put, opened):
    put("2026-11-02.csv", "名,号\n𠮷㐂,0123\n")
    put("2026-11-03.csv", "名,号\n乙,330127199001011234\n")
    put("deeper/2026-11-04.csv", "名,号\n丙,1\n")
    put("2026-11-05.csv.tmp", "名,号\n没写完")
    table, position = taken(opened())
    assert table.select(["名", "号"]).to_pylist() == [
        {"名": "𠮷㐂", "号": "0123"},
        {"名": "乙", "号": "330127199001011234"},
    ]
    assert opened().plan(position) == []
    put("2026-11-01.csv", "名,号\n迟到,1\n")
    put("2026-11-02.csv", "名,号\n改过的,12\n")
    again = opened()
    assert [(split.options["file"], split.options["replaced"]) for split in again.plan(position)] == [
        ("2026-11-01.csv", False),
        ("2026-11-02.csv", True),
    ]
    assert [split.options["file"] for split in opened(pattern="*/*.csv").plan(position)] == ["deeper/2026-11-04.csv"]
    assert again.estimate() == 3
    assert [line.ok for line in again.check()] == [True] * len(again.check())


def test_an_object_of_many_parts_comes_whole(put, opened, monkeypatch):
    monkeypatch.setattr(place_ahead, "BLOCK", 70_001)
    put("big.csv", "a,b\n" + "".join(f"{n},{n * 7}\n" for n in range(50_000)))
    table, _ = taken(opened(path="big.csv"))
    assert table["b"].to_pylist() == [str(n * 7) for n in range(50_000)]


def test_an_object_replaced_while_its_parts_are_fetched_is_an_error(put, opened, monkeypatch):
    monkeypatch.setattr(place_ahead, "BLOCK", 70_001)
    rows = "a,b\n" + "".join(f"{n:07},{n:07}\n" for n in range(40_000))
    put("big.csv", rows)
    file = opened(path="big.csv")._where.place.open("big.csv")
    assert file.read(10) == rows[:10].encode()
    put("big.csv", rows.replace("0", "1"))
    with pytest.raises(SourceUnavailable, match="SRC-FILE-CHANGING"):
        file.readall()
    file.close()


def test_a_change_within_the_second_of_the_taking_is_seen_next_time(put, opened):
    put("a.csv", "a\n1\n")
    _, position = taken(opened())
    put("a.csv", "a\n2\n")
    table, position = taken(opened(), position)
    assert table["a"].to_pylist() == ["2"]
    assert opened().plan(position) == []


def test_a_wrong_secret_is_refused_and_not_shown(put, opened, store):
    put("a.csv", "a\n1\n")
    wrong = "no-key-of-theirs"
    for secrets in (Held(access=store.access_key, key=wrong), Held(access="nobody", key=wrong)):
        source = opened(secrets)
        with pytest.raises(SourceRefused, match="SRC-S3-LOGIN") as caught:
            source.plan(None)
        [line] = source.check()
        assert not line.ok
        assert wrong not in str(caught.value) + line.zh + line.en
    with pytest.raises(SourceError, match="SRC-SECRET"):
        opened(Held()).plan(None)


def test_a_missing_bucket_prefix_or_object_is_named(put, opened):
    put("persons.csv", "a\n1\n")
    with pytest.raises(SourceChanged, match=r"SRC-S3-BUCKET.*elsewhere"):
        opened(s3={"bucket": "elsewhere"}).plan(None)
    with pytest.raises(SourceError, match=r"SRC-FILE-MISSING.*persons\.csv"):
        opened(path="person.csv").plan(None)
    with pytest.raises(SourceError, match="SRC-FILE-MISSING"):
        opened(folder="nothing/here").plan(None)


def test_a_store_that_is_down_or_says_nothing_is_given_up(opened):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(SourceUnavailable, match="SRC-S3-UNREACHABLE") as caught:
            opened(s3={"endpoint": endpoint, "timeout": "1s"}).plan(None)
        assert caught.value.retryable
    with pytest.raises(SourceUnavailable, match="SRC-S3-UNREACHABLE"):
        opened(s3={"endpoint": endpoint, "timeout": "1s"}).plan(None)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://x", "http://"])
def test_an_endpoint_without_scheme_is_refused(opened, endpoint):
    with pytest.raises(SourceError, match=r"SRC-OPTION.*endpoint"):
        opened(s3={"endpoint": endpoint})
