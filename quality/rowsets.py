"""The plain SQL of rules that look beyond their row: one SELECT of the rows that violate a rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from quality.dialect import quote
from quality.divisions import guarded
from schemas.beyond import named, relation_of
from schemas.standard import REFERENCE, Rule
from schemas.values import ROW

_LOOKED, _THERE, _HERE = "looked", "there", "here"


def reference_table(name: str) -> str:
    """The name under which a relation that rules look at is registered beside the checked table."""
    return f"reference:{name}"


def references(rules: Iterable[Rule]) -> dict[str, frozenset[str]]:
    """What a check of these rules must be given: relation → its columns, as the rules name them."""
    wanted: dict[str, set[str]] = {}
    for rule in rules:
        for name in rule.relations:
            wanted.setdefault(name, set())
        for name, column in _there(rule):
            wanted[name].add(column)
    return {name: frozenset(columns) for name, columns in sorted(wanted.items())}


def needed(rule: Rule) -> tuple[str, ...]:
    """The columns of the checked table that the rule's SELECT reads, `_row` among them."""
    return (ROW, *dict.fromkeys(rule.columns))


def violators(rule: Rule, table: str = "checked") -> str:
    """SQL for the `_row`s of `table` that violate a rule which looks beyond its row, each once, in no order.

    Needs the columns `needed` and, registered as `reference_table`, the relations and columns `references` tells. Null
    is never compared: a row without the columns that make rows belong together, or match, is not looked at. Which rows
    of a group violate is said at each kind. KeyError for a kind about one row; QualityError (QUA-RULE-CONDITION) for a
    condition that may not run.
    """
    return _KINDS[rule.kind](rule, quote(table))


def _unique(rule: Rule, table: str) -> str:
    """Every row that shares its key with another."""
    return _groups(rule, table, _by(rule), "count(*) > 1")


def _single(rule: Rule, table: str) -> str:
    """Every row of a group in which the value differs."""
    value = quote(_besides(rule)[0])
    return _groups(rule, table, _by(rule), f"count(DISTINCT {value}) > 1", and_there=(_besides(rule)[0],))


def _count(rule: Rule, table: str) -> str:
    """Where too many rows of a group satisfy `where`, those; where too few do, all rows of the group."""
    by, where = _list(_by(rule)), _true(rule, "where")
    least, most = rule.params.get("min"), rule.params.get("max")
    tests = [f"n < {least} OR " if least is not None else "", f"n > {most} AND hit" if most is not None else "false"]
    return (
        f"WITH {_LOOKED} AS (SELECT {quote(ROW)}, {by}, {where} AS hit FROM {table} WHERE {_given(_by(rule))}),"
        f" counted AS (SELECT {by}, count(*) FILTER (hit) AS n FROM {_LOOKED} GROUP BY {by})"
        f" SELECT {quote(ROW)} FROM {_LOOKED} JOIN counted USING ({by}) WHERE {''.join(tests)}"
    )


def _sum(rule: Rule, table: str) -> str:
    """Every row with a value in a group whose sum is out of bounds, or differs from the other relation's column."""
    by, value = _by(rule), quote(_besides(rule)[0])
    if not rule.relations:
        tests = [
            f"sum({value}) {sign} {rule.params[key]}"
            for key, sign in (("min", "<"), ("max", ">"))
            if key in rule.params
        ]
        return _groups(rule, table, by, " OR ".join(tests), and_there=(_besides(rule)[0],))
    matched = _pairs(rule)
    other = f"{quote(reference_table(rule.relations[0]))} AS {_THERE}"
    target, tolerance = quote(str(rule.params["column"])), rule.params["tolerance"]
    return (
        f"WITH {_looked(rule, table, (*by, _besides(rule)[0]))},"
        f" summed AS (SELECT {_list(by)}, sum({value}) AS total FROM {_LOOKED} GROUP BY {_list(by)}),"
        f" off AS (SELECT {_list(by, 'summed')} FROM summed JOIN {other}"
        f" ON {' AND '.join(f'summed.{quote(here)} = {_THERE}.{quote(there)}' for here, there in matched)}"
        f" WHERE abs(total - {_THERE}.{target}) > {tolerance} * abs({_THERE}.{target}))"
        f" SELECT {quote(ROW)} FROM {_LOOKED} SEMI JOIN off USING ({_list(by)})"
    )


def _no_overlap(rule: Rule, table: str) -> str:
    """Both rows of two periods that share a day; an open end lasts for ever, and to end where the next begins is right.

    A period that ends before it begins is not looked at.
    """
    first, last = (quote(name) for name in _besides(rule)[:2])
    order = f"OVER (PARTITION BY {_list(_by(rule))} ORDER BY {first}, {last} NULLS LAST, {quote(ROW)}"
    return (
        f"WITH {_LOOKED} AS (SELECT * FROM {table} WHERE {_given((*_by(rule), _besides(rule)[0]))}"
        f" AND coalesce({last} >= {first}, true) AND {_true(rule, 'where')}),"
        f" beside AS (SELECT {quote(ROW)}, {first}, {last},"
        f" bool_or({last} IS NULL) {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS open,"
        f" max({last}) {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,"
        f" lead({first}) {order}) AS next FROM {_LOOKED})"
        f" SELECT {quote(ROW)} FROM beside"
        f" WHERE coalesce(open, false) OR before > {first} OR next < {last} OR (next IS NOT NULL AND {last} IS NULL)"
    )


