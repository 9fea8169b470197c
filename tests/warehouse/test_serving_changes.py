"""What changed is put on top of what is served: the answers are those of a file built anew, and whole at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse import serving_changes
from warehouse.serving import NotIndexedError, ServingStore, TornGenerationError, generation_file
from warehouse.serving_build import Plan, build
from warehouse.serving_care import damages, switch
from warehouse.serving_changes import Changes, apply
from warehouse.serving_errors import BadPageError, KeyUnusableError

SCHEMA = pa.schema([(name, pa.string()) for name in ("uscc", "ent_name", "area", "_sources")] + [("staff", pa.int64())])
INDEXED = ("ent_name", "area")


def firm(key: str, name: str | None = None, area: str | None = None, staff: int | None = None):
    return {"uscc": key, "ent_name": name, "area": area, "_sources": "{}", "staff": staff}


def planned(number: int) -> Plan:
    return Plan(library="firms", key="uscc", generation=number, indexed=INDEXED, embedded=("_sources",),
                snapshot=str(number), published_at=f"2026-11-22T08:00:00.{number:06d}+08:00")  # fmt: skip


def built(folder: Path, rows, number: int = 1):
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_pylist(list(rows), schema=SCHEMA))
        made = build(folder, connection, "rows", planned(number))
    switch(folder, "firms", made.id)
    return made


def changed(folder: Path, upserts, gone=(), number: int = 2, schema: pa.Schema = SCHEMA):
    with duckdb.connect() as connection:
        connection.register("came", pa.Table.from_pylist(list(upserts), schema=schema))
        connection.register("went", pa.table({"key": pa.array(list(gone), pa.string())}))
        made = apply(folder, Changes(connection, "came", "went"), planned(number))
    if made is not None:
        switch(folder, "firms", made.id)
    return made


def all_pages(store: ServingStore, *, limit: int = 3, **asked):
    found, after = [], None
    while True:
        page = store.page(asked.get("equal", {}), prefix=asked.get("prefix"), limit=limit, after=after)
        found += page.records
        after = page.after
        if after is None:
            return found


KEYS = st.sampled_from([f"K{n}" for n in range(12)] + ["长" * 120, "长" * 120 + "久"])
NAMES = st.sampled_from(["甲", "甲乙", "乙", "丙" * 100, "丙" * 100 + "丁", "", None])
BATCH = st.tuples(
    st.dictionaries(KEYS, st.tuples(NAMES, NAMES, st.integers(0, 9)), max_size=6), st.sets(KEYS, max_size=4)
)


@settings(max_examples=100 if os.environ.get("SHUTONG_PROVE") else 5, deadline=None)
@given(st.dictionaries(KEYS, st.tuples(NAMES, NAMES, st.integers(0, 9)), max_size=8), st.lists(BATCH, max_size=4))
def test_whatever_changes_the_answers_are_those_of_a_file_built_anew(tmp_path_factory, first, batches):
    folder, number = tmp_path_factory.mktemp("changes"), 1
    rows = {key: firm(key, *said) for key, said in first.items()}
    built(folder / "changed", rows.values())
    for upserts, gone in batches:
        number += 1
        came = {key: firm(key, *said) for key, said in upserts.items()}
        rows = {key: row for key, row in rows.items() if key not in gone} | came
        made = changed(folder / "changed", came.values(), gone, number)
        assert (made.rows, made.base) == (len(rows), 1)
    built(folder / "anew", rows.values())
    one, other = (ServingStore(folder / name, "firms") for name in ("changed", "anew"))
    assert (one.info().rows, one.info().digest) == (other.info().rows, other.info().digest)
    keys = [*(f"K{n}" for n in range(12)), "长" * 120, "长" * 120 + "久"]
    assert one.get_many(keys) == other.get_many(keys)
    assert (
        all_pages(one) == all_pages(other) == sorted(one.get_many(keys).values(), key=lambda row: row["uscc"].encode())
    )
    for name in ("甲", "甲乙", "乙", "丙" * 100, "丙" * 100 + "丁"):
        for column in INDEXED:
            found = one.find(column, name, limit=99)
            assert found == other.find(column, name, limit=99) == all_pages(one, equal={column: name})
            assert {row["uscc"] for row in found} == {key for key, row in rows.items() if row[column] == name}
    for begins in ("甲", "丙" * 50, "丙" * 100):
        found = all_pages(one, prefix=("ent_name", begins))
        assert found == all_pages(other, prefix=("ent_name", begins))
        assert {one["uscc"] for one in found} == {
            k for k, r in rows.items() if (r["ent_name"] or "").startswith(begins)
        }


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """2,000 firms of one area, every third of them called alike, of which 200 changed and ten went."""
    folder = tmp_path_factory.mktemp("many")
    built(folder, [firm(f"K{n:05d}", f"企业{n % 3}", "330302", n % 5) for n in range(2000)])
    changed(
        folder,
        [firm(f"K{n:05d}", "改名", "330303", n % 5) for n in range(200)],
        [f"K{n:05d}" for n in range(1990, 2000)],
    )
    return ServingStore(folder, "firms")


def test_a_page_filters_by_several_fields_and_says_where_to_go_on(many):
    found = all_pages(many, equal={"area": "330302", "staff": "4"}, limit=50)
    assert [one["uscc"] for one in found] == [f"K{n:05d}" for n in range(200, 1990) if n % 5 == 4]
    page = many.page({"area": "330303"}, limit=7)
    assert (len(page.records), page.generation.changed) == (7, 210)
    assert many.page({"area": "330303"}, limit=200).after is None


def test_a_page_by_the_beginning_of_a_name_or_a_key(many):
    assert len(all_pages(many, prefix=("ent_name", "企业1"), limit=100)) == len(
        [n for n in range(200, 1990) if n % 3 == 1]
    )
    assert [one["uscc"] for one in all_pages(many, prefix=("uscc", "K0019"))] == [f"K{n:05d}" for n in range(190, 200)]
    assert all_pages(many, equal={"uscc": "K00500"}) == [many.get("K00500")]
    assert len(all_pages(many, limit=500)) == 1990


def test_a_page_that_would_look_at_too_much_ends_early_and_loses_nothing(many, monkeypatch):
    monkeypatch.setattr("warehouse.serving_view.LOOKED_AT", 100)
    page = many.page({"area": "330302", "ent_name": "改名"})
    assert (page.records, page.after is None) == ([], False)
    assert len(all_pages(many, equal={"area": "330302", "staff": "1"}, limit=999)) == len(range(200, 1990)) // 5


def test_records_that_are_not_to_be_kept_are_as_if_they_were_not_there(many):
    def even(record):
        return record["staff"] % 2 == 0

    wanted = [f"K{n:05d}" for n in range(1000, 1990) if n % 5 in {0, 2, 4}]
    page = many.page({"area": "330302"}, prefix=("uscc", "K01"), limit=len(wanted), keep=even)
    assert ([one["uscc"] for one in page.records], page.after) == (wanted, None), "what is left out is not told of"
    first = many.page({"area": "330302"}, prefix=("uscc", "K01"), limit=10, keep=even)
    rest = many.page({"area": "330302"}, prefix=("uscc", "K01"), limit=999, keep=even, after=first.after)
    found = [one["uscc"] for one in (*first.records, *rest.records)]
    assert found == wanted
    assert many.page({"area": "330302"}, keep=lambda _: False).after is None


def test_only_what_is_indexed_may_lead_and_marks_are_ours(many):
    with pytest.raises(NotIndexedError, match="staff"):
        many.page({"staff": "1"})
    with pytest.raises(BadPageError):
        many.page({"area": "330302"}, after="%%%")


def test_too_many_changes_or_other_columns_ask_for_a_file_built_anew(tmp_path, monkeypatch):
    built(tmp_path, [firm(f"K{n}") for n in range(10)])
    wider = SCHEMA.append(pa.field("new", pa.string()))
    assert changed(tmp_path, [firm("K1") | {"new": "x"}], schema=wider) is None
    monkeypatch.setattr(serving_changes, "LEAST", 3)
    assert changed(tmp_path, [firm(f"K{n}") for n in range(4)]) is None
    assert changed(tmp_path, [firm("K1"), firm("K2")]).changed == 2
    assert changed(tmp_path, [firm("K3"), firm("K4")], number=3) is None, "with those before they are too many"


@pytest.mark.parametrize("rows", [[firm("")], [firm("A"), firm("A")]])
def test_changes_without_a_key_of_their_own_are_refused(tmp_path, rows):
    built(tmp_path, [firm("X")])
    with pytest.raises(KeyUnusableError):
        changed(tmp_path, rows)


def test_a_base_stays_as_long_as_changes_stand_on_it(tmp_path):
    built(tmp_path, [firm("X", staff=0)])
    for number in range(2, 6):
        changed(tmp_path, [firm("X", staff=number)], number=number)
        assert ServingStore(tmp_path, "firms").get("X")["staff"] == number
    assert sorted(int(one.stem) for one in (tmp_path / "firms").glob("*.lmdb")) == [1, 4, 5]
    built(tmp_path, [firm("X", staff=9)], 6)
    built(tmp_path, [firm("X", staff=10)], 7)
    assert sorted(int(one.stem) for one in (tmp_path / "firms").glob("*.lmdb")) == [6, 7]


@pytest.mark.parametrize("what", ["flipped", "short", "gone", "seal"])
def test_damage_is_found_and_the_generation_before_answers_meanwhile(tmp_path, what):
    store = ServingStore(tmp_path, "firms", check_every=0)
    built(tmp_path, [firm(f"K{n:04d}", staff=1) for n in range(300)])
    assert store.get("K0001")["staff"] == 1
    made = changed(tmp_path, [firm("K0001", staff=2)])
    path = generation_file(tmp_path / "firms", made.id)
    assert damages(tmp_path, "firms") == {}
    if what == "flipped":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif what == "short":
        path.write_bytes(path.read_bytes()[:-4096])
    elif what == "gone":
        path.unlink()
    else:
        path.with_suffix(".seal").write_bytes(b"{")
    assert damages(tmp_path, "firms") == {
        path.name: {"flipped": "sha256", "short": "size", "gone": "missing", "seal": "seal"}[what]
    }
    if what != "flipped":
        assert store.get("K0001")["staff"] == 1
        assert ServingStore(tmp_path, "firms").get("K0001")["staff"] == 1
    (tmp_path / "firms" / "CURRENT").unlink()
    assert damages(tmp_path, "firms") == {"CURRENT": "missing"}


def test_a_damaged_record_is_an_error_and_never_an_answer(tmp_path):
    made = built(tmp_path, [firm(f"K{n:04d}", f"企业{n}") for n in range(500)])
    path = generation_file(tmp_path / "firms", made.id)
    packed = next(iter(ServingStore(tmp_path, "firms").view().raw([b"K0100"])))
    content = path.read_bytes()
    assert content.count(packed) == 1
    path.write_bytes(content.replace(packed, packed[:-1] + bytes([packed[-1] ^ 1])))
    store = ServingStore(tmp_path, "firms")
    for act in (lambda: store.get("K0100"), lambda: store.get_many([f"K{n:04d}" for n in range(90, 110)])):
        with pytest.raises(TornGenerationError, match="--rebuild"):
            act()


def test_readers_in_threads_see_every_change_whole(tmp_path):
    keys = [f"K{n:03d}" for n in range(200)]
    built(tmp_path, [firm(key, "同名", staff=1) for key in keys])
    store, wrong, stop = ServingStore(tmp_path, "firms", check_every=0.001), [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                view = store.view()
                seen = {one["staff"] for one in view.get_many(keys).values()}
                same = len(view.find("ent_name", "同名", limit=300))
            except Exception as error:  # noqa: BLE001 (whatever it is, a caller would have seen it)
                wrong.append(repr(error))
                return
            if len(seen) != 1 or same != 200:
                wrong.append(f"{seen} {same}")

    workers = [threading.Thread(target=ask) for _ in range(2)]
    for worker in workers:
        worker.start()
    for number in range(2, 8):
        changed(tmp_path, [firm(key, "同名", staff=number) for key in keys], number=number)
    stop.set()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert store.refresh().changed == 200


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[2])))
from tests.warehouse.test_serving_changes import changed, firm
keys = [f"K{n:03d}" for n in range(200)]
print("ready", flush=True)
for number in range(2, 10_000):
    changed(Path(sys.argv[1]), [firm(key, "同名", staff=number) for key in keys], number=number)
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_instant_leaves_a_whole_generation(tmp_path):
    keys, top = [f"K{n:03d}" for n in range(200)], Path(__file__).parents[2]
    built(tmp_path, [firm(key, "同名", staff=1) for key in keys])
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), str(top)], stdout=subprocess.PIPE, text=True, cwd=top
    )
    for wanted in ("ready", "2", "3"):
        assert writer.stdout.readline().strip() == wanted
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    store = ServingStore(tmp_path, "firms")
    assert damages(tmp_path, "firms") == {}
    assert {one["staff"] for one in store.get_many(keys).values()} == {store.info().id}
    number = store.info().id + 5
    assert changed(tmp_path, [firm("K000", staff=0)], number=number).rows == 200
    assert not list((tmp_path / "firms").glob("*.building"))
