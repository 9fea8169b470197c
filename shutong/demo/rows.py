"""One record in a department's own copy: what the department holds, what must become of it, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

Value = str | date | Decimal | int | bool | None

LANDED, QUARANTINED, SUPERSEDED = "landed", "quarantined", "superseded"


@dataclass(slots=True)
class Row:
    """A record of one resource.

    `received` is source column → what the department holds; `expected` is field → value after normalising; `rules`
    are all rules the row violates; `fate` is LANDED until a defect or a newer version says otherwise; `form` names a
    defect of the line itself (short, bad_bytes, float) that the writer of the file carries out.
    """

    received: dict[str, str | None]
    expected: dict[str, Value]
    rules: set[str] = field(default_factory=set)
    defects: list[str] = field(default_factory=list)
    fate: str = LANDED
    form: str | None = None

    def copy(self) -> Row:
        """An independent copy."""
        return Row(dict(self.received), dict(self.expected), set(self.rules), list(self.defects), self.fate, self.form)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one department keeps one kind of record: field → source column, the key, and what makes a version newer."""

    resource: str
    zh: str
    en: str
    library: str
    fields: Mapping[str, str]
    key: str
    order: str | None = None

    @property
    def department(self) -> str:
        """The department's id."""
        return self.resource.partition(".")[0]


_BODY = {
    "uscc": "统一社会信用代码",
    "legal_rep_name": "法定代表人",
    "reg_state": "登记状态",
    "est_date": "成立登记日期",
    "reg_org_name": "登记管理机关",
    "domicile": "住所",
    "op_scope": "业务范围",
    "phone": "联系电话",
}
REGISTRY = Layout(
    "scjg.enterprise_base",
    "企业登记基本信息",
    "Enterprise registrations",
    "legal_person",
    {
        "subject_id": "pripid",
        "uscc": "uniscid",
        "ent_name": "entname",
        "reg_no": "regno",
        "org_code": "orgcode",
        "reg_state": "regstate",
        "legal_rep_name": "lerep",
        "legal_rep_id_type": "certype",
        "legal_rep_id_no": "cerno",
        "reg_capital": "regcap",
        "reg_capital_ccy": "regcapcur",
        "est_date": "estdate",
        "appr_date": "apprdate",
        "cancel_date": "candate",
        "revoke_date": "revdate",
        "op_from": "opfrom",
        "op_to": "opto",
        "reg_org_name": "regorg",
        "industry_section": "industryphy",
        "industry_code": "industryco",
        "domicile": "dom",
        "domicile_division": "domdistrict",
        "op_scope": "opscope",
        "phone": "tel",
    },
    "uscc",
    "appr_date",
)
POPULATION = Layout(
    "gongan.population",
    "户籍人口基本信息",
    "Registered population",
    "population",
    {
        "id_no": "czrkgmsfhm",
        "id_type": "zjlx",
        "name": "czrkxm",
        "used_name": "czrkcym",
        "sex": "czrkxb",
        "ethnic": "czrkmz",
        "birth_date": "czrkcsrq",
        "native_division": "czrkjgssx",
        "education": "czrkwhcd",
        "marital": "czrkhyzk",
        "phone": "phone_num",
        "domicile_county_code": "domic_county_cd",
        "domicile_addr": "domic_addr",
        "death_flag": "death_flag",
    },
    "id_no",
)
TAXPAYER = Layout(
    "swj.taxpayer",
    "纳税人登记信息",
    "Registered taxpayers",
    "legal_person",
    {
        "uscc": "shxydm",
        "tax_no": "nsrsbh",
        "ent_name": "nsrmc",
        "domicile": "zcdz",
        "phone": "lxdh",
    },
    "uscc",
)
INSTITUTION = Layout(
    "mzj.institution",
    "事业单位法人登记",
    "Public institutions",
    "legal_person",
    {"ent_name": "单位名称", **_BODY},
    "uscc",
)
SOCIAL_ORG = Layout(
    "mzj.social_org",
    "社会组织登记",
    "Social organisations",
    "legal_person",
    {"ent_name": "社会组织名称", **_BODY},
    "uscc",
)
LAYOUTS = (REGISTRY, POPULATION, TAXPAYER, INSTITUTION, SOCIAL_ORG)


def settle(rows: Sequence[Row], layout: Layout) -> None:
    """Give every row its one fate: of rows not quarantined that share a key the newest lands, of equals the last."""
    newest: dict[Value, tuple[str, int]] = {}
    for place, row in enumerate(rows):
        if row.fate == QUARANTINED:
            continue
        rank = (_text(row.expected[layout.order]) or "" if layout.order else "", place)
        key = row.expected[layout.key]
        newest[key] = max(rank, newest.get(key, rank))
    for place, row in enumerate(rows):
        if row.fate != QUARANTINED:
            row.fate = LANDED if newest[row.expected[layout.key]][1] == place else SUPERSEDED


def canonical(values: Iterable[Value]) -> list[str | None]:
    """The values as text: dates as YYYY-MM-DD, numbers without trailing zeros, booleans as 1 and 0, null as null."""
    return [_text(value) for value in values]


def _text(value: Value) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "1" if value else "0"
        case Decimal():
            return format(value, "f").rstrip("0").rstrip(".") if value.as_tuple().exponent else str(value)
        case date():
            return value.isoformat()[:10]
        case _:
            return str(value)
