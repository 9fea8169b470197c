"""The demo's way from departmental systems to libraries: every figure is the ledger's, and any tampering is told."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from demo_town import LIBRARIES, ingest, lay_out, opened, standard_without

from runs.reports import Report
from shutong.demo import roster, systems
from shutong.demo.ledger import Ledger, digest
from shutong.demo.observe import masked_well, observe
from shutong.demo.run import differences
from shutong.wiring import Wired


@dataclass
class Rounds:
    """What two rounds and a repetition arrived at."""

    ledger: Ledger
    first: list[str]
    changed: Ledger
    reports: dict[str, Report]
    digests: dict[str, str]
    libraries: dict[str, object]
    again: dict[str, Report]
    releases: tuple[int, int]


def landed_digest(wired: Wired, resource_id: str, run: str, fields: list[str]) -> str:
    """The digest over the rows that one run landed."""
    resource = wired.deployment.resource(resource_id)
    snapshot = wired.state.released(resource.table)
    rows = wired.tables.read(resource.table, snapshot, columns=fields, where="_run = ?", params=[run]).select(fields)
    return digest(zip(*(column.to_pylist() for column in rows.columns), strict=True))


@pytest.fixture(scope="module")
def rounds(tmp_path_factory) -> Rounds:
    home = tmp_path_factory.mktemp("rounds") / "home"
    ledger = lay_out(home)
    with opened(home) as wired:
        ingest(wired, "one")
        first = differences(wired, ledger, observe(wired, ledger))
        changed = systems.change(home)
        reports = ingest(wired, "two")
        digests = {
            name: landed_digest(wired, name, reports[name].run, drop.fields) for name, drop in changed.drops.items()
        }
        libraries = observe(wired, changed)["libraries"]
        before = wired.state.releases(1)[0].id
        again = ingest(wired, "three")
        return Rounds(
            ledger, first, changed, reports, digests, libraries, again, (before, wired.state.releases(1)[0].id)
        )


@pytest.fixture(scope="module")
def tampered(tmp_path_factory) -> list[str]:
    """The differences of a deployment where two rules were deleted, one firm renamed and one person's phone changed."""
    home = tmp_path_factory.mktemp("tampered") / "home"
    ledger = lay_out(home)
    standard_without(home, "legal_person", "uscc_pair_known", "est_not_future")
    rename_a_firm(home, ledger)
    change_a_phone(home, ledger)
    with opened(home) as wired:
        ingest(wired, "one")
        return differences(wired, ledger, observe(wired, ledger))


def rename_a_firm(home: Path, ledger: Ledger) -> None:
    """Another name for one undamaged firm that is not the sample."""
    spared = {one["key"] for one in ledger.defects} | {ledger.libraries["legal_person"].sample["uscc"]}
    with sqlite3.connect(home / "systems" / "scjg" / "registry.db") as registry:
        codes = [code for (code,) in registry.execute("SELECT uniscid FROM e_baseinfo")]
        chosen = next(code for code in codes if code not in spared and codes.count(code) == 1)
        changed = registry.execute("UPDATE e_baseinfo SET entname = entname || '𠮷' WHERE uniscid = ?", [chosen])
        assert changed.rowcount == 1
    registry.close()


def change_a_phone(home: Path, ledger: Ledger) -> None:
    """Another phone number for the sample person in the CSV drop, whose manifest agrees with it."""
    phone = str(ledger.libraries["population"].sample["phone"]).encode()
    (path,) = [one for one in (home / "systems" / "gongan").glob("*.csv") if phone in one.read_bytes()]
    content = path.read_bytes()
    assert content.count(phone) == 1
    content = content.replace(phone, phone[:-1] + (b"1" if phone[-1:] != b"1" else b"2"))
    path.write_bytes(content)
    manifest = path.with_name(f"{path.name}.ok")
    rows = manifest.read_text().partition("\n")[0]
    manifest.write_text(f"{rows}\nsha256={hashlib.sha256(content).hexdigest()}\n")


def test_every_figure_of_the_first_round_is_the_ledgers(rounds):
    assert rounds.first == []


