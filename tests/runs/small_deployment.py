"""Arrange a small real deployment in a folder: departments, resources as their files say, drops, and what came of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from sqlalchemy import make_url
from stdnum.cn import uscc

from shutong.settings import read
from shutong.wiring import Wired, open_deployment
from warehouse.serving import ServingStore
from warehouse.state import State

LIBRARY = "legal_person"
NAMES = {"uscc": "统一社会信用代码", "ent_name": "企业名称", "appr_date": "核准日期", "domicile": "住所"}
HEADER = list(NAMES.values())
WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714-1997, of the organisation code inside
INSTANTS = frozenset({"_landed_at", "landed_at", "observed_at", "_at"})
TRACES = frozenset({"_run"})  # a run of another id that did the same
SMALL_STANDARD = "small_firm@1"
# The legal-person standard in little: the same way through every step in a third of the time.
SMALL = """
standard: small_firm
version: 1
title: {zh: 法人库简表, en: Legal persons in little}
library: legal_person
key: [uscc]
order: [appr_date]
identifiers: [reg_no, uscc]
fields:
  - {name: uscc, zh: 统一社会信用代码, en: Unified social credit code, type: uscc, required: true}
  - {name: reg_no, zh: 注册号, en: Registration number}
  - {name: ent_name, zh: 企业名称, en: Name, required: true}
  - {name: appr_date, zh: 核准日期, en: Date of approval, type: date}
  - {name: domicile, zh: 住所, en: Domicile, required: warning}
rules:
  - id: uscc_check
    kind: check_digit
    columns: ["raw:uscc"]
    severity: error
    indicator: "0301"
    zh: 统一社会信用代码不合法
    en: The unified social credit code is not valid
    fix_zh: 请核对
    fix_en: Compare it with the licence
    params: {kind: uscc, empty_fails: true}
"""


def code(number: int) -> str:
    """A valid unified social credit code; its check digit is worked out by python-stdnum."""
    body = f"MA{number:06d}"
    check = 11 - sum(weight * int(letter, 36) for weight, letter in zip(WEIGHTS, body, strict=True)) % 11
    first = f"91330300{body}{'0123456789X0'[check]}"
    return first + uscc.calc_check_digit(first)


def firm(number: int, name: str = "甲有限公司", day: str = "2024-01-01", domicile: str = "杭州市西湖区") -> list[str]:
    """One delivered row about a firm, in the order of HEADER."""
    return [code(number), name, day, domicile]


def lay_out(home: Path, authority: Sequence[str] = ("scjg", "swj")) -> Path:
    """A deployment without resources."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "departments.yaml").write_text(
        "departments:\n  - {id: scjg, zh: 市场监督管理局, en: Market Regulation}\n"
        "  - {id: swj, zh: 税务局, en: Tax}\n  - {id: mzj, zh: 民政局, en: Civil Affairs}\n"
        f"authority:\n  {LIBRARY}: {{default: [{', '.join(authority)}]}}\n",
        encoding="utf-8",
    )
    return home


def connect(home: Path, name: str, url: str) -> None:
    """Write connections.yaml with one database; its password goes where secrets are kept."""
    address = make_url(url)
    (home / "connections.yaml").write_text(
        f'connections:\n  {name}: {{url: "{address._replace(password=None)}", password_secret: {name}_password}}\n'
    )
    (home / "secrets.yaml").touch(mode=0o600)
    (home / "secrets.yaml").write_text(f'{name}_password: "{address.password}"\n')


def write_small_standard(home: Path) -> str:
    """Give the deployment the legal-person standard in little; what resources name it by."""
    (home / "standards").mkdir(exist_ok=True)
    (home / "standards" / "small_firm.yaml").write_text(SMALL, encoding="utf-8")
    return SMALL_STANDARD


def add_resource(
    home: Path,
    source: str,
    name: str = "firms",
    department: str = "scjg",
    *,
    standard: str = "legal_person@1",
    percent: float = 50,
    more: str = "",
) -> Path:
    """Write resources/<department>/<name>.yaml; `source` is the YAML of its source, `more` further lines."""
    path = home / "resources" / department / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"resource: {name}\ntitle: {{zh: 企业登记, en: Registrations}}\nstandard: {standard}\nsource: {source}\n"
        f"gate: {{max_percent: {percent}}}\n{more}",
        encoding="utf-8",
    )
    return path


def csv_source(folder: str = "drops", more: str = "") -> str:
    """The YAML of a folder of CSV drops inside the deployment."""
    return f'{{kind: csv, folder: "{{home}}/{folder}"{more}}}'


def drop(
    home: Path, name: str, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER, folder: str = "drops"
) -> Path:
    """Drop one CSV file; rows shorter than the header stay short."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    path = home / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


@cache
def migrated() -> bytes:
    """A new state database: made once, since every test would make the same."""
    with TemporaryDirectory() as folder:
        state = State(f"sqlite:///{folder}/state.db")
        state.migrate()
        state.close()
        return (Path(folder) / "state.db").read_bytes()


@contextmanager
def opened(home: Path, **secrets: str) -> Iterator[Wired]:
    """The deployment as every command opens it."""
    state = home / "state" / "state.db"
    if not state.exists():
        state.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=state.parent) as new, suppress(FileExistsError):  # another process was faster
            new.write(migrated())
            new.flush()
            state.hardlink_to(new.name)
    said = {f"SHUTONG_SECRET_{name.upper()}": value for name, value in secrets.items()}
    with open_deployment(read({"SHUTONG_HOME": str(home), **said})) as wired:
        yield wired


def ingest_all(wired: Wired, run: str, resources: Sequence[str], *, everything: bool = True) -> None:
    """What `shutong ingest` does, one resource after the other."""
    for resource in resources:
        for step in (lambda r, i: wired.steps.pull(r, i, everything=everything), wired.steps.check, wired.steps.land):
            step(resource, f"{run}-{resource}")
        wired.steps.merge(LIBRARY, f"{run}-{resource}-{LIBRARY}")
        wired.steps.publish(LIBRARY, f"{run}-{resource}-{LIBRARY}")


def shown(wired: Wired, table: str, without: frozenset[str] = INSTANTS) -> list[dict[str, object]]:
    """The rows of a table as released, sorted, but for the columns `without`."""
    if not wired.tables.exists(table):
        return []
    rows = wired.tables.read(table, wired.state.released(table)).to_pylist()
    kept = [{name: value for name, value in row.items() if name not in without} for row in rows]
    return sorted(kept, key=lambda row: repr(sorted(row.items())))


def landed(wired: Wired, resource: str = "scjg.firms") -> dict[str, str]:
    """Landed firms: code → name."""
    table = wired.deployment.resource(resource).table
    return {str(row["uscc"]): str(row["ent_name"]) for row in shown(wired, table)}


def quarantined(wired: Wired, resource: str = "scjg.firms") -> dict[int, list[str]]:
    """Quarantined rows of a resource with one batch: row number → violated rules."""
    table = wired.deployment.resource(resource).quarantine
    return {int(str(row["_row"])): sorted(map(str, row["rules"])) for row in shown(wired, table)}  # type: ignore[call-overload]


def looked_up(home: Path, number: int) -> Mapping[str, object] | None:
    """What the published library says about a firm."""
    return ServingStore(home / "serving", LIBRARY).get(code(number))
