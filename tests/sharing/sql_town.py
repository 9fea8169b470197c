"""A warehouse with one base library and one resource, grants over both, and analysts who ask them in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from schemas.standard import Field, Standard
from sharing.analysts import Analyst, Analysts, Subject
from sharing.grants import Grants
from warehouse.sql_query import Run
from warehouse.sql_worker import answer
from warehouse.state import State
from warehouse.tables import Tables

FIRMS = Standard(
    "legal_person", 1, "法人", "Legal persons",
    (
        Field("uscc", "统一社会信用代码", "USCC", type="uscc"),
        Field("ent_name", "名称", "Name"),
        Field("legal_rep_name", "法定代表人", "Representative", level=3, mask="name"),
        Field("legal_rep_id", "证件号码", "Representative's ID", level=4, mask="id_number"),
        Field("secret_note", "内部备注", "Internal note", level=4),
        Field("division", "行政区划", "Division"),
        Field("capital", "注册资本", "Capital", type="decimal"),
        Field("founded", "成立日期", "Founded", type="date"),
        Field("open", "开业", "Open", type="boolean"),
        Field("unlanded", "尚未入库的字段", "Not landed yet"),
    ),
    (), ("uscc",), library="legal_person",
)  # fmt: skip
SCHEMA = pa.schema(
    [
        ("uscc", pa.string()), ("ent_name", pa.string()), ("legal_rep_name", pa.string()),
        ("legal_rep_id", pa.string()), ("secret_note", pa.string()), ("division", pa.string()),
        ("capital", pa.decimal128(24, 6)), ("founded", pa.date32()), ("open", pa.bool_()), ("_hash", pa.string()),
    ]
)  # fmt: skip
QUARANTINE = pa.schema([("key", pa.string()), ("received", pa.string()), ("rules", pa.list_(pa.string()))])
BASE, OWN, FAILED = "base.legal_person", "market.base", "quarantine.market__base"
GRANTS = """
grants:
  - id: tax-firms
    department: tax
    library: legal_person
    fields: [uscc, ent_name, legal_rep_name, legal_rep_id, division, capital]
    clear: [legal_rep_name]
    rows: {division: ['3301*', '330203']}
    purpose: {matter: 税务登记, basis: 税收征收管理法第十五条}
    until: 2999-12-31
  - id: school-few
    department: school
    library: legal_person
    fields: [uscc, ent_name]
    purpose: {matter: 实习单位核对, basis: 协议}
    until: 2999-12-31
    quota: {per_day: 6}
  - id: bank-old
    department: bank
    library: legal_person
    fields: [uscc]
    purpose: {matter: 贷款审查, basis: 协议}
    until: 2020-01-01
"""


def subjects() -> list[Subject]:
    failed = (Field("key", "主键", "Key", level=4), Field("received", "收到的内容", "As received", level=4))
    return [
        Subject(BASE, "base.legal_person", "法人", "Legal persons", FIRMS.fields, grant="legal_person"),
        Subject(OWN, "std_market.base", "企业登记", "Registrations", FIRMS.fields, grant="market.base", owner="market"),
        Subject(FAILED, "qtn.market__base", "隔离", "Failed", failed, raw=True),
        Subject("market.empty", "std_market.empty", "空", "Empty", FIRMS.fields, owner="market"),
    ]


def firm(number: int, division: str | None = "330106", **said: object) -> dict[str, object]:
    """A firm whose every text says which row and column it stands in, so that it is known wherever it turns up."""
    told = {name: f"{name.upper()}-{number}#" for name in ("uscc", "ent_name", "secret_note", "_hash")}
    told |= {"legal_rep_name": f"张三{number}", "legal_rep_id": f"11010519491231{number:04d}", "division": division}
    return {**told, "capital": None, "founded": None, "open": None, **said}


class Town:
    """The warehouse in a folder, with what is put into it released at once."""

    def __init__(self, folder: Path, grants: str = GRANTS) -> None:
        self.folder = folder
        self.state = State(f"sqlite:///{folder}/state.db")
        self.state.migrate()
        self.tables = Tables(folder / "tables", self.state.url)
        self.grants = folder / "grants.yaml"
        self.grants.write_text(grants, encoding="utf-8")
        self.releases = 0

    def put(self, table: str, rows: Sequence[dict[str, object]], schema: pa.Schema = SCHEMA) -> int:
        self.releases += 1
        self.tables.ensure(table, schema)
        snapshot = self.tables.replace(table, pa.Table.from_pylist(list(rows), schema=schema))
        return self.state.commit_release(f"run-{self.releases}", {table: self.tables.pin(table, snapshot)}).id

    def analysts(self, run: Run | None = answer) -> Analysts:
        """The service; in this process unless `run` is None."""
        grants = Grants(self.grants, {"legal_person": FIRMS}, {"market.base": FIRMS})
        return Analysts(self.state, self.tables, subjects(), grants, run, meter=self.folder / "meter")

    def ask(self, sql: str, department: str | None = None, **said: object):
        return self.analysts().ask(Analyst("wang", department, **said), sql)

    def rows(self, sql: str, department: str | None = None, **said: object) -> list[dict[str, object]]:
        return self.ask(sql, department, **said).rows.to_pylist()

    def close(self) -> None:
        self.state.close()
        self.tables.close()