def _share(rule: Rule, table: str) -> str:
    """Every row that satisfies `where`, once such rows are more than the share `max` of at least `rows` rows."""
    where = _true(rule, "where")
    return (
        f"WITH {_LOOKED} AS (SELECT {quote(ROW)}, {where} AS hit FROM {table} WHERE {_given(rule.columns)}),"
        f" told AS (SELECT count(*) AS n, count(*) FILTER (hit) AS hits FROM {_LOOKED})"
        f" SELECT {quote(ROW)} FROM {_LOOKED}, told"
        f" WHERE hit AND n >= {rule.params['rows']} AND hits > {rule.params['max']} * n"
    )


def _reference(rule: Rule, table: str) -> str:
    """Every row that is looked at (`when` is true, its columns to match are given) and lacks what `expect` says.

    exists: a record there that matches and for which `where` is true. absent: none. agrees: where any record matches,
    `where` is not false for all of them.
    """
    keys = tuple(_matched(rule))
    looked = (
        f"{_LOOKED} AS (SELECT {_list((ROW, *rule.columns))} FROM {table}"
        f" WHERE {_given(keys)} AND {_true(rule, 'when')})"
    )
    where = rule.params.get("where")
    test = f"({guarded(str(where))})" if where is not None else "true"
    every = " UNION ALL ".join(_joined(rule, place, test) for place in range(len(rule.relations)))
    found = f"found AS (SELECT {quote(ROW)}, bool_or(coalesce(fits, false)) AS fits, bool_or(fits IS NULL) AS unknown"
    found += f" FROM ({every}) GROUP BY {quote(ROW)})"
    wrong = {
        "exists": f"SELECT {quote(ROW)} FROM {_LOOKED} ANTI JOIN (FROM found WHERE fits) USING ({quote(ROW)})",
        "agrees": f"SELECT {quote(ROW)} FROM found WHERE NOT fits AND NOT unknown",
        "absent": f"SELECT {quote(ROW)} FROM found WHERE fits",
    }
    return f"WITH {looked}, {found} {wrong[str(rule.params['expect'])]}"


_KINDS: Mapping[str, Callable[[Rule, str], str]] = {
    "unique": _unique,
    "single": _single,
    "count": _count,
    "sum": _sum,
    "no_overlap": _no_overlap,
    "share": _share,
    REFERENCE: _reference,
}


def _joined(rule: Rule, place: int, test: str) -> str:
    """One pair of a row and a record of the relation that match, with what the test says of them."""
    name = rule.relations[place]
    matches = {here: f"{name}.{there[place]}" for here, there in _matched(rule).items()}
    columns = dict.fromkeys(
        [*matches.values(), *(f"{relation}.{one}" for relation, one in _there(rule) if relation == name)]
    )
    there = ", ".join(f"{quote(one.partition('.')[2])} AS {quote(one)}" for one in columns)
    return (
        f"SELECT {quote(ROW)}, {test} AS fits FROM {_LOOKED} AS {_HERE}"
        f" JOIN (SELECT {there} FROM {quote(reference_table(name))}) AS {_THERE}"
        f" ON {' AND '.join(f'{_part(rule, here)} = {_THERE}.{quote(other)}' for here, other in matches.items())}"
    )


def _part(rule: Rule, column: str) -> str:
    part = rule.params.get("part")
    whole = f"{_HERE}.{quote(column)}"
    return f"substr({whole}, {part[0]}, {part[1]})" if isinstance(part, list) else whole


def _groups(rule: Rule, table: str, by: Sequence[str], having: str, and_there: Sequence[str] = ()) -> str:
    return (
        f"WITH {_looked(rule, table, (*by, *and_there))}"
        f" SELECT {quote(ROW)} FROM {_LOOKED}"
        f" SEMI JOIN (SELECT {_list(by)} FROM {_LOOKED} GROUP BY {_list(by)} HAVING {having}) USING ({_list(by)})"
    )


def _looked(rule: Rule, table: str, columns: Sequence[str]) -> str:
    return (
        f"{_LOOKED} AS (SELECT {_list((ROW, *dict.fromkeys(columns)))} FROM {table}"
        f" WHERE {_given(columns)} AND {_true(rule, 'where')})"
    )


def _true(rule: Rule, key: str) -> str:
    """The condition a parameter holds, true or false and never null; true where there is none."""
    said = rule.params.get(key)
    return "true" if said is None else f"coalesce(({guarded(str(said))}), false)"


def _given(columns: Iterable[str]) -> str:
    return " AND ".join(f"{quote(one)} IS NOT NULL" for one in columns)


def _list(columns: Iterable[str], relation: str = "") -> str:
    return ", ".join(f"{relation}.{quote(one)}" if relation else quote(one) for one in columns)


def _by(rule: Rule) -> tuple[str, ...]:
    said = rule.params.get("by")
    return tuple(str(one) for one in said) if isinstance(said, list) else rule.columns


def _besides(rule: Rule) -> tuple[str, ...]:
    return tuple(one for one in rule.columns if one not in _by(rule))


def _matched(rule: Rule) -> dict[str, list[str]]:
    said = rule.params.get("match")
    return {
        here: [str(one) for one in there] if isinstance(there, list) else [str(there)]
        for here, there in (said.items() if isinstance(said, Mapping) else ())
    }


def _pairs(rule: Rule) -> list[tuple[str, str]]:
    return [(here, there[0]) for here, there in _matched(rule).items()]


def _there(rule: Rule) -> list[tuple[str, str]]:
    """The columns of other relations the rule reads: (relation, column)."""
    relations = rule.relations
    found = [pair for there in _matched(rule).values() for pair in zip(relations, there, strict=True)]
    if "column" in rule.params:
        found.append((relations[0], str(rule.params["column"])))
    where = rule.params.get("where")
    for one in named(where if isinstance(where, str) else None):
        relation = relation_of(one, relations)
        if relation is not None:
            found.append((relation, one.partition(".")[2]))
    return list(dict.fromkeys(found))
