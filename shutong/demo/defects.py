"""The kinds of defects departments' copies get: what is done, which rules it violates, what must become of the row.

Each kind is a mess really met in Zhejiang's data. A row gets at most one, so its fate is certain. The rules and fates
stand here as facts to be met; nothing here asks Shutong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from shutong.demo.rows import LANDED, POPULATION, QUARANTINED, REGISTRY, SUPERSEDED, Layout, Row
from shutong.demo.truth import USCC_ALPHABET
from shutong.demo.vocabulary import NATION_NAMES, SEX_NAMES, STATE_NAMES

Damage = Callable[[Row, Layout, Random], Row | None]  # changes the row in place; a new row is one more record


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect: `rules` are violated by each row that has it, `fate` is what must become of that row.

    `share` of the eligible rows get it, but at least one. For SUPERSEDED kinds it is the fate of the added row.
    """

    id: str
    layouts: tuple[str, ...]
    zh: str
    en: str
    rules: tuple[str, ...]
    fate: str
    damage: Damage
    eligible: Callable[[Row, Layout], bool] = lambda _row, _layout: True
    share: float = 0.003


def _put(field: str, change: Callable[[str], str | None]) -> Damage:
    """Change what is kept of `field`; the value after normalising stays what it was."""

    def damage(row: Row, layout: Layout, _rng: Random) -> None:
        column = layout.fields[field]
        row.received[column] = change(row.received[column] or "")

    return damage


def _holds(field: str, test: Callable[[str], bool] = bool) -> Callable[[Row, Layout], bool]:
    return lambda row, layout: test(row.received[layout.fields[field]] or "")


def _wide(text: str) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def _wrong_last(alphabet: str) -> Callable[[str], str]:
    return lambda code: code[:-1] + alphabet[(alphabet.index(code[-1]) + 1) % len(alphabet)]


def _day_off(row: Row, layout: Layout, _rng: Random) -> None:
    born = row.expected["birth_date"]
    assert isinstance(born, date)  # noqa: S101 - a fact of the generated world
    row.expected["birth_date"] = wrong = born + timedelta(days=1)
    row.received[layout.fields["birth_date"]] = wrong.isoformat()


def _other_sex(row: Row, layout: Layout, _rng: Random) -> None:
    row.expected["sex"] = other = "2" if row.expected["sex"] == "1" else "1"
    row.received[layout.fields["sex"]] = other


def _joined(row: Row, layout: Layout, _rng: Random) -> None:
    column = layout.fields["uscc"]
    code = row.received[column] or ""
    row.received[column] = f"{code}、{code[:8]}{code[9:]}0"


def _registration_number(row: Row, layout: Layout, _rng: Random) -> None:
    row.received[layout.fields["uscc"]] = row.received[layout.fields["reg_no"]]


def _older_version(row: Row, layout: Layout, rng: Random) -> Row:
    """One more record of the same firm, as it was approved before, with another telephone."""
    older = row.copy()
    approved, founded = row.expected["appr_date"], row.expected["est_date"]
    assert isinstance(approved, date)  # noqa: S101 - a fact of the generated world
    assert isinstance(founded, date)  # noqa: S101 - a fact of the generated world
    before = founded + timedelta(days=rng.randrange((approved - founded).days))
    phone = f"0571{rng.randrange(10**8):08d}"
    older.expected |= {"appr_date": before, "phone": phone}
    older.received |= {layout.fields["appr_date"]: before.isoformat(), layout.fields["phone"]: phone}
    return older


def _exact_copy(row: Row, _layout: Layout, _rng: Random) -> Row:
    return row.copy()


def _line(form: str) -> Damage:
    """A defect of the line, not of a field: the writer of the file carries it out."""

    def damage(row: Row, _layout: Layout, _rng: Random) -> None:
        row.form = form

    return damage


def _date_as(pattern: str, field: str = "est_date") -> Damage:
    def damage(row: Row, layout: Layout, _rng: Random) -> None:
        day = row.expected[field]
        assert isinstance(day, date)  # noqa: S101 - a fact of the generated world
        row.received[layout.fields[field]] = pattern.format(day, day.year, day.month, day.day)

    return damage


def _legacy_id(number: str) -> str:
    return number[:6] + number[8:17]


def _nobody(row: Row, layout: Layout, _rng: Random) -> None:
    row.received[layout.fields["legal_rep_name"]] = r"\N"
    row.expected["legal_rep_name"] = None


def _long_term(row: Row, layout: Layout, _rng: Random) -> None:
    row.received[layout.fields["op_to"]] = "9999-09-09"
    row.expected["op_to"] = None


