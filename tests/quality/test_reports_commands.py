"""Reports, comparisons, profiles and explanations from the command line: right numbers, and nobody's data in them."""

from __future__ import annotations

import csv
import shutil
import stat
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from openpyxl import load_workbook
from report_town import (
    FIRM_HEADER,
    FIRMS,
    ODD,
    PERSON_HEADER,
    PERSONS,
    PHONE,
    ask,
    citizen,
    drop,
    firm,
    ingest,
    lay_out,
    persons,
    told,
)

from runs.errors import RunError
from shutong.commands.quality_report import read_period

PRIVATE = ("张三", "李四", "欧阳娜娜", "王五", "赵六", PHONE, *(row[0] for row in persons(ODD)))


@pytest.fixture(scope="module")
def town(tmp_path_factory) -> Path:
    """Persons ingested twice, the second time better; firms once, and held."""
    home = lay_out(tmp_path_factory.mktemp("town") / "home")
    drop(home, "persons", "1.csv", PERSON_HEADER, persons(ODD))
    ingest(home, PERSONS, "p1")
    drop(
        home,
        "persons",
        "2.csv",
        PERSON_HEADER,
        persons([ODD[0], *([citizen(one), f"孙七{one}", "2", "1980-01-01"] for one in range(202, 212, 2))]),
    )
    ingest(home, PERSONS, "p2")
    firms = [[firm(one), f"甲{one}有限公司", "2024-01-01", "杭州市西湖区文三路"] for one in range(4)]
    drop(
        home,
        "firms",
        "1.csv",
        FIRM_HEADER,
        [*firms, [citizen(1), "个体张三", "2024-02-30", f"电话{PHONE}"], ["x", "y", "z", "w"]],
    )
    ingest(home, FIRMS, "f1")
    return home


