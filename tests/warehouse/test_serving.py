"""A published library answers by key, exactly as it was merged, while generations come and go."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import duckdb
import lmdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.serving import (
    NotIndexedError,
    NotPublishedError,
    ServingStore,
    TornGenerationError,
    current,
    generation_file,
)
from warehouse.serving_build import Plan, build
from warehouse.serving_care import published, switch
from warehouse.serving_errors import KeyUnusableError

CHINA = timezone(timedelta(hours=8))
SCHEMA = pa.schema([
    ("uscc", pa.string()), ("ent_name", pa.string()), ("reg_no", pa.string()), ("reg_capital", pa.decimal128(24, 6)),
    ("est_date", pa.date32()), ("changed_at", pa.timestamp("us", "Asia/Shanghai")), ("staff", pa.int64()),
    ("listed", pa.bool_()), ("_sources", pa.string()), ("_departments", pa.list_(pa.string())),
])  # fmt: skip


def firm(uscc="91330300MA2B0000XX", **said):
    row = dict.fromkeys(SCHEMA.names)
    row |= {"uscc": uscc, "_sources": "{}", "_departments": []}
    return row | said


def publish(folder: Path, rows, number: int = 0):
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_pylist(list(rows), schema=SCHEMA))
        plan = Plan(
            library="firms", key="uscc", generation=number + 1, indexed=("ent_name", "reg_no"), embedded=("_sources",),
            release=number, snapshot=str(number), published_at=at(number), freshness={"registry": at(number)},
        )  # fmt: skip
        made = build(folder, connection, "rows", plan)
    switch(folder, "firms", made.id)
    return made


def at(number: int) -> str:
    return f"2026-11-22T08:00:00.{number:06d}+08:00"


def test_a_record_comes_back_as_it_was_merged(tmp_path):
    said = firm(
        ent_name="温州𠮷祥贸易有限公司", reg_no="330300000012345678", reg_capital=Decimal("1234567890123456.780000"), est_date=date(1987, 5, 6),
        changed_at=datetime(1987, 7, 1, 8, 30, tzinfo=CHINA), staff=9007199254740993, listed=False,
        _sources='{"ent_name":["registry","base"]}', _departments=["registry", "tax"],
    )  # fmt: skip
    publish(tmp_path, [said])
    assert ServingStore(tmp_path, "firms").get(said["uscc"]) == {
        "uscc": "91330300MA2B0000XX", "ent_name": "温州𠮷祥贸易有限公司", "reg_no": "330300000012345678", "reg_capital": "1234567890123456.78",
        "est_date": "1987-05-06", "changed_at": "1987-07-01T08:30:00+08:00", "staff": 9007199254740993, "listed": False,
        "_sources": {"ent_name": ["registry", "base"]}, "_departments": ["registry", "tax"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0"),
        ("100", "100"),
        ("-0.500000", "-0.5"),
        ("0.000001", "0.000001"),
        ("999999999999.999999", "999999999999.999999"),
        ("-1000000000000.5", "-1000000000000.5"),
        ("999999999999999999.999999", "999999999999999999.999999"),
    ],
)
def test_amounts_are_exact_text(tmp_path, amount, text):
    publish(tmp_path, [firm(reg_capital=Decimal(amount))])
    assert ServingStore(tmp_path, "firms").get("91330300MA2B0000XX")["reg_capital"] == text


@settings(max_examples=200 if os.environ.get("SHUTONG_PROVE") else 10, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30) | st.none(),
        max_size=40,
    ),
    st.randoms(),
)
def test_any_text_is_found_by_key_and_by_name(tmp_path_factory, names, random):
    folder = tmp_path_factory.mktemp("any")
    rows = [firm(key, ent_name=name) for key, name in names.items()]
    random.shuffle(rows)
    publish(folder, rows)
    store = ServingStore(folder, "firms")
    assert {key: found["ent_name"] for key, found in store.get_many(names).items()} == names
    for name in {name for name in names.values() if name}:
        same = sorted((key for key, other in names.items() if other == name), key=lambda key: key.encode())
        assert [found["uscc"] for found in store.find("ent_name", name, limit=99)] == same


def test_rows_in_another_order_have_the_same_digest_and_other_rows_do_not(tmp_path):
    rows = [firm(f"K{n:05d}", ent_name=f"企业{n}") for n in range(500)]
    first = publish(tmp_path / "a", rows)
    assert publish(tmp_path / "b", reversed(rows)).digest == first.digest
    assert publish(tmp_path / "c", [*rows[:-1], firm("K00499", ent_name="企业")]).digest != first.digest


def test_many_records_share_a_dictionary_and_all_come_back(tmp_path):
    rows = [firm(f"K{n:06d}", ent_name=f"浙江企业{n}有限公司", staff=n) for n in range(70_000)]
    made = publish(tmp_path, rows)
    store = ServingStore(tmp_path, "firms")
    assert made.rows == 70_000
    assert all(store.get(f"K{n:06d}")["staff"] == n for n in range(0, 70_000, 7))
    assert store.get("K070000") is None
    assert (generation_file(tmp_path / "firms", made.id)).stat().st_size < 70_000 * 200


def test_what_is_too_long_for_an_index_is_found_all_the_same(tmp_path):
    long = "甲" * 400
    publish(tmp_path, [firm("A" * 600, ent_name=long), firm("B", ent_name=long + "乙")])
    store = ServingStore(tmp_path, "firms")
    assert [one["uscc"] for one in store.find("ent_name", long)] == ["A" * 600]
    assert store.get("A" * 600)["ent_name"] == long
    assert store.get("A" * 599) is None


def test_find_keeps_to_its_limit_and_to_the_declared_fields(tmp_path):
    publish(tmp_path, [firm(f"K{n}", ent_name="同名") for n in range(9)])
    store = ServingStore(tmp_path, "firms")
    assert [one["uscc"] for one in store.find("ent_name", "同名", limit=3)] == ["K0", "K1", "K2"]
    assert store.find("ent_name", "") == []
    assert store.find("ent_name", "同名", limit=0) == []
    assert [one["uscc"] for one in store.find("uscc", "K3")] == ["K3"]
    with pytest.raises(NotIndexedError, match="ent_name"):
        store.find("staff", "1")


def test_a_library_that_was_never_published_says_so_and_may_be_asked_again(tmp_path):
    store = ServingStore(tmp_path, "firms")
    with pytest.raises(NotPublishedError) as refused:
        store.get("X")
    assert refused.value.retryable
    publish(tmp_path, [firm("X")])
    assert store.get("X")["uscc"] == "X"


def test_an_empty_library_is_published_too(tmp_path):
    publish(tmp_path, [])
    store = ServingStore(tmp_path, "firms")
    assert (store.info().rows, store.get("X"), store.find("ent_name", "X")) == (0, None, [])


@pytest.mark.parametrize("rows", [[firm(None)], [firm("")], [firm("X"), firm("X")]])
def test_rows_without_a_key_of_their_own_are_refused(tmp_path, rows):
    with pytest.raises(KeyUnusableError):
        publish(tmp_path, rows)
    assert current(tmp_path / "firms") == 0


def test_a_switch_is_followed_and_two_generations_stay(tmp_path):
    store = ServingStore(tmp_path, "firms", check_every=0)
    for number in range(5):
        made = publish(tmp_path, [firm("X", staff=number)], number)
        assert store.get("X")["staff"] == number
        assert store.info() == made == published(tmp_path, "firms")
    assert len(list((tmp_path / "firms").glob("*.lmdb"))) == 2
    assert sorted(one.name for one in (tmp_path / "firms").iterdir() if one.suffix not in {".lmdb", ".seal"}) == [
        "CURRENT"
    ]


def test_a_reader_may_wait_before_it_looks_for_a_switch(tmp_path):
    publish(tmp_path, [firm("X", staff=1)], 1)
    store = ServingStore(tmp_path, "firms", check_every=3600)
    assert store.get("X")["staff"] == 1
    publish(tmp_path, [firm("X", staff=2)], 2)
    assert store.get("X")["staff"] == 1
    assert store.refresh().published_at == at(2)
    assert store.get("X")["staff"] == 2


def test_leftovers_of_a_killed_build_go_with_the_next_switch(tmp_path):
    publish(tmp_path, [firm("X")], 1)
    (tmp_path / "firms" / "123.building").mkdir()
    (tmp_path / "firms" / "123.building" / "filling").write_bytes(b"half")
    (tmp_path / "firms" / "000000009.lmdb").write_bytes(b"never in force")
    publish(tmp_path, [firm("X")], 2)
    assert sorted(one.suffix for one in (tmp_path / "firms").iterdir()) == ["", *[".lmdb"] * 2, *[".seal"] * 2]
    assert not (tmp_path / "firms" / "000000009.lmdb").exists()


def test_a_torn_file_is_an_error_a_person_can_act_on(tmp_path):
    made = publish(tmp_path, [firm("X")])
    (generation_file(tmp_path / "firms", made.id)).write_bytes(b"torn" * 4096)
    with pytest.raises(TornGenerationError, match="shutong library publish firms"):
        ServingStore(tmp_path, "firms").get("X")
    assert published(tmp_path, "firms") is None
    (generation_file(tmp_path / "firms", made.id)).unlink()
    with pytest.raises(TornGenerationError):
        ServingStore(tmp_path, "firms").get("X")


def test_two_stores_of_one_process_share_the_open_file(tmp_path):
    made = publish(tmp_path, [firm("X", staff=7)])
    stores = [ServingStore(tmp_path, "firms") for _ in range(5)]
    assert [store.get("X")["staff"] for store in stores] == [7] * 5
    with pytest.raises(lmdb.Error, match="already open"):
        lmdb.open(str(generation_file(tmp_path / "firms", made.id)), subdir=False, readonly=True, lock=False)


def test_threads_never_see_an_error_or_a_mixture_while_generations_switch(tmp_path):
    keys = [f"K{n:03d}" for n in range(200)]
    publish(tmp_path, [firm(key, staff=0) for key in keys], 0)
    store, wrong, stop, asked = ServingStore(tmp_path, "firms", check_every=0.001), [], threading.Event(), [0] * 4

    def ask(worker: int) -> None:
        while not stop.is_set():
            try:
                seen = {one["staff"] for one in store.get_many(keys).values()}
                same = store.get(keys[worker])["staff"]
            except Exception as error:  # noqa: BLE001 (whatever it is, a caller would have seen it)
                wrong.append(repr(error))
                return
            asked[worker] += 1
            if len(seen) != 1 or same < min(seen):
                wrong.append(f"{seen} {same}")

    workers = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for number in range(1, 13):
        publish(tmp_path, [firm(key, staff=number) for key in keys], number)
    stop.set()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert min(asked) > 0
    assert store.refresh().published_at == at(12)


LOOP = """
import json, sys, time
from pathlib import Path
from warehouse.serving import ServingStore
store, keys, calls, seen = ServingStore(Path(sys.argv[1]), "firms", check_every=0.0), [f"K{n:03d}" for n in range(200)], 0, set()
print("ready", flush=True)
while not (Path(sys.argv[1]) / "stop").exists():
    found = {one["staff"] for one in store.get_many(keys).values()}
    assert len(found) == 1, found
    assert store.get("K000") is not None and len(store.find("ent_name", "同名", limit=200)) == 200
    seen |= found
    calls += 1
