"""The rules nobody has to write: those every batch is held to, and those a field's type, length and codes imply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.standard import Field, Rule
from schemas.values import BAD, REJECT, REPAIRED, Severity

# Type → what a value must be (Chinese, English) and an example that is understood.
_READ_AS = {
    "integer": ("整数", "a whole number", "18"),
    "decimal": ("数字", "a number", "5000.00"),
    "date": ("日期", "a date", "2019-04-30"),
    "datetime": ("日期时间", "a date and time", "2019-04-30 14:21:54"),
    "boolean": ("是或否", "yes or no", "1 / 0"),
    "capital": ("金额", "an amount", "5000万元人民币"),
}
# Rule id → what is wrong (Chinese, English) and what to do about it (Chinese, English).
_STRUCTURAL = {
    "row_shape": (
        "列数与表头不符",
        "has not as many columns as the header",
        "检查分隔符、引号和换行",
        "Check separators, quotes and line breaks",
    ),
    "bad_bytes": (
        "有不属于文件编码的字节",
        "holds bytes that are not in the file's encoding",
        "按约定的编码重新导出",
        "Export again in the agreed encoding",
    ),
    "torn_row": (
        "不完整，文件可能没有写完",
        "is torn; the file may be half-written",
        "重新传送整个文件",
        "Send the whole file again",
    ),
    "float_id": (
        "的证件号码被存成数值，第 15 位以后的数字已丢失",
        "has an identifier stored as a number; digits after the 15th are lost",
        "把该列设为“文本”后重新导出",
        "Set the column to text and export again",
    ),
    "field_size": (
        "有超过上限的过长的值，未读取",
        "holds a value longer than the limit, which was not read",
        "在源系统中核对该值，确需接收时加大 source.max_field_bytes",
        "Compare the value in the source system; if it is meant so, raise source.max_field_bytes",
    ),
    "type_unreadable": (
        "有无法按其类型读取的值",
        "holds a value that cannot be read as its own type",
        "在源系统中更正该值",
        "Correct the value in the source system",
    ),
}


@dataclass(frozen=True, slots=True)
class Demanded:
    """When a field must not be empty: SQL over other fields, those fields, and the same in words 条件."""

    when: str
    columns: tuple[str, ...]
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Severities:
    """How much a field's implied rules weigh; `required` None: the field may be empty; `demanded`: only at times."""

    required: Severity | None = None
    length: Severity = "error"
    format: Severity = "error"
    code: Severity = "error"
    demanded: Demanded | None = None


def structural() -> tuple[Rule, ...]:
    """The rules every batch is held to whatever its standard: defects met while a source was read."""
    return tuple(
        Rule(
            id=name,
            kind="reject",
            columns=(REJECT,),
            zh=f"该行{zh}",
            en=f"The row {en}",
            indicator="0302",
            fix_zh=fix_zh,
            fix_en=fix_en,
            params={"reject": name},
        )
        for name, (zh, en, fix_zh, fix_en) in _STRUCTURAL.items()
    )


def implied(field: Field, weigh: Severities) -> Iterator[Rule]:
    """The rules a field brings along, named `<field>_required`, `_length`, `_format`, `_code`, `_repaired`.

    Only text has a length rule: codes and check digits say more, and what is no text any more has no length.
    """
    yield from _filled(field, weigh)
    yield from _understood(field, weigh)
    yield Rule(
        id=f"{field.name}_repaired",
        kind="repaired",
        columns=(field.name + REPAIRED,),
        zh=f"{field.zh}已在规范化时更正书写",
        en=f"{field.en} was put right when normalised",
        severity="info",
        indicator="0302",
        fix_zh="入库值已更正；请源系统按规范书写",
        fix_en="The landed value is right; please write it so in the source system",
    )


def _filled(field: Field, weigh: Severities) -> Iterator[Rule]:
    """Whether there is a value, and not more of it than fits."""
    if weigh.required and weigh.demanded:
        yield _demanded(field, weigh.required, weigh.demanded)
    elif weigh.required:
        yield Rule(
            id=f"{field.name}_required",
            kind="required",
            columns=(field.name,),
            zh=f"{field.zh}不能为空",
            en=f"{field.en} must not be empty",
            severity=weigh.required,
            indicator="0201",
            fix_zh=f"请补填{field.zh}",
            fix_en=f"Fill in {field.en}",
        )
    if field.length and field.type == "text":
        yield Rule(
            id=f"{field.name}_length",
            kind="length",
            columns=(field.name,),
            zh=f"{field.zh}不能超过 {field.length} 个字符",
            en=f"{field.en} must not be longer than {field.length} characters",
            severity=weigh.length,
            indicator="0302",
            fix_zh="请核对是否填错了列，或缩短内容",
            fix_en="Check that the column is the right one, or shorten the value",
            params={"max": field.length},
        )


def _demanded(field: Field, severity: Severity, demanded: Demanded) -> Rule:
    return Rule(
        id=f"{field.name}_required",
        kind="condition",
        columns=tuple(dict.fromkeys((field.name, *demanded.columns))),
        zh=f"{demanded.zh}，{field.zh}不能为空",
        en=f"{field.en} must not be empty {demanded.en}",
        severity=severity,
        indicator="0201",
        fix_zh=f"请补填{field.zh}",
        fix_en=f"Fill in {field.en}",
        params={"sql": f'coalesce(NOT ({demanded.when}), true) OR "{field.name}" IS NOT NULL'},
    )


def _understood(field: Field, weigh: Severities) -> Iterator[Rule]:
    """Whether the value could be read as its type, and is a code of its list."""
    if field.type in _READ_AS:
        zh, en, example = _READ_AS[field.type]
        yield Rule(
            id=f"{field.name}_format",
            kind="understood",
            columns=(field.name + BAD,),
            zh=f"{field.zh}应为{zh}",
            en=f"{field.en} must be {en}",
            severity=weigh.format,
            indicator="0302",
            fix_zh=f"请写成，例如 {example}",
            fix_en=f"Write, for example, {example}",
        )
    if field.codes:
        yield Rule(
            id=f"{field.name}_code",
            kind="code",
            columns=(field.name,),
            zh=f"{field.zh}不在代码表 {field.codes} 中",
            en=f"{field.en} is not in the code list {field.codes}",
            severity=weigh.code,
            indicator="0105",
            fix_zh=f"请改用代码表 {field.codes} 中的代码或名称",
            fix_en=f"Use a code or name of {field.codes}",
            params={"list": field.codes},
        )
