"""Read the parameters of rules that look beyond their row: at other rows of the batch, or at another relation."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NoReturn

from schemas.lines import Node
from schemas.standard import REFERENCE
from schemas.values import Json

EXPECTS: Final = ("exists", "agrees", "absent")
# Kind → the parameters it may have, and those it cannot do without.
PARAMS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "unique": (("by", "where"), ()),
    "single": (("by", "where"), ("by",)),
    "count": (("by", "where", "min", "max"), ("by", "where")),
    "sum": (("by", "where", "min", "max", "to", "match", "column", "tolerance"), ("by",)),
    "no_overlap": (("by", "where"), ("by",)),
    "share": (("where", "max", "rows"), ("where", "max")),
    "reference": (("to", "match", "part", "expect", "where", "when"), ("to", "match")),
}
EXAMPLES: Final = {
    "single": "{by: subject_id}",
    "count": "{by: household_id, where: '\"relation\" = ''02''', min: 1, max: 1}",
    "sum": "{by: uscc, max: 100}",
    "no_overlap": "{by: [lic_no]}",
    "share": "{where: '\"id_no\" LIKE ''%000''', max: 0.01}",
    "reference": "{to: legal_person, match: {uscc: uscc}}",
}
_NAME = re.compile(r"[a-z][a-z0-9_]*(@[0-9]+)?")
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")+)\"""")  # a text, of which no word is a column; or a column
_ENOUGH = 100  # rows before a share means anything


def beyond_params(node: Node, below: Node | None, kind: str, columns: Sequence[str]) -> Mapping[str, Json]:
    """The parameters of a rule of a kind in BEYOND, checked against the columns the rule names.

    `by` are the columns that make rows belong together (unique: all of them, if it is not written); what a `single`,
    `sum` or `no_overlap` rule looks at are the first columns besides. `by` and conditions (`where`, `when`) speak of
    the rule's own columns; in the `where` of a reference rule the other relation's columns are written
    `"relation.column"`; `part` matches some characters of the row's value only. A code list is a relation by its id,
    with the columns code, zh, en, valid_from and valid_to. Raises StandardError with file and line.
    """
    if below is None:
        if PARAMS[kind][1]:
            _needs(node, kind)
        _enough_columns(node, kind, columns, ())
        return {}
    if kind == REFERENCE:
        return _reference(below, columns)
    return _rowset(node, below, kind, columns)


def _rowset(node: Node, below: Node, kind: str, columns: Sequence[str]) -> Mapping[str, Json]:
    by = tuple(below.texts("by"))
    if "by" in PARAMS[kind][1] and not by:
        _needs(node, kind)
    where = below.text("where") if "where" in PARAMS[kind][1] else below.text("where", None)
    params: dict[str, Json] = {}
    if by:
        params["by"] = list(by)
    if where is not None:
        params["where"] = where
    for key in ("min", "max", "tolerance"):
        if below.text(key, None) is not None:
            params[key] = below.number(key)
    if kind == "share":
        params["rows"] = below.integer("rows", _ENOUGH)
    if kind == "sum" and below.has("to"):
        params |= _compared(below, columns)
    if kind in ("count", "sum") and not {"min", "max", "to"} & params.keys():
        _needs(node, kind)
    _known(below, "by", by, columns)
    _known(below, "where", named(where), columns)
    _enough_columns(node, kind, columns, by)
    return params


def _compared(below: Node, columns: Sequence[str]) -> dict[str, Json]:
    """What a sum is held against: a column of another relation."""
    matched = below.mapping("match")
    _known(below, "match", matched, columns)
    return {
        "to": below.pattern("to", _NAME.pattern, example="legal_person"),
        "match": dict(matched),
        "column": below.text("column"),
        "tolerance": below.number("tolerance", 0.0),
    }


