"""A library is rebuilt from what is released, released as a whole, and left alone when nothing changed."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from shelf import Shelf

from schemas.standard import Field, Standard
from warehouse.errors import WarehouseError
from warehouse.merge import Contribution, agreeing, merge
from warehouse.publish import NotMergedError, publish
from warehouse.said import explain
from warehouse.serving import ServingStore
from warehouse.state import State
from warehouse.survivors import Compared
from warehouse.tables import Tables

STANDARD = Standard(
    name="legal_person", version=1, zh="法人", en="legal person", library="legal_person", rules=(), key=("uscc",), order=("appr_date",),
    identifiers=("subject_id", "uscc", "reg_no"),
    fields=(
        Field("uscc", "统一社会信用代码", "USCC", "uscc"), Field("subject_id", "主体身份代码", "subject id"), Field("reg_no", "注册号", "registration number"),
        Field("ent_name", "名称", "name", authority=("registry",)), Field("dom", "住所", "address", authority=("tax",)),
        Field("reg_capital", "注册资本", "capital", "capital"), Field("appr_date", "核准日期", "approved", "date"),
    ),
)  # fmt: skip
FIRST, SECOND = (
    Contribution("registry.base", "registry", "std_registry.base"),
    Contribution("tax.payers", "tax", "std_tax.payers"),
)
BOTH = [FIRST, SECOND]
SCHEMA = pa.schema(
    [
        (one.name, {"capital": pa.decimal128(24, 6), "date": pa.date32()}.get(one.type, pa.string()))
        for one in STANDARD.fields
    ]
    + [("_landed_at", pa.string())]
)
NAMES = ("base.legal_person", "base.legal_person_xref", "base.legal_person_attr", "base.legal_person_history")
LANDED = "2026-11-22T08:00:00.000000+08:00"


def firm(number: int, **said):
    return {
        "uscc": f"91330300MA2B{number:06d}",
        "reg_no": f"3303000{number:011d}",
        "ent_name": f"温州𠮷祥{number}号公司",
        "_landed_at": LANDED,
    } | said


def land(state: State, tables: Tables, table: str, rows, run: str) -> None:
    tables.ensure(table, SCHEMA)
    snapshot = tables.replace(table, pa.Table.from_pylist(list(rows), schema=SCHEMA))
    state.commit_release(run, {table: tables.pin(table, snapshot)})


def deployment(folder: Path) -> tuple[State, Tables]:
    state = State(f"sqlite:///{folder / 'state.db'}")
    state.migrate()
    return state, Tables(folder / "warehouse", f"sqlite:///{folder / 'catalog.db'}")


def registry_rows(*, moved: bool = False):
    if moved:
        return [firm(n, dom="迁址") for n in range(5, 40)]
    return [firm(n, reg_capital=Decimal("1.5"), appr_date=date(2020, 1, 1)) for n in range(20)]


def tax_rows():
    keyless = [{"reg_no": firm(0)["reg_no"], "dom": "凭注册号归入", "_landed_at": LANDED}, {"reg_no": "无"}]
    return [firm(n, ent_name="另一名", dom=f"地址{n}") for n in range(10, 30)] + keyless


def both_landed(folder: Path) -> None:
    """What two departments have landed."""
    state, tables = deployment(folder)
    land(state, tables, FIRST.table, registry_rows(), "run-1")
    land(state, tables, SECOND.table, tax_rows(), "run-2")
    tables.close()
    state.close()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    return Shelf(tmp_path_factory.mktemp("merge")).make(both_landed)


@pytest.fixture
def home(shelf):
    state, tables = deployment(shelf.back())
    yield state, tables
    tables.close()
    state.close()


def contents(state, tables):
    every = [tables.read(name, state.released(name)).to_pylist() for name in NAMES]
    told = [[{name: value for name, value in row.items() if name != "_at"} for row in rows] for rows in every]
    return [sorted(rows, key=repr) for rows in told]


def said(state, tables):
    """Who said what about every record."""
    keys = [row["uscc"] for row in contents(state, tables)[0]]
    return [one for key in keys for one in explain(state, tables, "legal_person", key)]


def counted_one_by_one(statements):
    """How often two departments say the same about a field, and how often both speak: from who said what."""
    best = {}
    for one in sorted(statements, key=lambda one: -one["rank"]):
        best.setdefault((one["key"], one["field"]), {})[one["department"]] = one["value"]
    both = [said for said in best.values() if len(said) == 2]
    assert both
    return sum(len(set(said.values())) == 1 for said in both), len(both)


def test_two_departments_become_one_library_released_as_a_whole(home):
    state, tables = home
    made = merge(state, tables, "legal_person", STANDARD, BOTH)
    assert (made.records, made.changed, made.unlinked) == (30, True, {"registry.base": 0, "tax.payers": 1})
    assert made.conflicts == (Compared("ent_name", "registry", "tax", 10, 10),)
    assert made.inputs == {one.table: state.released(one.table) for one in BOTH}
    assert set(state.releases(limit=1)[0].changed) == set(NAMES[:3])
    assert agreeing(tables, "legal_person") == counted_one_by_one(said(state, tables))

    rows = {one["uscc"]: one for one in contents(state, tables)[0]}
    assert (rows[firm(15)["uscc"]]["ent_name"], rows[firm(15)["uscc"]]["dom"]) == ("温州𠮷祥15号公司", "地址15")
    assert (rows[firm(25)["uscc"]]["ent_name"], rows[firm(25)["uscc"]]["reg_capital"]) == ("另一名", None)
    assert (rows[firm(0)["uscc"]]["dom"], rows[firm(0)["uscc"]]["_departments"]) == (
        "凭注册号归入",
        ["registry", "tax"],
    )


def test_who_said_what_is_told_best_statement_first(home):
    state, tables = home
    assert explain(state, tables, "legal_person", firm(15)["uscc"]) == []
    merge(state, tables, "legal_person", STANDARD, BOTH)
    told = [one for one in explain(state, tables, "legal_person", firm(15)["uscc"]) if one["field"] == "ent_name"]
    assert [(one["department"], one["value"], one["chosen"], one["observed_at"]) for one in told] == [
        ("registry", "温州𠮷祥15号公司", True, LANDED),
        ("tax", "另一名", False, LANDED),
    ]


def test_the_same_inputs_are_not_merged_again_and_new_ones_are(home):
    state, tables = home
    first = merge(state, tables, "legal_person", STANDARD, BOTH)
    heads = [tables.head(name) for name in NAMES]
    again = merge(state, tables, "legal_person", STANDARD, BOTH)
    assert (again.changed, again.conflicts, again.records, again.release) == (False, first.conflicts, 30, first.release)
    assert [tables.head(name) for name in NAMES] == heads
    land(state, tables, FIRST.table, [firm(1)], "run-3")
    assert merge(state, tables, "legal_person", STANDARD, BOTH).records == 21
    assert merge(state, tables, "legal_person", STANDARD, BOTH[::-1]).changed


def test_what_landed_but_is_not_released_is_not_merged(home):
    state, tables = home
    tables.replace(FIRST.table, pa.Table.from_pylist([firm(99)], schema=SCHEMA))
    merge(state, tables, "legal_person", STANDARD, BOTH)
    assert firm(99)["uscc"] not in {one["uscc"] for one in contents(state, tables)[0]}


def test_a_contribution_that_never_landed_waits_and_none_at_all_changes_nothing(home):
    state, tables = home
    absent = Contribution("civil.units", "civil", "std_civil.units")
    assert merge(state, tables, "legal_person", STANDARD, [*BOTH, absent]).records == 30
    made = merge(state, tables, "other", STANDARD, [absent])
    assert (made.changed, made.records, state.released("base.other")) == (False, 0, None)


def test_a_published_library_answers_with_what_was_merged(home, tmp_path):
    state, tables = home
    serving = tmp_path / "serving"
    with pytest.raises(NotMergedError):
        publish(state, tables, serving, "legal_person", STANDARD)
    merge(state, tables, "legal_person", STANDARD, BOTH)
    made = publish(state, tables, serving, "legal_person", STANDARD)
    store = ServingStore(serving, "legal_person")
    assert (made.generation, made.rows, state.publication("legal_person")) == (1, 30, made)
    assert store.get(firm(12)["uscc"]) == {
        **dict.fromkeys(SCHEMA.names[:-1]), "uscc": firm(12)["uscc"], "reg_no": firm(12)["reg_no"], "ent_name": "温州𠮷祥12号公司", "dom": "地址12", "reg_capital": "1.5",
        "appr_date": "2020-01-01", "_departments": ["registry", "tax"],
        "_sources": {"uscc": ["registry", "registry.base"], "reg_no": ["registry", "registry.base"], "ent_name": ["registry", "registry.base"], "reg_capital": ["registry", "registry.base"], "appr_date": ["registry", "registry.base"], "dom": ["tax", "tax.payers"]},
    }  # fmt: skip
    assert [one["uscc"] for one in store.find("reg_no", firm(12)["reg_no"])] == [firm(12)["uscc"]]
    assert len(store.find("ent_name", "另一名", limit=99)) == 10
    assert (store.info().freshness, store.info().release) == ({"registry": LANDED, "tax": LANDED}, made.release)


def test_publishing_again_does_nothing_until_the_library_changes(home, tmp_path):
    state, tables = home
    merge(state, tables, "legal_person", STANDARD, BOTH)
    first = publish(state, tables, tmp_path / "serving", "legal_person", STANDARD)
    assert publish(state, tables, tmp_path / "serving", "legal_person", STANDARD) == first
    land(state, tables, FIRST.table, [firm(1)], "run-3")
    merge(state, tables, "legal_person", STANDARD, BOTH)
    assert publish(state, tables, tmp_path / "serving", "legal_person", STANDARD).generation == 2
    made = publish(state, tables, tmp_path / "serving", "legal_person", STANDARD, indexed=("dom",))
    assert (made.generation, ServingStore(tmp_path / "serving", "legal_person").info().indexed) == (3, ("dom",))


def test_a_lost_or_torn_serving_file_is_built_anew(home, tmp_path):
    state, tables = home
    merge(state, tables, "legal_person", STANDARD, BOTH)
    publish(state, tables, tmp_path / "serving", "legal_person", STANDARD)
    next((tmp_path / "serving" / "legal_person").glob("*.lmdb")).write_bytes(b"torn" * 5000)
    assert publish(state, tables, tmp_path / "serving", "legal_person", STANDARD).generation == 2
    assert ServingStore(tmp_path / "serving", "legal_person").get(firm(3)["uscc"])["ent_name"] == "温州𠮷祥3号公司"


NEVER, BEFORE, AFTER = "never", "before it is merged", "after it was merged"  # when the registry's rows move
KILLED = [
    ("merge.written", NEVER), ("merge.committed", NEVER), ("merge.released", NEVER),
    ("publish.built", NEVER), ("publish.switched", NEVER), ("publish.recorded", NEVER),
    ("merge.committed", BEFORE), ("publish.switched", AFTER),
]  # fmt: skip


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """What those leave who were killed at each point while they merged and published."""
    shelf, here = Shelf(tmp_path_factory.mktemp("killed")).make(both_landed), Path(__file__).parent
    command = [sys.executable, str(here / "merge_kills.py"), str(shelf.folder), *{point: 0 for point, _ in KILLED}]
    search = os.pathsep.join([str(here.parents[1]), str(here)])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": search}, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return shelf


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a merge and publish that nobody kills come to when the registry's rows never move, or do before or after."""
    outcomes = {}
    for moved in (NEVER, BEFORE):
        folder = tmp_path_factory.mktemp("calm")
        state, tables = deployment(folder)
        land(state, tables, FIRST.table, registry_rows(moved=moved == BEFORE), "run-1")
        land(state, tables, SECOND.table, tax_rows(), "run-2")
        outcomes[moved] = outcome(folder, state, tables)
        if moved == NEVER:  # history keeps what the records were
            land(state, tables, FIRST.table, registry_rows(moved=True), "run-3")
            outcomes[AFTER] = outcome(folder, state, tables)
        tables.close()
        state.close()
    return outcomes