@pytest.fixture
def home(town, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return town


def by_rule(report, what: str = "rows"):
    return {one["rule"]: one[what] for one in report["rules"] if one["rows"]}


def test_a_report_tells_what_came_of_the_rows_and_of_each_rule(home):
    report = told(home, "report", PERSONS, "--run", "p1")
    assert {fate: rows for fate, rows in report["flow"].items() if rows} == {
        "received": 25, "landed": 21, "quarantined": 4,
    }  # fmt: skip
    assert None not in report["flow"].values()
    assert by_rule(report) == {
        "id_no_check": 1, "name_required": 1, "id_no_birth": 1, "row_shape": 1, "birth_date_required": 1, "sex_code": 1,
        "sex_repaired": 1,
    }  # fmt: skip
    assert report["before"] is None
    again = told(home, "report", PERSONS)
    assert (again["run"], again["before"]) == ("p2", "p1")
    assert {one["rule"]: one["state"] for one in again["rules"] if one["state"] not in ("clean", "unknown")} == {
        "id_no_check": "still", "name_required": "fixed", "id_no_birth": "fixed", "sex_repaired": "fixed",
        "row_shape": "fixed", "birth_date_required": "fixed", "sex_code": "fixed",
    }  # fmt: skip


def test_a_held_batch_shows_its_failing_rows_too(home):
    report = told(home, "report", FIRMS)
    assert (report["decision"], report["flow"]["held"], report["flow"]["landed"]) == ("hold", 6, 0)
    rows = {row["row"]: row for one in report["samples"] if one["rule"] == "uscc_check" for row in one["rows"]}
    assert set(rows) == {5, 6}
    assert rows[5]["key"] == "9{18}"
    assert "9{17}" not in rows[5]["cells"][0]["shown"].replace("9{18}", "")


@pytest.mark.parametrize("form", ["html", "json"])
def test_a_report_shows_no_personal_value(home, form, tmp_path):
    for resource in (PERSONS, FIRMS):
        for arguments in (("--run", "p1") if resource == PERSONS else (), ("--lang", "en")):
            assert ask(home, "report", resource, "--format", form, "-o", "r", *arguments).exit_code == 0
            text = (tmp_path / "r").read_text()
            assert [one for one in PRIVATE if one in text] == []
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o600


def test_values_are_masked_by_level_and_shown_by_grant(home):
    def cells(*arguments):
        report = told(home, "report", PERSONS, "--run", "p1", "--sample", "5", *arguments)
        return {
            (one["rule"], cell["field"]): (cell["shown"], cell["how"])
            for one in report["samples"]
            for row in one["rows"]
            for cell in row["cells"]
        }

    number = ODD[2][0]
    assert cells()["id_no_birth", "id_no"] == (f"{number[:3]}***********{number[-4:]}", "masked")
    assert cells("--clear")["id_no_birth", "id_no"] == (number, "clear")
    assert cells("--as", "rsj")["id_no_birth", "id_no"][1] == "shape"  # 3310… is not among the grant's rows
    assert cells("--as", "swj")["id_no_birth", "id_no"][1] == "shape"  # has no grant
    assert cells("--as", "gongan")["id_no_birth", "id_no"][1] == "masked"  # its own rows
    assert cells()["sex_repaired", "sex"] == ("*** → ***", "masked") or cells()["sex_repaired", "sex"][1] in {
        "clear",
        "masked",
    }


def test_a_shifted_row_shows_only_shapes(home):
    report = told(home, "report", PERSONS, "--run", "p1")
    (sample,) = [one for one in report["samples"] if one["rule"] == "row_shape"]
    assert sample["rows"][0]["key"] == "9{18}"
    assert {cell["how"] for cell in sample["rows"][0]["cells"]} <= {"shape", "clear"}


@pytest.mark.parametrize("suffix", ["csv", "xlsx", "parquet"])
def test_every_failing_row_can_be_written_to_a_file(home, tmp_path, suffix):
    path = tmp_path / f"rows.{suffix}"
    answer = told(home, "report", PERSONS, "--run", "p1", "--rows-file", str(path))
    assert (answer["rows"], sum(answer["rules"].values())) == (5, 7)
    if suffix == "csv":
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    elif suffix == "xlsx":
        lines = [[cell.value for cell in line] for line in load_workbook(path)["rows"].iter_rows()]
    else:
        table = pq.read_table(path)
        lines = [table.column_names, *zip(*(column.to_pylist() for column in table.columns), strict=True)]
    assert lines[0][:6] == ["resource", "run", "batch", "row", "key", "rules"]
    assert sorted(line[3] for line in lines[1:]) == ["21", "22", "23", "24", "25"]
    assert not [one for one in PRIVATE for line in lines for cell in line if cell and one in cell]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_only_rows_of_a_rule_are_written_when_asked(home, tmp_path):
    path = tmp_path / "rows.csv"
    answer = told(home, "report", PERSONS, "--run", "p1", "--rule", "id_no_birth", "--clear", "--rows-file", str(path))
    assert answer["rules"] == {"id_no_birth": 1}
    assert ODD[2][0] in path.read_text()


def test_a_cell_never_becomes_a_formula(home, tmp_path):
    path = tmp_path / "rows.csv"
    told(home, "report", PERSONS, "--run", "p1", "--clear", "--rows-file", str(path))
    cells = [cell for line in csv.reader(path.read_text(encoding="utf-8-sig").splitlines()) for cell in line]
    assert "'=赵六" in cells
    assert "=赵六" not in cells


def test_the_command_that_a_report_names_gives_all_rows(home, tmp_path):
    report = told(home, "report", PERSONS, "--run", "p1", "--sample", "1")
    (command,) = [one["command"] for one in report["samples"] if one["rule"] == "name_required"]
    words = command.replace(".xlsx", ".csv").split()
    assert words[:2] == ["shutong", "quality"]
    assert told(home, *words[2:])["rows"] == 1
    month = told(home, "report", "--department", "gongan", "--period", "2020-01-01..2099-12-31")
    (command,) = [one["command"] for one in month["samples"] if one["rule"] == "id_no_check"]
    assert told(home, *command.replace(".xlsx", ".csv").split()[2:])["rows"] == 2


def test_a_department_report_covers_its_period(home):
    report = told(home, "report", "--department", "gongan", "--period", "2020-01-01..2099-12-31")
    assert (report["kind"], report["rows"], report["flow"]["received"]) == ("period", 51, 51)
    assert {one["department"] for one in report["departments"]} == {"gongan", "scjg"}
    assert "no check" in ask(home, "report", "--department", "swj").stderr


def test_reports_say_where_they_are_in_both_languages(home):
    assert "the report is in quality-gongan.persons-p2.html" in ask(home, "report", PERSONS).stdout
    assert "报告在" in ask(home, "report", PERSONS, lang="zh").stdout


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ("2026-10", ("2026-10-01", "2026-10-31")),
        ("2026-2", ("2026-02-01", "2026-02-28")),
        ("2026-12", ("2026-12-01", "2026-12-31")),
        ("2026-Q4", ("2026-10-01", "2026-12-31")),
        ("2028", ("2028-01-01", "2028-12-31")),
        ("2026-10-05..2026-10-05", ("2026-10-05", "2026-10-05")),
    ],
)
def test_periods_are_months_quarters_years_and_days(said, days):
    assert read_period(said) == tuple(map(date.fromisoformat, days))


