"""What rules look at besides their rows: named libraries once they are released, code lists, reference tables."""

from __future__ import annotations

import pytest
from small_deployment import add_resource, csv_source, drop, firm, lay_out, opened, write_small_standard

from schemas.errors import StandardError

FIRMS = "scjg.firms"
RULES = """
rules:
  - {id: same_domicile, kind: unique, columns: [domicile], severity: warning, zh: 住所重复, en: two of one domicile}
  - id: blacklisted
    kind: reference
    columns: [uscc]
    severity: warning
    zh: 在黑名单中
    en: on the black list
    params: {to: black_list, match: {uscc: uscc}, expect: absent}
  - id: new_here
    kind: reference
    columns: [uscc]
    severity: warning
    zh: 法人库中没有
    en: not in the library
    params: {to: legal_person, match: {uscc: uscc}}
"""


def ran(wired, run):
    report = wired.steps.ingest(FIRMS, run)
    wired.steps.merge("legal_person", f"{run}-merge")
    return {rule: rows for rule, rows in report.rules.items() if rule in RULES}, report


def test_rules_about_other_rows_tables_and_libraries_are_applied_to_each_batch(tmp_path):
    home = lay_out(tmp_path / "home")
    (home / "references").mkdir()
    (home / "references" / "black_list.csv").write_text(f"uscc,since\n{firm(2)[0]},2024\n", encoding="utf-8")
    add_resource(
        home, csv_source(), standard=write_small_standard(home), more=f"references: [legal_person]\n{RULES}", percent=99
    )
    with opened(home) as wired:
        drop(home, "one.csv", [[*firm(number)[:3], f"杭州{number // 2}"] for number in range(6)])
        first, report = ran(wired, "one")
        assert first == {"same_domicile": 6, "blacklisted": 1}  # there is no library yet
        assert (report.landed, report.quarantined) == (6, 0)
        drop(home, "two.csv", [[*firm(number)[:3], f"宁波{number}"] for number in range(4, 9)])
        second, _ = ran(wired, "two")
        assert second == {"same_domicile": 0, "blacklisted": 0, "new_here": 3}


def test_a_library_is_looked_at_only_where_the_resource_says_so(tmp_path):
    home = lay_out(tmp_path / "home")
    (home / "references").mkdir()
    (home / "references" / "black_list.csv").write_text("uscc,since\n", encoding="utf-8")
    add_resource(home, csv_source(), standard=write_small_standard(home), more=RULES, percent=99)
    with opened(home) as wired:
        for run in ("one", "two"):
            drop(home, f"{run}.csv", [firm(number, run) for number in range(4)])
            found, _ = ran(wired, run)
        assert "new_here" not in found
        assert found["blacklisted"] == 0


def test_a_name_no_rule_looks_at_is_refused_with_those_there_are(tmp_path):
    home = lay_out(tmp_path / "home")
    add_resource(home, csv_source(), standard=write_small_standard(home), more=f"references: [persons]\n{RULES}")
    with pytest.raises(StandardError, match="legal_person"), opened(home):
        pass