SCJG, GONGAN = (REGISTRY.resource,), (POPULATION.resource,)
TAX, BODIES = ("swj.taxpayer",), ("mzj.institution", "mzj.social_org")
_FIRMS = (*SCJG, *TAX, *BODIES)

KINDS: tuple[Defect, ...] = (
    Defect(
        "uscc_wrong_check", _FIRMS, "统一社会信用代码校验位错误", "USCC with a wrong check character",
        ("uscc_check",), QUARANTINED, _put("uscc", _wrong_last(USCC_ALPHABET)), share=0.005,
    ),
    Defect(
        "uscc_lower_case", _FIRMS, "统一社会信用代码写成小写", "USCC in lower case",
        ("uscc_check", "uscc_repaired"), LANDED, _put("uscc", str.lower),
        _holds("uscc", lambda c: not c.isdigit()), 0.01,
    ),
    Defect(
        "uscc_full_width", _FIRMS, "统一社会信用代码为全角字符", "USCC in full-width characters",
        ("uscc_check", "uscc_repaired"), LANDED, _put("uscc", _wide),
    ),
    Defect(
        "uscc_is_reg_no", SCJG, "统一社会信用代码栏填了15位注册号", "15-digit registration number in the USCC column",
        ("uscc_check",), QUARANTINED, _registration_number,
    ),
    Defect(
        "uscc_letter_o", SCJG, "统一社会信用代码中0写成字母O", "letter O for the digit 0 in the USCC",
        ("uscc_check", "uscc_division_known"), QUARANTINED, _put("uscc", lambda c: c[:4] + "O" + c[5:]),
        _holds("uscc", lambda c: c[4] == "0"),
    ),
    Defect(
        "uscc_two_joined", SCJG, "一栏内用、连接两个代码", "two codes joined by 、 in one USCC column",
        ("uscc_check", "uscc_org_code_check", "uscc_pair_known"), QUARANTINED, _joined,
    ),
    Defect(
        "org_code_hyphen", SCJG, "组织机构代码带连字符", "organisation code with a hyphen",
        ("org_code_repaired",), LANDED, _put("org_code", lambda c: f"{c[:8]}-{c[8]}"), share=0.01,
    ),
    Defect(
        "name_sentinel", (*SCJG, *BODIES), "名称填“暂无”", "暂无 (none yet) in place of the name",
        ("ent_name_required",), QUARANTINED, _put("ent_name", lambda _: "暂无"),
    ),
    Defect(
        "rep_null_text", SCJG, r"法定代表人填“\N”", r"the text \N in place of the legal representative",
        ("legal_rep_name_required",), LANDED, _nobody,
    ),
    Defect(
        "date_chinese", SCJG, "成立日期写成2021年3月1日", "established date written 2021年3月1日",
        ("est_date_repaired",), LANDED, _date_as("{1}年{2}月{3}日"), share=0.01,
    ),
    Defect(
        "date_compact", (*SCJG, *BODIES), "成立日期写成20210301", "established date written 20210301",
        (), LANDED, _date_as("{0:%Y%m%d}"), share=0.01,
    ),
    Defect(
        "date_slashes", (*SCJG, *BODIES), "成立日期写成2021/3/1", "established date written 2021/3/1",
        ("est_date_repaired",), LANDED, _date_as("{1}/{2}/{3}"), share=0.01,
    ),
    Defect(
        "date_impossible", SCJG, "核准日期为2021-02-30", "approval date 2021-02-30",
        ("appr_date_format",), QUARANTINED, _put("appr_date", lambda _: "2021-02-30"),
    ),
    Defect(
        "long_term", SCJG, "经营期限至9999-09-09，即长期", "operating period until 9999-09-09, meaning no end",
        (), LANDED, _long_term, share=0.02,
    ),
    Defect(
        "currency_name", SCJG, "币种写成“人民币元”", "the currency written 人民币元",
        ("reg_capital_ccy_repaired",), LANDED, _put("reg_capital_ccy", lambda _: "人民币元"),
        _holds("reg_capital_ccy", lambda c: c in {"CNY", "156"}), 0.01,
    ),
    Defect(
        "state_name", SCJG, "登记状态写成名称", "registration state written as words instead of its code",
        ("reg_state_repaired",), LANDED, _put("reg_state", lambda code: STATE_NAMES[code]), share=0.01,
    ),
    Defect(
        "rep_id_legacy", SCJG, "法定代表人证件号码为15位旧号", "15-digit identity number of the legal representative",
        ("legal_rep_id_no_repaired",), LANDED, _put("legal_rep_id_no", _legacy_id),
        _holds("legal_rep_id_no", lambda number: number[6:8] == "19"),
    ),
    Defect(
        "older_version", SCJG, "同一企业的旧版本记录", "an older version of the same firm",
        (), SUPERSEDED, _older_version, lambda row, layout: row.received[layout.fields["appr_date"]] is not None, 0.01,
    ),
    Defect(
        "exact_copy", (*SCJG, *GONGAN, *TAX), "完全重复的记录", "an exact copy of a record",
        (), SUPERSEDED, _exact_copy, share=0.005,
    ),
    Defect(
        "id_wrong_check", GONGAN, "公民身份号码校验位错误", "identity number with a wrong check character",
        ("id_no_check",), QUARANTINED, _put("id_no", _wrong_last("0123456789X")), share=0.005,
    ),
    Defect(
        "id_full_width", GONGAN, "公民身份号码为全角数字", "identity number in full-width digits",
        ("id_no_repaired",), LANDED, _put("id_no", _wide),
    ),
    Defect(
        "id_legacy", GONGAN, "15位旧身份证号", "15-digit identity number",
        ("id_no_repaired",), LANDED, _put("id_no", _legacy_id), _holds("id_no", lambda n: n[6:8] == "19"), 0.005,
    ),
    Defect(
        "id_lower_x", GONGAN, "身份证号末位小写x", "identity number ending in a lower-case x",
        ("id_no_repaired",), LANDED, _put("id_no", str.lower), _holds("id_no", lambda n: n.endswith("X")), 0.01,
    ),
    Defect(
        "sex_disagrees", GONGAN, "性别与身份证号第17位不符", "sex disagrees with digit 17 of the identity number",
        ("id_no_sex",), QUARANTINED, _other_sex,
    ),
    Defect(
        "birth_disagrees", GONGAN, "出生日期与身份证号不符", "birth date disagrees with the identity number",
        ("id_no_birth",), QUARANTINED, _day_off,
    ),
    Defect(
        "sex_name", GONGAN, "性别写成男、女", "sex written 男 or 女 instead of its code",
        ("sex_repaired",), LANDED, _put("sex", lambda code: SEX_NAMES[code]), share=0.01,
    ),
    Defect(
        "ethnic_name", GONGAN, "民族写成名称", "ethnic group written by name instead of its code",
        ("ethnic_repaired",), LANDED, _put("ethnic", lambda code: NATION_NAMES[code]), share=0.01,
    ),
    Defect(
        "person_name_sentinel", GONGAN, "姓名填“无”", "无 (none) in place of the name",
        ("name_required",), QUARANTINED, _put("name", lambda _: "无"),
    ),
    Defect(
        "short_row", GONGAN, "CSV行缺少字段", "a CSV row that is short of fields",
        ("row_shape",), QUARANTINED, _line("short"),
    ),
    Defect(
        "bad_bytes", GONGAN, "行内有无法解码的字节", "a row with a byte that is not GB18030",
        ("bad_bytes",), QUARANTINED, _line("bad_bytes"),
    ),
    Defect(
        "float_id", BODIES, "Excel中代码被存成数值", "a code kept as a number by Excel",
        ("float_id", "uscc_check", "uscc_org_code_check", "uscc_pair_known"), QUARANTINED,
        _line("float"), _holds("uscc", str.isdigit), 0.01,
    ),
)  # fmt: skip
BY_ID: Mapping[str, Defect] = {kind.id: kind for kind in KINDS}


def injure(rows: list[Row], layout: Layout, rng: Random) -> list[Row]:
    """Damage some of `rows` in place, each at most once; all of them with the added versions and copies, shuffled."""
    left = list(range(len(rows)))
    rng.shuffle(left)
    added: list[Row] = []
    for kind in KINDS:
        if layout.resource not in kind.layouts:
            continue
        wanted = max(1, int(len(rows) * kind.share))
        chosen = [place for place in left if kind.eligible(rows[place], layout)][:wanted]
        gone = set(chosen)
        left = [place for place in left if place not in gone]
        for place in chosen:
            extra = kind.damage(rows[place], layout, rng)
            subject = extra or rows[place]
            subject.defects.append(kind.id)
            subject.rules.update(kind.rules)
            subject.fate = kind.fate
            if extra:
                added.append(extra)
    everything = [*rows, *added]
    rng.shuffle(everything)
    return everything


def recount(rows: Sequence[Row]) -> dict[str, int]:
    """Defect id → rows that have it."""
    counts: dict[str, int] = {}
    for row in rows:
        for one in row.defects:
            counts[one] = counts.get(one, 0) + 1
    return counts