@pytest.mark.parametrize("said", ["october", "2026-13", "2026-Q5", "2026-10-09..2026-10-01", "2026-02-30..2026-03-01"])
def test_what_is_no_period_is_refused(said):
    with pytest.raises(RunError) as error:
        read_period(said)
    assert error.value.code == "RUN-PERIOD"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("report",), "RUN-REPORT-SUBJECT"),
        (("report", PERSONS, "--department", "gongan"), "RUN-REPORT-SUBJECT"),
        (("report", PERSONS, "--run", "nothing"), "QUA-REPORT-NONE"),
        (("report", PERSONS, "--before", "nothing"), "QUA-REPORT-NONE"),
        (("report", PERSONS, "--rows-file", "rows.doc"), "RUN-EXPORT-SUFFIX"),
        (("report", PERSONS, "--profile", "none"), "QUA-PROFILE"),
        (("report", "--department", "gongan", "--period", "soon"), "RUN-PERIOD"),
        (("compare", "gongan.nothing"), "RUN-RESOURCE-UNKNOWN"),
        (("explain", "id_no_chek"), "QUA-RULE-UNKNOWN"),
        (("profile", PERSONS, "--field", "nam"), "STD-FIELD-UNKNOWN"),
        (("profile", PERSONS, "--run", "nothing"), "QUA-REPORT-NONE"),
        (("profile", FIRMS, "--landed"), "QUA-REPORT-NONE"),
    ],
)
def test_each_mistake_is_told_with_what_to_do(home, arguments, code):
    error = told(home, *arguments, code=1)["error"]
    assert error["code"] == code
    assert error["fix_zh"]
    assert error["fix_en"]


# compare, explain, profile


def test_two_runs_are_compared(home):
    answer = told(home, "compare", PERSONS)
    assert (answer["run"], answer["before"], answer["rows"], answer["quarantined"]) == ("p2", "p1", [25, 26], [4, 1])
    assert {one["rule"]: one["state"] for one in answer["rules"]}["name_required"] == "fixed"
    assert {one["code"]: one["now"] for one in answer["dimensions"]}["06"] is None
    text = ask(home, "compare", PERSONS, "--run", "p1", "--with", "p2").stdout
    assert "p2 (26 rows, 1 for quarantine) → p1 (25 rows, 4 for quarantine)" in text
    assert "之前没有检查" in ask(home, "compare", PERSONS, "--run", "p1", lang="zh").stdout


def test_profiles_of_runs_are_kept_and_compared(town, tmp_path):
    home = Path(shutil.copytree(town, tmp_path / "home"))
    first = told(home, "profile", PERSONS, "--run", "p1")
    assert first["changes"] == []
    assert {one["field"]: (one["rows"], one["filled"]) for one in first["fields"]}["name"] == (25, 24)
    second = told(home, "profile", PERSONS)
    assert {one["field"] for one in second["changes"]} >= {"name"}
    assert {one["field"] for one in told(home, "compare", PERSONS)["fields"]} >= {"name"}
    text = ask(home, "profile", PERSONS, "--run", "p1", "--field", "birth_date", "--field", "name").stdout
    assert not [one for one in PRIVATE if one in text]
    assert "1980" not in text


def test_what_landed_is_profiled_too(home):
    answer = told(home, "profile", PERSONS, "--landed", "--field", "sex")
    assert [(one["field"], one["rows"]) for one in answer["fields"]] == [("sex", 26)]


def test_a_rule_is_explained_with_its_history_and_examples(home):
    (one,) = [one for one in told(home, "explain", "id_no_birth")["explained"] if PERSONS in one["resources"]]
    assert [(line["run"], line["rows"]) for line in one["history"]] == [("p2", 0), ("p1", 1)]
    assert (one["kind"], one["indicator"][:2] in {"03", "04"}) == ("condition", True)
    assert one["examples"]["breaks"]
    assert told(home, "explain", "id_no_birth", "--resource", PERSONS)["explained"][0]["resources"] == [PERSONS]
    text = ask(home, "explain", "id_no_birth", lang="zh").stdout
    assert "办法" in text
    assert "历史" in text
