"""The generated departmental systems: reproducible, truthful where clean, and defective exactly as logged."""

import ast
import csv
import hashlib
import io
import json
import sqlite3
from datetime import date
from pathlib import Path

import pytest
from openpyxl import load_workbook
from stdnum.cn import uscc as stdnum_uscc
from stdnum.iso7064 import mod_11_2, mod_11_10

from shutong.demo import systems
from shutong.demo.defects import KINDS
from shutong.demo.ledger import Ledger
from shutong.demo.rows import LAYOUTS, POPULATION, QUARANTINED, REGISTRY, SOCIAL_ORG
from shutong.demo.scene import make_scene
from shutong.demo.truth import FEWEST_BODIES, id_check, make_world, org_check, reg_no_check, uscc_check

SEED, FIRMS, PERSONS = 7, 600, 800
GENERATOR = (
    "copies",
    "defects",
    "ledger",
    "rest_service",
    "rows",
    "scene",
    "systems",
    "truth",
    "vocabulary",
    "xlsx",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    systems.generate(home, SEED, firms=FIRMS, persons=PERSONS)
    return home


@pytest.fixture(scope="module")
def ledger(home):
    return Ledger.read(systems.ledger_path(home))


@pytest.fixture(scope="module")
def world():
    return make_world(SEED, firms=FIRMS, persons=PERSONS)


def contents(home: Path) -> dict[str, str]:
    files = sorted(path for path in home.rglob("*") if path.is_file())
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_identical_bytes_and_another_seed_does_not(home, tmp_path):
    systems.generate(tmp_path / "again", SEED, firms=FIRMS, persons=PERSONS)
    systems.generate(tmp_path / "other", SEED + 1, firms=FIRMS, persons=PERSONS)
    assert contents(tmp_path / "again") == contents(home)
    other = contents(tmp_path / "other")
    assert set(other) == set(contents(home))
    assert not set(other.values()) & set(contents(home).values())


def test_generating_over_an_older_world_leaves_no_record_of_it(home, tmp_path):
    systems.generate(tmp_path, SEED + 1, firms=FIRMS + 50, persons=PERSONS)
    systems.generate(tmp_path, SEED, firms=FIRMS, persons=PERSONS)
    with (
        sqlite3.connect(tmp_path / "systems/scjg/registry.db") as ours,
        sqlite3.connect(home / "systems/scjg/registry.db") as fresh,
    ):
        assert (
            ours.execute("SELECT * FROM e_baseinfo").fetchall() == fresh.execute("SELECT * FROM e_baseinfo").fetchall()
        )
    ours.close()
    fresh.close()


def test_generated_codes_hold_by_standards_own_examples_and_by_an_independent_library(world):
    assert id_check("11010519491231002") == "X"  # GB 11643-1999, the standard's example
    assert org_check("D2143569") == "X"  # GB 11714-1997, the standard's example
    assert reg_no_check("11010800000001") == "6"  # 工商行政管理注册号编制规则
    assert uscc_check("91350100M000100Y4") == "3"  # GB 32100-2015, the standard's example
    for firm in (*world.firms, *world.bodies):
        assert stdnum_uscc.is_valid(firm.uscc)
        assert firm.uscc[8:17] == firm.org_code == firm.org_code[:8] + org_check(firm.org_code[:8])
        assert mod_11_10.is_valid(firm.reg_no)
        assert len(firm.reg_no) == 15
    for person in world.persons:
        assert mod_11_2.is_valid(person.id_no)


def test_persons_and_firms_agree_with_themselves(world):
    for person in world.persons:
        assert person.id_no[6:14] == f"{person.birth_date:%Y%m%d}"
        assert person.sex == ("1" if int(person.id_no[16]) % 2 else "2")
    residents = set(world.persons)
    for firm in (*world.firms, *world.bodies):
        assert firm.rep in residents
        assert firm.est_date <= firm.appr_date <= date(2024, 12, 31)
        assert (firm.cancel_date is not None) == (firm.state == "4")
        assert (firm.revoke_date is not None) == (firm.state == "2")
        assert firm.op_to is None or firm.op_to > firm.op_from
    assert len({firm.uscc for firm in (*world.firms, *world.bodies)}) == FIRMS + max(FIRMS // 5, FEWEST_BODIES)


def test_names_hold_characters_that_only_gb18030_carries():
    names = "".join(person.name for person in make_world(SEED, firms=10, persons=3000).persons)
    assert "𠮷" in names
    assert "㐂" in names


def test_at_least_twelve_kinds_of_defects_are_in_the_systems_each_where_it_belongs(ledger):
    done = {(entry["resource"], entry["defect"]) for entry in ledger.defects}
    assert done == {(resource, kind.id) for kind in KINDS for resource in kind.layouts}
    assert len(KINDS) >= 12


def test_every_pulled_record_has_exactly_one_fate(ledger):
    assert set(ledger.resources) == {layout.resource for layout in LAYOUTS}
    for one in ledger.resources.values():
        assert one.pulled == one.landed + one.quarantined + one.superseded
        assert one.quarantined * 100 / one.pulled <= 5, "the gate would hold the batch"


def test_quarantined_and_repaired_rows_are_those_of_the_log(ledger):
    for resource, expected in ledger.resources.items():
        entries = [entry for entry in ledger.defects if entry["resource"] == resource]
        assert expected.quarantined == sum(entry["fate"] == QUARANTINED for entry in entries)
        counted = {}
        for entry in entries:
            for rule in entry["rules"]:
                counted[rule] = counted.get(rule, 0) + 1
        if resource.startswith("mzj."):  # people write 正常 in every row of these sheets
            counted["reg_state_repaired"] = expected.pulled
        assert expected.rules == counted


def test_the_registry_holds_what_the_log_says_was_done(home, ledger):
    done = [entry for entry in ledger.defects if entry["resource"] == REGISTRY.resource]
    wrong = {cells["uniscid"][1] for entry in done if "uniscid" in (cells := entry["cells"])}
    with sqlite3.connect(home / "systems/scjg/registry.db") as registry:
        held = {code for (code,) in registry.execute("SELECT uniscid FROM e_baseinfo")}
        (rows,) = registry.execute("SELECT count(*) FROM e_baseinfo").fetchone()
    registry.close()
    assert wrong
    assert wrong <= held
    assert rows == ledger.resources[REGISTRY.resource].pulled


def test_the_drops_are_gb18030_with_manifests_that_agree_and_one_file_left_without(home, ledger):
    rows = short = undecodable = 0
    for path in sorted((home / "systems/gongan").glob("*.csv")):
        seal = path.with_name(path.name + ".ok")
        if path.name in ledger.untaken:
            assert not seal.exists()
            continue
        said = dict(line.split("=") for line in seal.read_text().split())
        content = path.read_bytes()
        assert said["sha256"] == hashlib.sha256(content).hexdigest()
        records = list(csv.reader(io.StringIO(content.decode("gb18030", "replace"), newline="")))[1:]
        assert said["rows"] == str(len(records))
        rows += len(records)
        short += sum(len(record) < len(POPULATION.fields) for record in records)
        undecodable += content.count(b"\xff")
    expected = ledger.resources[POPULATION.resource]
    assert (rows, short, undecodable) == (expected.pulled, expected.rules["row_shape"], expected.rules["bad_bytes"])
    assert len(ledger.untaken) == 1


def test_workbooks_hold_text_as_text_and_spoiled_codes_as_numbers(home, ledger):
    sheet = load_workbook(home / "systems/mzj/social_orgs.xlsx")["社会组织"]
    header, *rows = sheet.iter_rows(values_only=True)
    assert list(header) == list(SOCIAL_ORG.fields.values())
    numbers = sum(isinstance(row[header.index("统一社会信用代码")], int | float) for row in rows)
    expected = ledger.resources[SOCIAL_ORG.resource]
    assert (len(rows), numbers) == (expected.pulled, expected.rules["float_id"])


def test_taxpayers_are_firms_of_the_registry_and_disagree_on_some_telephones(home, world):
    taxpayers = json.loads((home / "systems/swj/taxpayers.json").read_text(encoding="utf-8"))
    phones = {firm.uscc: firm.phone for firm in world.firms}
    known = [one for one in taxpayers if one["shxydm"] in phones]
    assert len(known) > 0.9 * len(taxpayers)
    differing = sum(phones[one["shxydm"]] != one["lxdh"] for one in known)
    assert 0.1 < differing / len(known) < 0.5


def test_the_generator_never_asks_shutongs_own_validators():
    folder = Path(systems.__file__).parent
    written = [folder / f"{name}.py" for name in GENERATOR]
    imported = set()
    for path in written:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    ours = {"schemas", "connectors", "quality", "warehouse", "runs", "sharing", "dags"}
    assert not {name for name in imported if name.split(".")[0] in ours}
    own = {f"shutong.demo.{name}" for name in GENERATOR}
    assert {name for name in imported if name.startswith("shutong")} <= own


def test_a_later_change_brings_one_more_file_and_leaves_the_old_ones_alone(home, tmp_path):
    systems.generate(tmp_path, SEED, firms=FIRMS, persons=PERSONS)
    before = contents(tmp_path)
    first = Ledger.read(systems.ledger_path(tmp_path))
    later = systems.change(tmp_path, SEED, 1)
    after = contents(tmp_path)
    new = set(after) - set(before)
    assert {Path(name).suffix for name in new} == {".csv", ".ok"}
    assert all(after[name] == before[name] for name in before if "gongan" in name)
    registry = (first.resources[REGISTRY.resource], later.resources[REGISTRY.resource])
    assert registry[1].pulled == registry[0].pulled + FIRMS // 200
    assert registry[1].digest != registry[0].digest
    for run in later.drops.values():
        assert run.pulled == run.landed + run.quarantined + run.superseded
        assert 0 < run.landed <= run.pulled
    assert later.drops[REGISTRY.resource].quarantined == first.resources[REGISTRY.resource].quarantined
    drop = later.drops[POPULATION.resource]
    assert later.resources[POPULATION.resource].pulled == first.resources[POPULATION.resource].pulled + drop.pulled
    assert later.libraries["population"].records == first.libraries["population"].records + PERSONS // 200


def test_a_scene_is_computed_from_the_seed_and_not_from_what_lies_on_disk():
    one, other = (make_scene(SEED, firms=200, persons=200, rounds=2).ledger() for _ in range(2))
    assert one == other
    assert one.round == 2
