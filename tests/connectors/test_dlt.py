"""Any dlt resource is a source: Arrow or records, exact text, nothing of dlt's left behind, every fault with what next."""

import contextlib
import json
import os
import sys
import textwrap
import time

import pytest

from connectors import SourceError, SourceUnavailable, open_source
from connectors.errors import SourceChanged
from schemas.values import Position

RESOURCES = '''
"""What a department's own developers may have written with dlt."""
import datetime as dt
import os
import threading
from decimal import Decimal

import dlt
import pyarrow as pa

yielded = []
never = threading.Event()


@dlt.resource
def tables(rows=3):
    for start in range(0, rows, 2):
        count = min(2, rows - start)
        yielded.append(count)
        yield pa.table({
            "code": pa.array([330100199001011234 + start + at for at in range(count)], pa.int64()),
            "fee": pa.array([Decimal("12345678901234567890123456.78")] * count, pa.decimal128(38, 2)),
            "名称": ["企业𠮷㐂"] * count,
            "at": pa.array([dt.datetime(2026, 1, 2, 3, 4, 5)] * count, pa.timestamp("us")),
            "raw": pa.array([b"\\xff\\x00"] * count, pa.binary()),
        })


@dlt.resource
def records():
    yield {"id": 1, "code": 123456789012345678901234567890, "fee": Decimal("1.10"), "ok": True, "day": dt.date(2026, 1, 2)}
    yield [{"id": 2, "名称": "王镕", "part": {"a": [Decimal("1.10"), None]}, "f": 0.1}, "no record"]
    yield {"id": 3, "名称": None}


@dlt.resource
def plain(token, page):
    yield {"token": len(token), "page": page["from"]}


@dlt.source
def several():
    yield dlt.resource([{"a": 1}], name="one")
    yield dlt.resource([{"b": 2}], name="two")


@dlt.resource
def broken(token="none"):
    yield {"id": 1}
    raise ValueError(f"{token} is not welcome")


@dlt.resource
def gone():
    yield {"id": 1}
    raise ConnectionResetError("the other side went away")


@dlt.resource
def empty():
    yield from ()


@dlt.resource
def silent():
    never.wait(5)
    yield {"id": 1}


@dlt.resource
def clash():
    yield pa.table({"_row": [1]})


number = 5
'''


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    """The module is importable, and home is a folder that shows what was written to it."""
    folder, home = tmp_path_factory.mktemp("package"), tmp_path_factory.mktemp("home")
    (folder / "gsj_resources.py").write_text(textwrap.dedent(RESOURCES), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("HOME", str(home))
        patch.setenv("DLT_DATA_DIR", str(home / "dlt"))
        patch.chdir(home)
        yield home


class Vault:
    def get(self, name):
        return {"gsj_token": "secret9"}[name]


def source(name, **options):
    return open_source("dlt", {"resource": f"gsj_resources:{name}", **options}, {}, Vault())


def read(src):
    with contextlib.closing(src):
        return [batch for split in src.plan(None) for batch in src.read(split)]


def rows(batches):
    return [row for batch in batches for row in batch.rows.to_pylist()]


def values(row):
    return {name: value for name, value in row.items() if not name.startswith("_") and value is not None}


def test_arrow_tables_arrive_as_exact_text():
    batches = read(source("tables"))
    found = rows(batches)
    assert [row["_row"] for row in found] == [1, 2, 3]
    assert values(found[2]) == {
        "code": "330100199001011236",
        "fee": "12345678901234567890123456.78",
        "名称": "企业𠮷㐂",
        "at": "2026-01-02 03:04:05",
        "raw": "ff00",
    }
    assert [batch.position for batch in batches] == [None, Position()]


def test_records_arrive_as_exact_text_and_what_is_none_is_a_reject():
    found = rows(read(source("records")))
    assert values(found[0]) == {
        "id": "1",
        "code": "123456789012345678901234567890",
        "fee": "1.10",
        "ok": "true",
        "day": "2026-01-02",
    }
    assert values(found[1]) == {"id": "2", "名称": "王镕", "part": '{"a": [1.10, null]}', "f": "0.1"}
    assert [row["_reject"] for row in found] == [None, None, "row_shape", None]
    assert json.loads(found[2]["_line"]) == "no record"
    assert found[3]["_row"] == 4


def test_arguments_and_secrets_are_handed_to_the_function():
    found = rows(read(source("plain", args={"page": {"from": 7}}, secrets={"token": "gsj_token"})))
    assert values(found[0]) == {"token": "7", "page": "7"}
    assert len(rows(read(source("tables", args={"rows": 5})))) == 5


def test_a_source_with_several_resources_is_asked_for_one():
    assert values(rows(read(source("several", stream="two")))[0]) == {"b": "2"}
    with pytest.raises(SourceError, match="one, two"):
        read(source("several"))


def test_the_same_resource_can_be_read_again():
    src = source("records")
    assert rows(read(src)) == rows(read(src))


def test_a_preview_asks_for_no_more_than_it_shows():
    yielded = sys.modules["gsj_resources"].yielded if "gsj_resources" in sys.modules else []
    yielded.clear()
    assert source("tables", args={"rows": 100_000}).preview(3).num_rows == 3
    assert sum(sys.modules["gsj_resources"].yielded) < 100_000


def test_a_resource_that_yields_nothing_is_an_empty_read():
    (batch,) = read(source("empty"))
    assert batch.rows.num_rows == 0
    assert batch.position == Position()


def test_nothing_of_dlt_is_written_and_nothing_is_sent(package):
    rows(read(source("records")))
    assert not (package / "dlt").exists()
    assert not (package / ".dlt").exists()
    assert os.environ["RUNTIME__DLTHUB_TELEMETRY"] == "false"


def test_columns_are_only_seen_in_what_comes():
    info = source("tables").discover()[0]
    assert (info.name, info.declared, dict(info.columns)) == ("gsj_resources:tables", False, {})
    assert [(line.name, line.ok) for line in source("tables").check()] == [("import", True), ("read", True)]


def test_a_resource_that_fails_says_why_without_the_secret():
    with pytest.raises(SourceError, match="SRC-DLT-FAILED") as caught:
        read(source("broken", secrets={"token": "gsj_token"}))
    assert "is not welcome" in caught.value.en
    assert "secret9" not in str(caught.value)
    assert not caught.value.retryable


def test_a_lost_connection_may_be_tried_again():
    with pytest.raises(SourceUnavailable, match="SRC-DLT-UNAVAILABLE") as caught:
        read(source("gone"))
    assert caught.value.retryable


def test_a_resource_that_hangs_is_given_up():
    with pytest.raises(SourceUnavailable, match="SRC-SQL-UNAVAILABLE"):
        read(source("silent", timeouts={"silence": 0.5}))
    while "gsj_resources" not in sys.modules:  # given up before it was there, on a busy machine
        time.sleep(0.05)
    sys.modules["gsj_resources"].never.set()


def test_a_module_that_is_not_installed_is_told_with_how_to_install_it():
    src = open_source("dlt", {"resource": "no_such_package.here:orders"}, {}, Vault())
    with pytest.raises(SourceError, match="SRC-DLT-MODULE") as caught:
        read(src)
    assert "PYTHONPATH" in caught.value.fix_en
    assert not src.check()[0].ok


def test_a_name_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(SourceChanged, match="records"):
        read(source("record"))


@pytest.mark.parametrize("name", ["number", "never"])
def test_what_is_no_resource_is_turned_down(name):
    with pytest.raises(SourceError, match="SRC-OPTION"):
        read(source(name))


def test_a_function_that_is_no_resource_is_not_called(tmp_path):
    touch = {"command": f"touch {tmp_path}/called"}
    with pytest.raises(SourceError, match=r"@dlt\.resource"):
        read(open_source("dlt", {"resource": "os:system", "args": touch}, {}, Vault()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("written", ["gsj_resources", "gsj_resources:", ":tables", "a:b c"])
def test_a_resource_is_named_by_module_and_name(written):
    with pytest.raises(SourceError, match="SRC-OPTION"):
        open_source("dlt", {"resource": written}, {}, Vault())


def test_columns_shutong_needs_for_itself_are_turned_down():
    with pytest.raises(SourceError, match="SRC-HEADER"):
        read(source("clash"))


def test_without_dlt_the_exact_command_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlt", None)
    with pytest.raises(SourceError, match="SRC-DRIVER") as caught:
        read(source("tables"))
    assert "pip install 'shutong[dlt]'" in caught.value.fix_en