def test_at_least_twelve_kinds_of_defects_were_among_it(rounds):
    assert len({one["defect"] for one in rounds.ledger.defects}) >= 12
    assert {one["fate"] for one in rounds.ledger.defects} == {"landed", "quarantined", "superseded"}


@pytest.mark.parametrize("resource", ["scjg.enterprise_base", "swj.taxpayer", "gongan.population"])
def test_of_a_second_round_lands_what_changed_and_nothing_else(rounds, resource):
    said, expected = rounds.reports[resource], rounds.changed.drops[resource]
    assert (said.pulled, said.landed, said.quarantined, said.superseded) == (
        expected.pulled,
        expected.landed,
        expected.quarantined,
        expected.superseded,
    )
    assert {rule: rows for rule, rows in said.rules.items() if rows} == expected.rules
    assert rounds.digests[resource] == expected.digest


def test_of_a_system_that_did_not_change_nothing_lands_in_the_second_round(rounds):
    for resource in ("mzj.institution", "mzj.social_org"):
        assert resource not in rounds.changed.drops
        assert not rounds.reports[resource].changed


@pytest.mark.parametrize("library", LIBRARIES)
def test_after_the_second_round_the_libraries_hold_what_the_ledger_says(rounds, library):
    expected = rounds.changed.libraries[library]
    told = rounds.libraries[library]
    assert told["records"] == expected.records
    assert expected.sample.items() <= told["sample"].items()
    assert expected.records != rounds.ledger.libraries[library].records, "the change added records"


def test_a_third_round_without_a_change_adds_and_releases_nothing(rounds):
    assert [name for name, one in rounds.again.items() if one.changed] == []
    before, after = rounds.releases
    assert before == after


def beginning(lines: list[str], words: str) -> list[str]:
    return [line for line in lines if line.startswith(words)]


def test_a_deleted_rule_is_a_difference_even_if_no_row_ever_violated_it(tampered):
    assert beginning(tampered, "legal_person@1") == [
        "legal_person@1 est_not_future: 缺少此规则 | the rule is missing",
        "legal_person@1 uscc_pair_known: 缺少此规则 | the rule is missing",
    ]


def test_a_deleted_rule_that_rows_violate_is_missed_in_every_resource(tampered, rounds):
    missed = [line for line in tampered if " uscc_pair_known: 应为" in line]
    fired = [name for name, one in rounds.ledger.resources.items() if "uscc_pair_known" in one.rules]
    assert len(fired) == 3
    assert sorted(line.partition(" ")[0] for line in missed) == sorted(fired)


def test_one_renamed_firm_is_a_difference_though_all_counts_agree(tampered):
    lines = beginning(tampered, "scjg.enterprise_base ")
    assert [line.partition(":")[0] for line in lines if "uscc_pair_known" not in line] == [
        "scjg.enterprise_base digest"
    ]


def test_one_changed_cell_of_a_csv_drop_is_a_difference_in_the_table_and_the_library(tampered):
    lines = [*beginning(tampered, "gongan.population "), *beginning(tampered, "population ")]
    assert [line.partition(":")[0] for line in lines] == ["gongan.population digest", "population phone"]


def test_what_was_not_touched_shows_no_difference(tampered):
    assert beginning(tampered, "swj.taxpayer") == []
    assert len(tampered) == 2 + 3 + 1 + 2


def test_the_roster_is_what_the_standards_that_ship_have():
    from schemas.load import find_standard

    shipped = {name: {rule.id for rule in find_standard(name).rules} for name in roster.STANDARDS}
    assert roster.read_roster() == shipped


def test_an_answer_that_shows_a_masked_value_or_a_wrong_one_is_told():
    sample = {"name": "乔艳超", "phone": "19095417499", "sex": "1"}
    good = {"data": {"name": "乔**", "phone": "190****7499", "sex": "1"}, "masked": ["name", "phone"]}
    assert masked_well(good, sample) == []
    shown = {"data": {"name": "乔艳超", "phone": "190****7499", "sex": "2"}, "masked": ["name", "phone"]}
    assert [line.partition(":")[0] for line in masked_well(shown, sample)] == ["name", "sex"]
