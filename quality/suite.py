"""A suite of Great Expectations from the rules that apply to one resource."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

from quality.condition import accept
from quality.dialect import quote
from quality.errors import QualityError
from quality.expectations import (
    ExpectColumnValuesToBeInCodeList,
    ExpectColumnValuesToBePresentValidIdentifier,
    ExpectColumnValuesToBeValidIdentifier,
    ExpectIdentifierToBeValidWhere,
    ExpectRowsToAgreeWithOtherRows,
    ExpectRowsToSatisfyCondition,
)
from quality.rowsets import violators
from schemas.expected import EXPECTATIONS
from schemas.standard import BEYOND, Rule
from schemas.validators.spec import SPECS
from schemas.values import BAD, RECEIVED, REJECT, REPAIRED, ROW
from schemas.widths import BLANKS

# After quality.expectations, which sets up the import of Great Expectations.
import great_expectations as gx  # isort: skip
import great_expectations.expectations as gxe  # isort: skip

Codes = Mapping[str, frozenset[str]]
_SEVERITY = {"error": "critical", "warning": "warning", "info": "info"}
_SHANGHAI = timezone(timedelta(hours=8))


def suite(rules: Sequence[Rule], codes: Codes, today: date | None = None) -> gx.ExpectationSuite:
    """One expectation per rule, in their order; each one's meta names rule, severity and indicator.

    `codes` holds the code lists by name; `today` (default: today in Shanghai) bounds dates of birth and is what a range
    calls "today". QualityError: QUA-RULE-ID for an id used twice, QUA-RULE-KIND for an unknown kind, QUA-RULE-PARAMS
    for missing or wrong parameters or columns, QUA-RULE-CODES for an absent or empty code list, QUA-RULE-CONDITION for
    SQL that may not run.
    """
    _each_once(rules)
    day = today or datetime.now(_SHANGHAI).date()
    return gx.ExpectationSuite(name="rules", expectations=[expectation(rule, codes, day) for rule in rules])


def usable(rules: Sequence[Rule], codes: Codes, today: date) -> tuple[gx.ExpectationSuite, Mapping[str, QualityError]]:
    """A suite of those of the rules that can be asked at all, and why the others cannot; QualityError: QUA-RULE-ID."""
    _each_once(rules)
    made, refused = [], {}
    for rule in rules:
        try:
            made.append(expectation(rule, codes, today))
        except QualityError as error:
            refused[rule.id] = error
    return gx.ExpectationSuite(name="rules", expectations=made), refused


def _each_once(rules: Sequence[Rule]) -> None:
    ids = [rule.id for rule in rules]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise QualityError(
            "QUA-RULE-ID",
            zh=f"规则编号重复：{'、'.join(twice)}",
            en=f"Rule ids are used twice: {', '.join(twice)}",
            fix_zh="请给每条规则不同的编号",
            fix_en="Give every rule an id of its own",
        )


def expectation(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401 - a GX Expectation
    """The expectation that stands for one rule; errors as `suite`."""
    if rule.kind not in KINDS:
        raise QualityError(
            "QUA-RULE-KIND",
            zh=f"规则 {rule.id} 的类型 {rule.kind} 不存在",
            en=f"Rule {rule.id} has the kind {rule.kind}, which does not exist",
            fix_zh=f"请使用以下类型之一：{'、'.join(KINDS)}",
            fix_en=f"Use one of these kinds: {', '.join(KINDS)}",
        )
    made = KINDS[rule.kind](rule, codes, today)
    made.meta = {"rule": rule.id, "severity": rule.severity, "indicator": rule.indicator}
    made.severity = _SEVERITY[rule.severity]
    return made


def _required(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - one shape for all kinds
    column = _column(rule)
    if not column.startswith(RECEIVED):
        return gxe.ExpectColumnValuesToNotBeNull(column=column)
    # A field without a value is null; what was received may be blanks, and a CSV file knows no null at all.
    something = f"coalesce(regexp_matches({quote(column)}, '[^{BLANKS}]'), false)"
    return ExpectRowsToSatisfyCondition(column_list=_several(rule), condition=something)


def _length(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    low, high = rule.params.get("min"), rule.params.get("max")
    if not all(one is None or type(one) is int for one in (low, high)) or low == high is None:
        raise _params(rule, "{max: 200}")
    column = _column(rule)
    if '"' in column:  # Great Expectations' own words for a column cannot say such a name
        length = f"length({quote(column)})"
        limits = [f"{length} {sign} {one}" for sign, one in ((">=", low), ("<=", high)) if one is not None]
        return ExpectRowsToSatisfyCondition(column_list=_several(rule), condition=accept(" AND ".join(limits)))
    return gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=low, max_value=high)


def _understood(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    return gxe.ExpectColumnValuesToNotBeInSet(column=_marked(rule, BAD), value_set=[True])


def _repaired(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    return gxe.ExpectColumnValuesToNotBeInSet(column=_marked(rule, REPAIRED), value_set=[True])


def _code(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    name = rule.params.get("list")
    if not isinstance(name, str):
        raise _params(rule, "{list: gb_t_2261_1@2003}")
    if not codes.get(name):
        absent = name not in codes
        raise QualityError(
            "QUA-RULE-CODES",
            zh=f"规则 {rule.id} 使用的代码表 {name} {'不存在' if absent else '没有任何代码'}",
            en=f"Rule {rule.id} uses the code list {name}, which {'does not exist' if absent else 'holds no code'}",
            fix_zh="请检查代码表的名称和版本",
            fix_en="Check the name and version of the code list",
        )
    return ExpectColumnValuesToBeInCodeList(column=_column(rule), code_list=name)


def _check_digit(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    kind = rule.params.get("kind")
    if kind not in SPECS:
        raise _params(rule, f"{{kind: {' | '.join(SPECS)}}}")
    present = bool(rule.params.get("empty_fails", False))
    when = rule.params.get("when")
    if isinstance(when, str):
        accept(when)
        return ExpectIdentifierToBeValidWhere(
            column_list=_several(rule), kind=str(kind), today=today.isoformat(), when=when, required=present
        )
    chosen = ExpectColumnValuesToBePresentValidIdentifier if present else ExpectColumnValuesToBeValidIdentifier
    return chosen(column=_column(rule), kind=str(kind), today=today.isoformat())


def _pattern(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    regex = rule.params.get("regex")
    if not isinstance(regex, str):
        raise _params(rule, "{regex: '^[0-9]{6}$'}")
    return gxe.ExpectColumnValuesToMatchRegex(column=_column(rule), regex=regex)


def _order(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    if len(rule.columns) != 2:  # noqa: PLR2004 - a pair
        raise _params(rule, "{}", "恰好两列", "exactly two columns")
    first, second = rule.columns
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=second, column_B=first, or_equal=True, ignore_row_if="either_value_is_missing"
    )


def _range(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    low, high = (_bound(rule, key, today) for key in ("min", "max"))
    if low is high is None:
        raise _params(rule, "{min: 0, max: 100}")
    return gxe.ExpectColumnValuesToBeBetween(column=_column(rule), min_value=low, max_value=high)


def _condition(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    text = rule.params.get("sql")
    if not isinstance(text, str) or not rule.columns:
        raise _params(rule, '{sql: \'"appr_date" >= "est_date"\'}', "至少一列", "at least one column")
    return ExpectRowsToSatisfyCondition(column_list=_several(rule), condition=accept(text))


def _reject(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    defect = rule.params.get("reject", rule.id)
    if not isinstance(defect, str):
        raise _params(rule, "{reject: row_shape}")
    return gxe.ExpectColumnValuesToNotBeInSet(column=REJECT, value_set=[defect])


def _expectation(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    name = str(rule.params.get("name"))
    chosen = getattr(gxe, "".join(map(str.capitalize, name.split("_"))), None)
    if name not in EXPECTATIONS or chosen is None:
        raise _params(rule, "{name: expect_column_values_to_be_in_set, value_set: [甲, 乙]}")
    taken: dict[str, Any] = {key: value for key, value in rule.params.items() if key != "name"}
    for key in ("min_value", "max_value"):
        if key in taken:
            taken[key] = _bound(rule, key, today)
    takes = EXPECTATIONS[name].takes
    if takes == "pair":
        taken |= dict(zip(("column_A", "column_B"), rule.columns, strict=True))
    else:
        taken |= {"column": _column(rule)} if takes == "column" else {"column_list": list(rule.columns)}
    try:
        return chosen(**taken)
    except ValueError:
        raise _params(rule, dict(rule.params)) from None


def _beyond(rule: Rule, codes: Codes, today: date) -> Any:  # noqa: ANN401, ARG001 - dto.
    violators(rule)  # its conditions may run
    return ExpectRowsToAgreeWithOtherRows(column_list=[*rule.columns, ROW], rule=rule.id, kind=rule.kind)


KINDS: Mapping[str, Callable[[Rule, Codes, date], Any]] = {
    "required": _required,
    "length": _length,
    "understood": _understood,
    "repaired": _repaired,
    "code": _code,
    "check_digit": _check_digit,
    "pattern": _pattern,
    "order": _order,
    "range": _range,
    "condition": _condition,
    "reject": _reject,
    "expectation": _expectation,
    **dict.fromkeys(BEYOND, _beyond),
}


def _several(rule: Rule) -> list[str]:
    """The rule's columns, two at least, as Great Expectations asks of a rule about several."""
    return [*rule.columns, ROW] if len(rule.columns) == 1 else list(rule.columns)


def _column(rule: Rule) -> str:
    if len(rule.columns) != 1:
        raise _params(rule, dict(rule.params), "恰好一列", "exactly one column")
    return rule.columns[0]


def _marked(rule: Rule, suffix: str) -> str:
    column = _column(rule)
    return column if column.endswith(suffix) else column + suffix


def _bound(rule: Rule, key: str, today: date) -> int | float | date | None:
    value = rule.params.get(key)
    if value == "today":
        return today
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise _params(rule, "{min: 1900-01-01, max: today}") from None
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise _params(rule, "{min: 0, max: 100}")


def _params(rule: Rule, example: object, zh: str = "正确的参数", en: str = "the right parameters") -> QualityError:
    return QualityError(
        "QUA-RULE-PARAMS",
        zh=f"规则 {rule.id}（{rule.kind}）需要{zh}",
        en=f"Rule {rule.id} ({rule.kind}) needs {en}",
        fix_zh=f"参数写成例如 {example}",
        fix_en=f"Write the parameters like {example}",
    )
