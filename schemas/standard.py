"""A data standard as a value: fields, rules, keys, the department whose word counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from schemas.values import BAD, RECEIVED, REPAIRED, Json, Severity

TYPES = (
    "text",
    "code",
    "integer",
    "decimal",
    "date",
    "datetime",
    "boolean",
    "uscc",
    "org_code",
    "citizen_id",
    "capital",
)

ROWSETS = ("unique", "single", "count", "sum", "no_overlap", "share")  # kinds about other rows of the batch
REFERENCE = "reference"  # the kind about another relation
BEYOND = (*ROWSETS, REFERENCE)


@dataclass(frozen=True, slots=True)
class Field:
    """One data element 数据元.

    `type` is one of TYPES; `length` counts characters; `codes` names a code list (`gb_t_2261_1@2003`); `level` is the
    sensitivity 1–4 of DB33/T 2351; `share` is U 无条件, C 有条件 or N 不予; `authority` lists departments by whose word
    counts, first first; `mask` names the mask shown to callers without a grant for the clear value.
    """

    name: str
    zh: str
    en: str
    type: str = "text"
    aliases: tuple[str, ...] = ()
    length: int | None = None
    codes: str | None = None
    unit: str | None = None
    required: bool = False
    level: int = 1
    share: str = "U"
    sentinels: tuple[str, ...] = ()
    authority: tuple[str, ...] = ()
    mask: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One check 规则.

    `kind` says how it is evaluated (quality/suite.py maps kinds to expectations); `columns` are columns of the
    standardised table: a field, a field's `__bad` or `__repaired` mark, or a received column (`raw:企业名称`).
    `indicator` is the GB/T 36344-2018 code. Rows that violate `forgiven_by` too are not quarantined for this rule.
    """

    id: str
    kind: str
    columns: tuple[str, ...]
    zh: str
    en: str
    severity: Severity = "error"
    indicator: str = "0104"
    fix_zh: str = ""
    fix_en: str = ""
    params: Mapping[str, Json] = field(default_factory=dict)
    forgiven_by: str | None = None

    @property
    def beyond(self) -> bool:
        """Whether it looks beyond its row: at other rows of the batch, or at another relation."""
        return self.kind in BEYOND

    @property
    def relations(self) -> tuple[str, ...]:
        """The other relations it looks at: libraries, standards whose records have landed, reference tables."""
        to = self.params.get("to", ())
        return (to,) if isinstance(to, str) else tuple(str(one) for one in to) if isinstance(to, list) else ()


@dataclass(frozen=True, slots=True)
class Standard:
    """A standard 标准: what a resource's records must look like, and which library they belong to.

    `key` identifies a record after normalising; of records with one key the greatest `order` wins. `identifiers` are
    the fields of the identifier cross-walk, strongest first. `authority` names the departments that answer for such
    records (a deployment says by id whose word counts, field by field); `folders` are where code lists of a deployment
    lie, besides those that ship.
    """

    name: str
    version: int
    zh: str
    en: str
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...]
    key: tuple[str, ...]
    order: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    library: str | None = None
    sentinels: tuple[str, ...] = ()
    source: str = ""
    authority: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    @property
    def id(self) -> str:
        """Name and version, as resource files cite it: `legal_person@1`."""
        return f"{self.name}@{self.version}"

    def field(self, name: str) -> Field:
        """The field of that name; KeyError when there is none."""
        for one in self.fields:
            if one.name == name:
                return one
        raise KeyError(name)


def joined(standard: Standard, beside: Sequence[Standard]) -> Standard:
    """The standard with the fields and rules of others beside it; key, order and library stay its own.

    Of fields or rules of one name the first counts.
    """
    fields = {one.name: one for one in standard.fields}
    rules = {one.id: one for one in standard.rules}
    for other in beside:
        fields = {one.name: one for one in other.fields} | fields
        rules = {one.id: one for one in other.rules} | rules
    order = (*standard.fields, *(one for other in beside for one in other.fields))
    ruled = (*standard.rules, *(one for other in beside for one in other.rules))
    return replace(
        standard,
        fields=tuple(dict.fromkeys(fields[one.name] for one in order)),
        rules=tuple({one.id: rules[one.id] for one in ruled}.values()),
    )


def bind(
    standard: Standard,
    mapping: Mapping[str, str],
    severities: Mapping[str, Severity] | None = None,
    extra: Sequence[Rule] = (),
    references: Collection[str] | None = None,
) -> tuple[Rule, ...]:
    """The rules that apply to one resource, with concrete columns.

    `mapping` says which source column feeds which field (field → source column). A rule over a field the resource does
    not deliver does not apply. `raw:` followed by a field name becomes the received column that feeds the field.
    `references` are the relations that can be looked at: rules about other rows of the batch apply, and of the rules
    about other relations those whose relations are all there; None: only rules about one row.
    """
    bound = []
    for rule in (*standard.rules, *extra):
        if rule.beyond and (references is None or not set(rule.relations) <= set(references)):
            continue
        columns = tuple(_concrete(column, mapping) for column in rule.columns)
        if None in columns:
            continue
        severity = (severities or {}).get(rule.id, rule.severity)
        bound.append(replace(rule, columns=tuple(c for c in columns if c), severity=severity))
    return tuple(bound)


def _concrete(column: str, mapping: Mapping[str, str]) -> str | None:
    if column.startswith("_"):
        return column
    if column.startswith(RECEIVED):
        name = column.removeprefix(RECEIVED)
        if name in mapping:
            return RECEIVED + mapping[name]
        return column if name in mapping.values() or not name.isascii() else None
    return column if column.removesuffix(BAD).removesuffix(REPAIRED) in mapping else None
