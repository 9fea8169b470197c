"""The ledger: digests move with a single cell, and a comparison names every difference in both languages."""

import copy
from dataclasses import asdict
from datetime import date
from decimal import Decimal

import pytest

from shutong.demo import systems
from shutong.demo.ledger import Ledger, compare, digest, expect
from shutong.demo.rows import LANDED, QUARANTINED, REGISTRY, SUPERSEDED, settle
from shutong.demo.scene import make_scene


@pytest.fixture(scope="module")
def ledger():
    return make_scene(11, firms=200, persons=200).ledger()


@pytest.fixture
def observed(ledger):
    return copy.deepcopy(asdict(ledger))


def test_a_digest_does_not_depend_on_the_order_of_rows_but_on_every_cell():
    rows = [["91330100MA2B", Decimal("10.500000"), date(2021, 3, 1), None], ["9133", None, None, "𠮷"]]
    assert digest(rows) == digest(rows[::-1])
    assert digest([["91330100MA2B", Decimal("10.5"), date(2021, 3, 1), None], rows[1]]) == digest(rows)
    assert digest([["91330100MA2B", Decimal("10.5"), date(2021, 3, 1), ""], rows[1]]) != digest(rows)
    assert digest([rows[0], ["9133", None, None, "吉"]]) != digest(rows)


def test_numbers_are_the_same_text_however_many_zeros_were_kept():
    assert digest([[Decimal("100.000000")]]) == digest([[Decimal(100)]]) == digest([["100"]])


def test_changing_one_seeded_row_changes_the_digest():
    scene = make_scene(11, firms=200, persons=200)
    rows = scene.copies[REGISTRY.resource]
    settle(rows, REGISTRY)
    before = expect(rows, REGISTRY)
    next(row for row in rows if row.fate == LANDED).expected["domicile"] = "杭州市别处1号"
    after = expect(rows, REGISTRY)
    assert (after.landed, after.rules) == (before.landed, before.rules)
    assert after.digest != before.digest


def test_of_versions_of_one_firm_the_newest_lands_whatever_the_order_of_rows():
    scene = make_scene(11, firms=200, persons=200)
    rows = scene.copies[REGISTRY.resource]
    for order in (rows, rows[::-1]):
        settle(order, REGISTRY)
        older = [row for row in rows if "older_version" in row.defects]
        assert older
        assert {row.fate for row in older} == {SUPERSEDED}


def test_a_quarantined_row_never_supersedes_another():
    scene = make_scene(11, firms=200, persons=200)
    row = scene.copies[REGISTRY.resource][0].copy()
    row.fate = LANDED
    newer = row.copy()
    newer.fate, newer.expected["appr_date"] = QUARANTINED, date(2030, 1, 1)
    settle([row, newer], REGISTRY)
    assert (row.fate, newer.fate) == (LANDED, QUARANTINED)


def test_a_ledger_read_back_is_the_one_written(ledger, tmp_path):
    ledger.write(tmp_path / "ledger.json")
    assert Ledger.read(tmp_path / "ledger.json") == ledger


def test_agreement_has_no_differences(ledger, observed):
    assert compare(ledger, observed) == []


def test_one_row_too_many_under_one_rule_is_named_in_both_languages(ledger, observed):
    observed["resources"]["scjg.enterprise_base"]["rules"]["uscc_check"] += 1
    (line,) = compare(ledger, observed)
    assert line.startswith("scjg.enterprise_base uscc_check")
    assert "应为" in line
    assert "expected" in line


def test_a_rule_that_no_longer_runs_or_was_never_expected_is_a_difference(ledger, observed):
    del observed["resources"]["gongan.population"]["rules"]["id_no_check"]
    observed["resources"]["gongan.population"]["rules"]["made_up"] = 2
    expected = ledger.resources["gongan.population"].rules["id_no_check"]
    assert compare(ledger, observed) == [
        f"gongan.population id_no_check: 应为 {expected}，实为 0 | expected {expected}, got 0",
        "gongan.population made_up: 应为 0，实为 2 | expected 0, got 2",
    ]


@pytest.mark.parametrize("what", ["pulled", "landed", "quarantined", "superseded", "digest"])
def test_every_figure_of_a_resource_is_compared(ledger, observed, what):
    observed["resources"]["swj.taxpayer"][what] = "other"
    assert len(compare(ledger, observed)) == 1


def test_a_missing_resource_library_or_field_is_a_difference(ledger, observed):
    del observed["libraries"]["legal_person"]["sample"]["phone"]
    del observed["resources"]["mzj.institution"]
    observed["resources"]["mzj.unknown"] = {}
    lines = compare(ledger, observed)
    assert any(line.startswith("legal_person phone") for line in lines)
    assert any(line.startswith("mzj.institution landed") for line in lines)
    assert any(line.startswith("mzj.unknown") for line in lines)
    assert compare(ledger, {})


def test_the_sample_firm_is_one_that_departments_disagree_on(ledger):
    sample = ledger.libraries["legal_person"]
    assert sample.source["phone"] == sample.source["tax_no"] == "swj"
    assert sample.source["ent_name"] == sample.source["reg_capital"] == "scjg"


def test_the_default_world_is_ready_in_seconds(tmp_path):
    import time

    begun = time.process_time()
    systems.generate(tmp_path)
    assert time.process_time() - begun < 5
