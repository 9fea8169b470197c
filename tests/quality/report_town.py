"""A deployment with two resources whose rows name persons, ingested twice: what tests of the reporting commands use."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result
from stdnum.cn import ric, uscc

from shutong.cli import main
from shutong.settings import read
from shutong.wiring import open_deployment

PERSONS, FIRMS = "gongan.persons", "scjg.firms"
PERSON_HEADER = ("公民身份号码", "姓名", "性别", "出生日期")
FIRM_HEADER = ("统一社会信用代码", "企业名称", "核准日期", "住所")
PHONE = "13812345678"
GRANTS = """
grants:
  - id: G-1
    department: rsj
    library: population
    fields: [id_no, name]
    clear: [name]
    rows: {id_no: ["3301*"]}
    purpose: {matter: 330000-RSJ-0001 参保核验, basis: 社会保险法}
    until: 2099-12-31
    quota: {per_day: 100}
"""


def citizen(number: int, place: str = "330106") -> str:
    """A valid citizen's number of somebody born on the first of January 1980."""
    body = f"{place}19800101{number:03d}"
    return body + ric.calc_check_digit(body + "0")


def firm(number: int) -> str:
    """A valid unified social credit code."""
    body = f"9133030012345{number:04d}"
    return body + uscc.calc_check_digit(body)


def persons(odd: Sequence[Sequence[str]] = ()) -> list[Sequence[str]]:
    """Twenty persons without fault, and odd rows."""
    return [[citizen(one), f"张三{one}", "1", "1980-01-01"] for one in range(1, 40, 2)] + list(odd)


ODD = (
    [citizen(101)[:-1] + ("1" if citizen(101)[-1] != "1" else "2"), "李四", "1", "1980-01-01"],  # a wrong check digit
    [citizen(103), "", "1", "1980-01-01"],  # no name
    [citizen(105, "331002"), "欧阳娜娜", "1", "1979-12-31"],  # not the day of the number
    [citizen(107), "王五", PHONE],  # shifted
    [citizen(109), "=赵六", "男", "1980-01-01"],  # repaired
)


def drop(home: Path, folder: str, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    path = home / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def lay_out(home: Path) -> Path:
    home.mkdir()
    (home / "departments.yaml").write_text(
        "departments:\n  - {id: gongan, zh: 公安厅, en: Public Security}\n  - {id: scjg, zh: 市场监管局, en: Market}\n"
        "  - {id: rsj, zh: 人社局, en: Social Security}\n  - {id: swj, zh: 税务局, en: Tax}\n"
        "authority:\n  legal_person: {default: [scjg]}\n  population: {default: [gongan]}\n",
        encoding="utf-8",
    )
    (home / "grants.yaml").write_text(GRANTS, encoding="utf-8")
    for department, name, title, standard in (
        ("gongan", "persons", "{zh: 户籍人口, en: Residents}", "population@1"),
        ("scjg", "firms", "{zh: 企业登记, en: Registrations}", "legal_person@1"),
    ):
        path = home / "resources" / department / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        source = f'{{kind: csv, folder: "{{home}}/{name}"}}'
        path.write_text(
            f"resource: {name}\ntitle: {title}\nstandard: {standard}\nsource: {source}\ngate: {{max_percent: 30}}\n",
            encoding="utf-8",
        )
    return home


def ingest(home: Path, resource: str, run: str) -> None:
    with open_deployment(read({"SHUTONG_HOME": str(home)})) as wired:
        wired.steps.ingest(resource, run)


def ask(home: Path, *arguments: str, lang: str = "en") -> Result:
    said = {"SHUTONG_HOME": str(home), "SHUTONG_LANG": lang, "SHUTONG_STATE_URL": ""}
    result = CliRunner().invoke(main, ["quality", *arguments], env=said)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def told(home: Path, *arguments: str, code: int = 0):
    result = ask(home, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)