def _reference(below: Node, columns: Sequence[str]) -> Mapping[str, Json]:
    to = below.texts("to")
    if not to or not all(_NAME.fullmatch(one) for one in to):
        below.fail(
            "to",
            "reference 规则要写明参照哪个库、标准或参照表",
            "a reference rule names the library, standard or reference table it looks at",
            "请写成，例如 to: legal_person",
            "Write, for example, to: legal_person",
        )
    matched = _matched(below, len(to))
    where, when = below.text("where", None), below.text("when", None)
    params: dict[str, Json] = {"to": list(to), "match": matched, "expect": below.one_of("expect", EXPECTS, "exists")}
    if where is not None:
        params["where"] = where
    if when is not None:
        params["when"] = when
    if below.has("part"):
        params["part"] = _part(below)
    here = [one for one in named(where) if relation_of(one, to) is None]
    _known(below, "match", matched, columns)
    _known(below, "where", here, columns)
    _known(below, "when", named(when), columns)
    unused = set(columns) - {*matched, *here, *named(when)}
    if unused or (where is not None and len(to) > 1):
        below.fail(
            "match",
            "columns 中的列都要在 match、where 或 when 中用到，where 只用于一个参照；"
            f"未用到：{'、'.join(sorted(unused))}",
            "every column of `columns` is used in match, where or when, and where needs a single relation; "
            f"not used: {', '.join(sorted(unused))}",
            f"请写成，例如 params: {EXAMPLES['reference']}",
            f"Write, for example, params: {EXAMPLES['reference']}",
        )
    return params


def _matched(below: Node, relations: int) -> dict[str, Json]:
    pairs = below.node("match")
    if pairs is None:
        _needs(below, REFERENCE)
    matched: dict[str, Json] = {}
    for column in pairs.keys():  # noqa: SIM118 — a Node is no dict
        there = pairs.texts(column)
        if len(there) != relations:
            pairs.fail(
                column,
                f"{column} 要对应每个参照中的一列，共 {relations} 列",
                f"{column} is matched with one column of each relation, {relations} in all",
                f"请写成，例如 {column}: uscc",
                f"Write, for example, {column}: uscc",
            )
        matched[column] = list(there)
    return matched


def _part(below: Node) -> list[Json]:
    """Which characters of the row's value are matched: where they begin, from 1, and how many they are."""
    written = below.texts("part")
    if len(written) != len(("start", "length")) or not all(re.fullmatch("[1-9][0-9]?", one) for one in written):
        below.fail(
            "part",
            "part 写明从第几个字符起、取几个字符",
            "part says at which character the matched part begins and how many it has",
            "请写成，例如 part: [1, 6]",
            "Write, for example, part: [1, 6]",
        )
    return [int(one) for one in written]


def named(sql: str | None) -> tuple[str, ...]:
    """The columns a condition names, in double quotes, each once."""
    return tuple(dict.fromkeys(one.replace('""', '"') for one in _QUOTED.findall(sql or "") if one))


def relation_of(column: str, relations: Collection[str]) -> str | None:
    """The relation a column written `relation.column` belongs to; None for a column of the row itself."""
    relation, dot, _ = column.partition(".")
    return relation if dot and relation in relations else None


def _known(below: Node, key: str, names: Collection[str], columns: Sequence[str]) -> None:
    odd = [one for one in names if one not in columns]
    if odd:
        below.fail(
            key,
            f"“{key}”中的列要列在 columns 中：{'、'.join(odd)}",
            f"a column named in '{key}' is listed under columns: {', '.join(odd)}",
            f"请写成，例如 columns: [{', '.join((*columns, *odd))}]",
            f"Write, for example, columns: [{', '.join((*columns, *odd))}]",
        )


def _enough_columns(node: Node, kind: str, columns: Sequence[str], by: Sequence[str]) -> None:
    """Whether the columns say what the kind looks at: a value besides its key, a beginning and an end."""
    besides = [one for one in columns if one not in by]
    fits = {"single": len(columns) > 1, "sum": len(besides) >= 1, "no_overlap": len(besides) >= len(("from", "to"))}
    if not fits.get(kind, bool(columns)):
        example = {"no_overlap": "[lic_no, valid_from, valid_to]", "sum": "[uscc, ratio]"}.get(
            kind, "[subject_id, uscc]"
        )
        node.fail(
            "columns" if node.has("columns") else "field",
            f"{kind} 规则的列不够",
            f"a {kind} rule needs more columns",
            f"请写成，例如 columns: {example}",
            f"Write, for example, columns: {example}",
        )


def _needs(node: Node, kind: str) -> NoReturn:
    needed = "、".join(PARAMS[kind][1])
    node.fail(
        None,
        f"{kind} 规则要有参数 {needed}",
        f"a {kind} rule needs the parameters {needed}",
        f"请补上，例如 params: {EXAMPLES[kind]}",
        f"Add, for example, params: {EXAMPLES[kind]}",
    )
