"""The enterprise deployment: every row of a real file has exactly the fate an independent reading gives it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from enterprise_counts import UNBROKEN, violating
from enterprise_truth import HEADER, SPELLINGS, WAN, YUAN, Truth, read, valid_uscc, work_out

from shutong.cli import main
from shutong.settings import read as read_settings
from shutong.wiring import Wired, open_deployment
from warehouse.checked import kept_check
from warehouse.keep import received
from warehouse.merge import base_table

REAL = Path(os.environ.get("SHUTONG_SHARED", "../shared")) / "data" / "zhejiang-enterprises.csv.gz"
RESOURCE = "scjg.enterprises"


@dataclass(frozen=True)
class Ingested:
    """A deployment after one `shutong ingest`, and what the command said."""

    home: Path
    said: dict[str, object]


def shutong(home: Path, *arguments: str) -> dict[str, object]:
    """Run the command line in this process, where Great Expectations is imported once; its answer."""
    env = {"SHUTONG_HOME": str(home), "SHUTONG_STATE_URL": "", "SHUTONG_LANG": "zh"}
    done = CliRunner().invoke(main, [*arguments, "--json"], env=env)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def ingest(home: Path, path: Path) -> Ingested:
    if not (home / "departments.yaml").exists():
        shutong(home, "init", "--example", "enterprises")
    return Ingested(home, shutong(home, "ingest", "enterprises", "--set", f"path={path}"))


def opened(done: Ingested):
    return open_deployment(read_settings({"SHUTONG_HOME": str(done.home)}))


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return path


def landed_rows(wired: Wired, columns: Sequence[str]) -> list[dict[str, object]]:
    resource = wired.deployment.resource(RESOURCE)
    snapshot = wired.state.released(resource.table)
    return wired.tables.read(resource.table, snapshot, columns=list(columns)).to_pylist()


def assert_equals_truth(done: Ingested, truth: Truth) -> None:
    said = done.said
    assert (said["pulled"], said["landed"], said["quarantined"], said["superseded"]) == (
        len(truth.rows),
        len(truth.landed),
        len(truth.quarantined),
        len(truth.superseded),
    )
    rules = said["rules"]
    assert rules["uscc_check"] == len(truth.wrong_codes)
    assert rules["uscc_repaired"] == len(truth.repaired)
    assert rules["row_shape"] == len(truth.misshapen)
    assert rules["columns_shifted"] == len(truth.shifted)
    assert said["unparsed"].get("reg_capital", {}) == dict(truth.strange_capitals)
    assert said["errors"] == {}
    with opened(done) as wired:
        assert_tables_equal(wired, truth)


def assert_tables_equal(wired: Wired, truth: Truth) -> None:
    resource = wired.deployment.resource(RESOURCE)
    rows = landed_rows(wired, ["uscc", "_row", "reg_capital", "reg_capital_ccy", "est_date", "ent_name"])
    assert {row["uscc"]: row["_row"] for row in rows} == truth.landed
    for row in rows:
        number = row["_row"]
        assert str(row["est_date"]) == truth.rows[number - 1][2]
        if number in truth.capitals:
            amount, unit, currency = truth.capitals[number]
            assert (row["reg_capital"] * 10_000, row["reg_capital_ccy"]) == (amount * unit, currency), truth.rows[
                number - 1
            ]
        else:
            assert (row["reg_capital"], row["reg_capital_ccy"]) == (None, None)
    snapshot = wired.state.released(resource.quarantine)
    kept = wired.tables.read(resource.quarantine, snapshot).to_pylist() if snapshot else []
    assert {row["_row"] for row in kept} == truth.quarantined
    assert {row["_row"] for row in kept if "uscc_check" in row["rules"]} == truth.quarantined & truth.wrong_codes.keys()
    for row in kept:
        as_received = json.loads(row["received"])
        for name, cell in zip(HEADER, truth.rows[row["_row"] - 1], strict=False):
            assert as_received[name] == cell
    manifest = wired.state.manifests(resource.id)[0]
    store = wired.store
    violations = kept_check(store, manifest).verdict().violations.to_pylist()
    codes = received(store, manifest).column("统一社会信用代码").to_pylist()
    wrong = {row["_row"]: codes[row["_row"] - 1] or "" for row in violations if "uscc_check" in row["rules"]}
    assert wrong == truth.wrong_codes
    base = base_table("legal_person")
    assert wired.tables.row_count(base, wired.state.released(base)) == len(truth.landed)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ingested, Truth]:
    if not REAL.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{REAL} is missing: set SHUTONG_SHARED")
        pytest.skip(f"{REAL} is missing")
    done = ingest(tmp_path_factory.mktemp("real") / "home", REAL.resolve())
    return done, work_out(read(REAL))


def test_all_190_220_real_rows_have_the_fate_an_independent_reading_gives_them(real: tuple[Ingested, Truth]) -> None:
    done, truth = real
    assert len(truth.rows) == 190_220
    assert_equals_truth(done, truth)


def assert_every_rule_finds(done: Ingested, expected: dict[str, set[int]]) -> None:
    with opened(done) as wired:
        verdict = kept_check(wired.store, wired.state.manifests(RESOURCE)[0]).verdict()
    found: dict[str, set[int]] = {count.rule: set() for count in verdict.counts}
    for one in verdict.violations.to_pylist():
        for rule in one["rules"]:
            found[rule].add(one["_row"])
    assert found.keys() == expected.keys()
    assert [(rule, found[rule] ^ expected[rule]) for rule in found if found[rule] != expected[rule]] == []
    assert done.said["rules"] == {rule: len(rows) for rule, rows in expected.items()}


def test_every_rule_finds_the_real_rows_that_an_independent_count_finds(real: tuple[Ingested, Truth]) -> None:
    done, truth = real
    expected = violating(truth, datetime.now(UTC).date())
    assert {rule for rule, rows in expected.items() if not rows} == UNBROKEN
    assert_every_rule_finds(done, expected)


def test_at_most_one_in_a_thousand_real_capitals_is_not_understood(real: tuple[Ingested, Truth]) -> None:
    done, truth = real
    with_number = sum(
        count for text, count in done.said["unparsed"]["reg_capital"].items() if any(map(str.isdigit, text))
    )
    assert truth.hold_a_number > 100_000
    assert with_number <= truth.hold_a_number // 1000


def test_the_same_real_file_again_adds_nothing(real: tuple[Ingested, Truth]) -> None:
    done, _ = real
    with opened(done) as wired:
        before = wired.state.releases(1)[0].id
    again = ingest(done.home, REAL.resolve())
    assert again.said["repeated"] is True
    assert {k: again.said[k] for k in ("pulled", "landed", "quarantined", "superseded")} == {
        k: done.said[k] for k in ("pulled", "landed", "quarantined", "superseded")
    }
    with opened(done) as wired:
        assert wired.state.releases(1)[0].id == before


def code(seed: int, prefix: str = "91330100MA") -> str:
    """A valid code made for this test."""
    from enterprise_truth import ALPHABET

    body = (prefix + f"{seed:07d}")[:17]
    total = sum(ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(body))
    return body + ALPHABET[(31 - total % 31) % 31]


def row(uscc: str, day: str = "2010-01-01", **cells: str) -> list[str]:
    usual = dict(
        zip(HEADER, ["某公司", uscc, day, "N/A", "张某", "N/A", "零售", "浙江", "杭州", "某路1号"], strict=True)
    )
    return list({**usual, **cells}.values())


def messy_rows() -> list[list[str]]:
    """A file with every mess the reading must tell apart."""
    wide = "".join(chr(ord(char) + 0xFEE0) for char in code(3))
    # A 元 amount is exact in 万元 to six places only when it has at most two of its own.
    amounts = {WAN: ("5", "1,234.5678", "6,000,000"), YUAN: ("5", "1,234.56", "6,000,000")}
    spellings = [f"{amount}{said[1:]}" for said, (unit, _) in SPELLINGS.items() for amount in amounts[unit]]
    return [
        row(code(1), "2001-01-01", 企业名称="旧"),
        row(code(1), "2003-01-01", 企业名称="新"),
        row(code(1), "2002-01-01", 企业名称="中"),
        row(code(2), "2005-05-05", 企业名称="甲"),
        row(code(2), "2005-05-05", 企业名称="乙"),
        row(code(2), "2005-05-05", 企业名称="乙"),
        row(wide, "2006-01-01"),
        row(code(3), "2004-01-01"),
        row(code(7, "91330100MAK").lower()),
        row(f" {code(5)[:8]}-{code(5)[8:]}\u3000"),
        row("330100000012345"),
        row("3301000000123"),
        row(""),
        row("N/A"),
        row("-"),
        row(code(6)[:17]),
        row(code(8)[:17] + ("0" if code(8)[17] != "0" else "1")),
        row(code(9).replace("0", "O", 1)),
        row(code(10))[:9],
        [*row(code(11)), "多一列"],
        row(code(12))[:1],
        row(code(13), 注册资金="PIERRE", 所在省份="N/A"),
        row(code(14), 所在省份="有限责任公司 外商投资企业"),
        row(code(15), 企业名称='带"引号",逗号\n换行的公司', 注册地址="𠮷㐂路"),
        row(code(16), 法人代表="N/A", 注册地址="N/A"),
        row(code(17), 注册资金="约5万左右人民币"),
        row(code(18), 注册资金="５，０００（万元人民币）"),
        row(code(19), 注册资金="暂无", 所在省份="无"),
        row(code(20), 注册资金="\\N", 所在省份="NULL"),
        row(code(21), 注册资金="\t", 所在省份="浙江省\t"),
        row(code(22), 注册资金="--", 所在省份="浙江\u3000"),
        row(code(23), 注册资金="无数据", 所在省份="None"),
        *(row(code(100 + place), 注册资金=text) for place, text in enumerate(spellings)),
        *(row(code(300 + place)) for place in range(200)),
    ]


def test_a_generated_file_has_the_fate_an_independent_reading_gives_it(tmp_path: Path) -> None:
    rows = messy_rows()
    truth = work_out(rows)
    assert valid_uscc(code(1))
    assert len(truth.repaired) == 3
    assert len(truth.misshapen) == 3
    assert len(truth.superseded) == 5
    assert truth.landed[code(1)] == 2
    assert truth.landed[code(2)] == 6
    assert dict(truth.strange_capitals) == {"PIERRE": 1, "约5万左右人民币": 1}
    done = ingest(tmp_path / "home", write(tmp_path / "messy.csv", rows))
    assert_equals_truth(done, truth)
    assert_every_rule_finds(done, violating(truth, datetime.now(UTC).date()))
    with opened(done) as wired:
        found = {one["uscc"]: one for one in landed_rows(wired, ["uscc", "ent_name", "domicile", "reg_capital"])}
        assert found[code(1)]["ent_name"] == "新"
        assert found[code(15)]["ent_name"] == '带"引号",逗号\n换行的公司'
        assert found[code(15)]["domicile"] == "𠮷㐂路"
        assert found[code(18)]["reg_capital"] == Decimal(5000)


def test_a_13_or_15_digit_code_becomes_the_registration_number_of_the_quarantined_row(tmp_path: Path) -> None:
    rows = [row("330100000012345"), row("3301000000123"), *(row(code(n)) for n in range(100))]
    done = ingest(tmp_path / "home", write(tmp_path / "old.csv", rows))
    with opened(done) as wired:
        resource = wired.deployment.resource(RESOURCE)
        kept = wired.tables.read(resource.quarantine, wired.state.released(resource.quarantine)).to_pylist()
    told = {one["_row"]: json.loads(one["standardised"]) for one in kept}
    assert {number: (one["uscc"], one["reg_no"]) for number, one in told.items()} == {
        1: (None, "330100000012345"),
        2: (None, "3301000000123"),
    }
    assert all("uscc_check" in one["rules"] for one in kept)


@pytest.mark.parametrize(
    "rows", [[], [row("330100000012345")], [row(code(1)[:17]), row("N/A")]], ids=["header alone", "15 digits", "wrong"]
)
def test_a_first_file_that_lands_nothing_is_reported_like_any_other(tmp_path: Path, rows: list[list[str]]) -> None:
    said = ingest(tmp_path / "home", write(tmp_path / "bad.csv", rows)).said
    fates = (said["pulled"], said["landed"], said["quarantined"], said["superseded"], said["held"])
    assert fates == (len(rows), 0, len(rows), 0, 0)
    assert said["rules"]["uscc_check"] == len(rows)


def test_a_later_file_brings_newer_versions_and_cannot_bring_older_ones_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first = [row(code(1), "2010-01-01", 企业名称="甲"), row(code(2), "2010-01-01", 企业名称="甲"), row(code(3))]
    second = [
        row(code(1), "2011-01-01", 企业名称="新"),
        row(code(2), "2009-01-01", 企业名称="旧"),
        row(code(3)),
        row(code(4)),
    ]
    ingest(home, write(tmp_path / "first.csv", first))
    done = ingest(home, write(tmp_path / "second.csv", second))
    said = done.said
    assert (said["pulled"], said["landed"], said["quarantined"], said["superseded"]) == (4, 2, 0, 2)
    with opened(done) as wired:
        found = {one["uscc"]: one["ent_name"] for one in landed_rows(wired, ["uscc", "ent_name"])}
    assert found == {code(1): "新", code(2): "甲", code(3): "某公司", code(4): "某公司"}