print(json.dumps({"calls": calls, "seen": sorted(seen)}))
"""


def test_another_process_never_sees_an_error_or_a_mixture_during_ten_republishes(tmp_path):
    rows = [[firm(f"K{n:03d}", staff=number, ent_name="同名") for n in range(200)] for number in range(11)]
    publish(tmp_path, rows[0], 0)
    reader = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert reader.stdout.readline() == "ready\n"
    for number in range(1, 11):
        publish(tmp_path, rows[number], number)
    (tmp_path / "stop").touch()
    out, err = reader.communicate(timeout=60)
    assert (reader.returncode, err) == (0, "")
    assert '"seen": [' in out


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_worker_forked_after_the_first_look_up_answers_too(tmp_path):
    publish(tmp_path, [firm("X", staff=1)], 1)
    store = ServingStore(tmp_path, "firms", check_every=0)
    store.get("X")
    child = os.fork()
    if child == 0:
        right = store.get("X")["staff"] == 1
        publish(tmp_path, [firm("X", staff=2)], 2)
        os._exit(0 if right and store.get("X")["staff"] == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.get("X")["staff"] == 2


def test_a_file_let_go_of_by_one_thread_is_opened_by_another_at_once(tmp_path):
    made = publish(tmp_path, [firm("K")])

    def asked() -> int:
        return sum(ServingStore(tmp_path, "firms").get("K") is not None for _ in range(300))

    with ThreadPoolExecutor(4) as threads:
        answered = [one.result() for one in [threads.submit(asked) for _ in range(4)]]
    assert (made.rows, answered) == (1, [300] * 4)
