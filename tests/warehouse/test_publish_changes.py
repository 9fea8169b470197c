"""A library published again after few of its records changed: just these are written, and damage is mended."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from schemas.standard import Field, Standard
from warehouse.publish import publish, publish_landed
from warehouse.serving import ServingStore, generation_file
from warehouse.state import State
from warehouse.tables import Tables

STANDARD = Standard(
    name="legal_person", version=1, zh="法人", en="legal person", library="legal_person", rules=(), key=("uscc",), order=(),
    identifiers=("uscc", "reg_no"),
    fields=(Field("uscc", "统一社会信用代码", "USCC", "uscc"), Field("reg_no", "注册号", "number"), Field("ent_name", "名称", "name")),
)  # fmt: skip
BASE, SAID = "base.legal_person", "base.legal_person_attr"
RECORD = pa.schema(
    [(name, pa.string()) for name in ("uscc", "reg_no", "ent_name", "_sources")]
    + [("_departments", pa.list_(pa.string()))]
)
STATEMENT = pa.schema([(name, pa.string()) for name in ("key", "department", "observed_at")])


def records(numbers, name: str = "企业") -> pa.Table:
    rows = [
        {
            "uscc": f"K{n:05d}",
            "reg_no": f"R{n}",
            "ent_name": f"{name}{n}",
            "_sources": "{}",
            "_departments": ["registry"],
        }
        for n in numbers
    ]
    return pa.Table.from_pylist(rows, schema=RECORD)


def statements(numbers, department: str, at: str) -> pa.Table:
    rows = [{"key": f"K{n:05d}", "department": department, "observed_at": at} for n in numbers]
    return pa.Table.from_pylist(rows, schema=STATEMENT)


class Town:
    """A state database, tables with a merged library of 5,000 firms, and a folder it is published in."""

    def __init__(self, folder: Path) -> None:
        self.state = State(f"sqlite:///{folder / 'state.db'}")
        self.state.migrate()
        self.tables = Tables(folder / "warehouse", f"sqlite:///{folder / 'catalog.db'}")
        self.serving, self.runs = folder / "serving", 0
        self.tables.ensure(BASE, RECORD)
        self.tables.ensure(SAID, STATEMENT)
        self.release(
            self.tables.replace(BASE, records(range(5000)), sort=("uscc",)),
            self.tables.replace(SAID, statements(range(5000), "registry", "2026-11-20")),
        )
        self.store = ServingStore(self.serving, "legal_person", check_every=0)

    def release(self, base: int, said: int | None = None) -> None:
        self.runs += 1
        pins = {BASE: self.tables.pin(BASE, base)} | ({SAID: self.tables.pin(SAID, said)} if said else {})
        self.state.commit_release(f"run-{self.runs}", pins, kind="merge")

    def upsert(self, rows: pa.Table) -> int:
        snapshot = self.tables.upsert(BASE, rows, key=("uscc",))
        assert snapshot is not None
        return snapshot

    def publish(self, **how):
        made = publish(self.state, self.tables, self.serving, "legal_person", STANDARD, **how)
        return made, self.store.refresh()

    def close(self) -> None:
        self.tables.close()
        self.state.close()


@pytest.fixture
def town(tmp_path):
    made = Town(tmp_path)
    yield made
    made.close()


def test_few_changes_are_put_on_top_and_come_to_the_same_as_all_built_anew(town):
    assert town.publish()[1].base == 0
    said = town.tables.append(SAID, statements([7], "tax", "2026-11-21"))
    town.release(town.upsert(records([7, 5001], "改名")), said)
    made, info = town.publish()
    assert (made.rows, info.base, info.changed) == (5001, 1, 2)
    assert info.freshness == {"registry": "2026-11-20", "tax": "2026-11-21"}
    town.release(town.upsert(records([7, 8], "又改名")))
    made, info = town.publish()
    assert (made.rows, info.base, info.changed, info.release) == (5001, 1, 3, 3)
    assert [one["uscc"] for one in town.store.find("ent_name", "又改名7")] == ["K00007"]
    assert town.store.find("ent_name", "改名7") == town.store.find("ent_name", "企业7") == []
    anew = town.publish(rebuild=True)[1]
    assert (anew.base, anew.digest, anew.rows, anew.freshness) == (0, info.digest, info.rows, info.freshness)


def test_records_that_went_are_not_found_any_more(town):
    town.publish()
    table = town.tables.stage(BASE, records([]))
    gone = pa.table({"uscc": ["K00003", "K04999"]})
    town.release(town.tables.commit(type(table)(BASE, (), 0, gone), key=("uscc",)))
    made, info = town.publish()
    assert (made.rows, info.base, info.changed) == (4998, 1, 2)
    assert (town.store.get("K00003"), town.store.find("reg_no", "R4999")) == (None, [])
    assert town.publish(rebuild=True)[1].digest == info.digest


def test_contents_replaced_as_a_whole_are_built_anew(town):
    town.publish()
    town.release(town.tables.replace(BASE, records(range(10), "新"), sort=("uscc",)))
    made, info = town.publish()
    assert (made.rows, info.base) == (10, 0)


def test_a_damaged_file_is_built_anew_by_the_next_publish_though_nothing_changed(town):
    made, info = town.publish()
    path = generation_file(town.serving / "legal_person", made.generation)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    mended, anew = town.publish()
    assert (mended.generation, anew.digest) == (made.generation + 1, info.digest)
    assert town.publish()[0] == mended


def test_a_base_that_cannot_be_opened_is_no_ground_for_changes(town):
    made, _ = town.publish()
    town.release(town.upsert(records([7], "改名")))
    path = generation_file(town.serving / "legal_person", made.generation)
    path.write_bytes(path.read_bytes()[:-4096])
    mended, anew = town.publish()
    assert (anew.base, mended.rows, town.store.get("K00007")["ent_name"]) == (0, 5000, "改名7")


def test_the_landed_records_of_a_resource_are_published_like_a_library(town):
    landed = pa.schema([*[*RECORD][:3], pa.field("_landed_at", pa.timestamp("us", tz="UTC"))])
    rows = [
        {"uscc": f"K{n}", "reg_no": f"R{n}", "ent_name": f"企业{n}", "_landed_at": datetime(2026, 11, 20, tzinfo=UTC)}
        for n in range(3)
    ]

    def published(rows, run: str):
        snapshot = town.tables.upsert("std_market.base", pa.Table.from_pylist(rows, schema=landed), key=("uscc",))
        town.state.commit_release(run, {"std_market.base": town.tables.pin("std_market.base", snapshot)})
        publish_landed(town.state, town.tables, town.serving, "market.base", STANDARD)
        return ServingStore(town.serving, "market.base", check_every=0)

    town.tables.ensure("std_market.base", landed)
    assert published(rows, "a").find("reg_no", "R2") == [{"uscc": "K2", "reg_no": "R2", "ent_name": "企业2"}]
    store = published([rows[2] | {"ent_name": "改名", "_landed_at": datetime(2026, 11, 21, tzinfo=UTC)}], "b")
    assert (store.get("K2")["ent_name"], store.info().base, store.info().rows) == ("改名", 1, 3)
    assert store.info().freshness == {"market": "2026-11-21T08:00:00+08:00"}


def test_two_who_publish_at_once_make_one_generation_each_release(town):
    for generation in (1, 2):
        with ThreadPoolExecutor(2) as both:
            made = [both.submit(town.publish) for _ in range(2)]
            seen = [one.result() for one in made]
        assert [(record.generation, info.id) for record, info in seen] == [(generation, generation)] * 2
        town.release(town.upsert(records([7], "改名")))