def outcome(folder: Path, state: State, tables: Tables):
    """Merge and publish, then everything a user could see of it."""
    made = merge(state, tables, "legal_person", STANDARD, BOTH)
    published = publish(state, tables, folder / "serving", "legal_person", STANDARD)
    serving = ServingStore(folder / "serving", "legal_person").info()
    assert (published.generation, published, published.rows) == (
        serving.id,
        state.publication("legal_person"),
        serving.rows,
    )
    return contents(state, tables), made.records, made.conflicts, made.unlinked, serving.digest


@pytest.mark.kills
@pytest.mark.parametrize(("point", "moved"), KILLED)
def test_killed_at_any_point_and_run_again_it_is_as_if_undisturbed(killed, undisturbed, point, moved):
    folder = killed.back(point)
    state, tables = deployment(folder)
    if moved != NEVER:
        land(state, tables, FIRST.table, registry_rows(moved=True), "run-3")
    assert outcome(folder, state, tables) == undisturbed[moved]
    assert not list((folder / "serving").rglob("*.building"))
    heads = [head.snapshot if (head := tables.head(name)) else None for name in NAMES]
    assert heads == [state.released(name) for name in NAMES]
    assert not merge(state, tables, "legal_person", STANDARD, BOTH).changed
    tables.close()
    state.close()


@pytest.mark.parametrize("asked", [1, 2])
def test_a_merge_that_lost_its_lock_releases_nothing_and_the_next_one_does(home, monkeypatch, asked):
    state, tables = home
    merge(state, tables, "legal_person", STANDARD, (FIRST, SECOND))
    before, count = contents(state, tables), []
    land(state, tables, FIRST.table, registry_rows(moved=True), "run-3")

    def lost():
        count.append(1)
        if len(count) == asked:
            raise WarehouseError("WH-LOCK-LOST", zh="锁", en="lost", fix_zh="再来", fix_en="again")

    with monkeypatch.context() as patched:
        patched.setattr(tables, "lock", lambda _name: nullcontext(lost))
        with pytest.raises(WarehouseError, match="WH-LOCK-LOST"):
            merge(state, tables, "legal_person", STANDARD, (FIRST, SECOND))
    assert contents(state, tables) == before
    assert merge(state, tables, "legal_person", STANDARD, (FIRST, SECOND)).changed
    assert contents(state, tables) != before
