"""A record's JSON text and lists stand beside its other values and are read when asked for; older files answer alike."""

from __future__ import annotations

import pytest

import warehouse.serving_records as records
from tests.warehouse.test_serving_changes import built, changed, firm
from warehouse.json_text import json_of
from warehouse.serving import ServingStore, TornGenerationError, current
from warehouse.serving_file import LateRecord, index_key, index_keys


def together(rows: records.Rows) -> str:
    """A row as files held it whose `about` names nothing beside."""
    listed = ", ".join(json_of(name, kind, name in rows.embedded) for name, kind in rows.columns.items())
    return f"json_array({listed})::VARCHAR"


@pytest.fixture
def older(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(records.Rows, "record", together)
        patch.setattr(records.Rows, "beside", ())
        yield patch


def rows():
    return [firm(f"K{n:04d}", f"企业{n}", staff=n) for n in range(300)]


def test_a_file_of_the_older_layout_gives_the_same_records_and_the_next_one_is_built_anew(tmp_path, older):
    assert built(tmp_path, rows()).beside == ()
    before = ServingStore(tmp_path, "firms")
    said = {key: dict(one) for key, one in before.get_many(["K0001", "K0299"]).items()}
    older.undo()
    assert changed(tmp_path, [firm("K0001", "改名")]) is None
    assert built(tmp_path, rows(), number=2).beside == ("_sources",)
    assert current(tmp_path / "firms") == 2
    after = ServingStore(tmp_path, "firms")
    assert after.get_many(["K0001", "K0299"]) == said == {key: before.get(key) for key in said}
    assert list(after.get("K0001")) == list(said["K0001"])


def test_what_was_found_is_a_mapping_that_gives_a_record_as_often_as_asked(tmp_path):
    built(tmp_path, rows())
    changed(tmp_path, [firm("K0001", "改名")])
    found = ServingStore(tmp_path, "firms").get_many(["K0002", "K0001", "", "K0001", "无"])
    assert list(found) == ["K0001", "K0002"]
    assert len(found) == 2
    assert "K0002" in found
    assert "无" not in found
    assert found.get("无") is None
    assert found["K0001"]["ent_name"] == "改名"
    assert found["K0001"] == found["K0001"]


def test_values_beside_the_others_are_read_when_one_is_asked_for():
    record = LateRecord({"a": 0, "c": 2, "b": 1}, 2, b'[1,"x"]\n[not json')
    assert (record["a"], record["b"], "c" in record, len(record)) == (1, "x", True, 3)
    with pytest.raises(ValueError, match=r"JSON|expected|unexpected"):
        record["c"]
    record = LateRecord({"a": 0, "c": 2, "b": 1}, 2, b'[1,"x"]\n[{"k":[2]}]')
    assert dict(record) == {"a": 1, "c": {"k": [2]}, "b": "x"}
    with pytest.raises(ValueError, match=r"^3$"):
        LateRecord({"a": 0}, 1, b"[1,2,3]")


def test_records_that_are_not_what_their_file_says_are_an_error_and_never_an_answer(tmp_path, monkeypatch):
    built(tmp_path, rows())
    store = ServingStore(tmp_path, "firms")
    monkeypatch.setattr(store.view().base, "first", 1)
    with pytest.raises(TornGenerationError):
        store.get("K0001")
    with pytest.raises(TornGenerationError):
        store.get_many(["K0001"])["K0001"]
    with pytest.raises(TornGenerationError):
        list(store.get_many(["K0001"]).values())


@pytest.mark.parametrize("texts", [[], ["A", "B1"], ["A", "甲"], ["A", "x\0y"], ["A", "B" * 241]])
def test_many_texts_stand_for_what_each_of_them_does(texts):
    assert index_keys(texts) == [index_key(one) for one in texts]
