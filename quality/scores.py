"""Keep the measures of every check, and add them up by day or month, field, rule, resource, department or library."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from operator import itemgetter
from types import MappingProxyType

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from quality.orders_values import written
from quality.scores_measured import measured
from quality.scores_tables import DEFINITION, SCORED, SUMS
from quality.scores_values import About, Facts, Group, Measure, Period, Sum, version_of
from schemas.standard import Rule
from schemas.values import Verdict

_COUNTS = ("met", "base", "errors", "runs")
_KEY = [column.name for column in SUMS.primary_key]
_TOGETHER = ("department", "library")  # what is said of all resources of one, added up beside what each is told
_DAY, _MONTH = len("2026-01-01"), len("2026-01")  # characters of a period
_WHAT, _PERIOD = itemgetter(0, 2, 3, 4), itemgetter(1)  # of a Sum: what it is of, and when
_NOBODY: Mapping[str, str] = MappingProxyType({})
_Key = tuple[str, ...]  # the values of _KEY


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose measures: of a resource, a department, a library, or (None) of all; `since` and `until` are days."""

    resource: str | None = None
    department: str | None = None
    library: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A definition that a rule got: from when on, and what it says (kind, columns, parameters, severity …)."""

    rule: str
    version: str
    first_seen: str
    definition: Mapping[str, object]


@dataclass(slots=True)
class _Change:
    """What a check changes in a row of sums."""

    department: str = ""
    library: str = ""
    met: int = 0
    base: int = 0
    errors: int = 0
    runs: int = 0


def keep(  # noqa: PLR0917 - where, when, and what
    connection: sa.Connection,
    resource: str,
    department: str,
    run: str,
    at: str,
    rules: Sequence[Rule],
    verdict: Verdict,
    facts: Facts,
) -> None:
    """Keep the measures of a check in the caller's transaction, in place of what the same run had before."""
    where = sa.and_(SCORED.c.resource == resource, SCORED.c.run == run)
    before = connection.execute(sa.select(SCORED).where(where)).mappings().first()
    changes: dict[_Key, _Change] = {}
    if before is not None:
        _add(changes, before, _read(before["measures"]), -1)
        connection.execute(sa.delete(SCORED).where(where))
    found = measured(rules, verdict, facts)
    row = {"resource": resource, "run": run, "day": at[:10], "department": department, "library": facts.library}
    text = json.dumps([astuple(one) for one in found], ensure_ascii=False, separators=(",", ":"))
    connection.execute(sa.insert(SCORED).values(**row, measures=text))
    _add(changes, row, found, 1)
    _write(connection, changes)
    if before is not None:
        periods = SUMS.c.period.in_(_periods(str(before["day"])))
        mine = sa.or_(SUMS.c.resource == resource, SUMS.c.about.in_(_TOGETHER))
        connection.execute(sa.delete(SUMS).where(mine, periods, SUMS.c.runs == 0))
    _define(connection, rules, at)


def _add(
    changes: dict[_Key, _Change], check: Mapping[str, object] | sa.RowMapping, found: Sequence[Measure], sign: int
) -> None:
    """Add a check to the sums of its day and its month, or (-1) take it out again."""
    resource, department, library = (str(check[name]) for name in ("resource", "department", "library"))
    for period in _periods(str(check["day"])):
        for one in found:
            keys: list[_Key] = [(one.about, resource, one.name, one.measure, one.version, period)]
            if one.about == "all":
                keys.append(("department", "", department, one.measure, "", period))
                keys.append(("library", "", library, one.measure, "", period))
            for key in keys:
                change = changes.setdefault(key, _Change())
                change.department = "" if key[0] == "library" else department
                change.library = "" if key[0] == "department" else library
                change.met += sign * one.met
                change.base += sign * one.base
                change.errors += sign * one.errors
                change.runs += sign


def _write(connection: sa.Connection, changes: Mapping[_Key, _Change]) -> None:
    """Bring the sums up to date, always in the same order: checks at the same time wait for each other, never both."""
    rows = [dict(zip(_KEY, key, strict=True)) | asdict(changes[key]) for key in sorted(changes)]
    if not rows:
        return
    insert = _insert(connection, SUMS)
    new: dict[str, sa.ColumnElement[object]] = {name: SUMS.c[name] + insert.excluded[name] for name in _COUNTS}
    new |= {name: insert.excluded[name] for name in ("department", "library")}
    connection.execute(insert.on_conflict_do_update(index_elements=_KEY, set_=new), rows)


def _insert(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _define(connection: sa.Connection, rules: Sequence[Rule], at: str) -> None:
    """Keep each rule's definition the first time it is used."""
    versions = {(version_of(rule), rule.id): rule for rule in rules}
    query = sa.select(DEFINITION.c.version, DEFINITION.c.rule)
    known = connection.execute(query.where(DEFINITION.c.version.in_({one for one, _ in versions}))).tuples().all()
    new = [
        {
            "version": version,
            "rule": rule_id,
            "definition": json.dumps(asdict(rule), ensure_ascii=False, default=str),
            "first_seen": at,
        }
        for (version, rule_id), rule in versions.items()
        if (version, rule_id) not in {*known}
    ]
    if new:
        connection.execute(_insert(connection, DEFINITION).on_conflict_do_nothing(), new)


def _periods(day: str) -> tuple[str, str]:
    return day, day[:_MONTH]


def _read(text: str) -> list[Measure]:
    return [Measure(*one) for one in json.loads(text)]


class QualityScores:
    """The measures of one state database.

    `formerly` says under which name a resource or department goes on (old → new): its history is that of both.
    """

    def __init__(self, engine: sa.Engine, formerly: Mapping[str, str] = _NOBODY) -> None:
        self._engine, self._formerly = engine, formerly

    def stands(self, library: str, at: datetime, found: Sequence[tuple[str, int, int]]) -> None:
        """Note how a library stands (measure, met, base), in place of what was noted that day, and that month, before.

        Such measures are of a moment: the last of a day, or of a month, stands for it.
        """
        rows = [
            dict(zip(_KEY, ("library", "", library, measure, "", period), strict=True))
            | {"department": "", "library": library, "met": met, "base": base, "errors": 0, "runs": 1}
            for measure, met, base in sorted(found)
            for period in sorted(_periods(written(at)[:_DAY]))
        ]
        if not rows:
            return
        with self._engine.begin() as connection:
            insert = _insert(connection, SUMS)
            new = {name: insert.excluded[name] for name in _COUNTS}
            connection.execute(insert.on_conflict_do_update(index_elements=_KEY, set_=new), rows)

    def run(self, resource: str, run: str) -> list[Measure]:
        """The measures of one check; empty for one that is not known."""
        query = sa.select(SCORED.c.measures).where(SCORED.c.resource.in_(self._names(resource)), SCORED.c.run == run)
        with self._reading() as connection:
            text = connection.execute(query).scalar()
        return [] if text is None else _read(text)

    def sums(
        self,
        about: About = "all",
        *,
        scope: Scope | None = None,
        group: Group = "resource",
        by: Period | None = None,
        name: str | None = None,
    ) -> list[Sum]:
        """Measures added up: by period where it is asked for, by the members of a group; rules by version as well.

        Ordered by period, group, name and measure. `name` asks for one rule or field.
        """
        asked = scope or Scope()
        nothing: sa.ColumnElement[str] = sa.literal_column("''")
        members = {"resource": SUMS.c.resource, "department": SUMS.c.department, "library": SUMS.c.library}
        known = about == "all" and _added_up(asked, group)
        where = [SUMS.c.about == (group if known else about), *self._within(asked, _MONTH if by == "month" else _DAY)]
        if name is not None:
            where.append(SUMS.c.name == name)
        keys: list[sa.ColumnElement[str]] = [
            members.get(group, nothing),
            SUMS.c.period if by else nothing,
            nothing if about == "all" else SUMS.c.name,
            SUMS.c.measure,
            SUMS.c.version if about == "rule" else nothing,
        ]
        if by and (known or group == "resource"):  # each is there once
            query = sa.select(*keys, *(SUMS.c[one] for one in _COUNTS), SUMS.c.period).where(*where)
        else:
            # PostgreSQL adds bigints up to numerics, which take their time to become numbers of Python.
            counted = [sa.cast(sa.func.sum(SUMS.c[one]), sa.BigInteger) for one in _COUNTS]
            query = sa.select(*keys, *counted, sa.func.max(SUMS.c.period)).where(*where)
            query = query.group_by(*(one for one in keys if one is not nothing))
        with self._reading() as connection:
            rows = list(map(Sum._make, connection.execute(query).fetchall()))
        # They mostly come in the order of the first key, of which a sort takes notice: a key of both is slow.
        return sorted(sorted(self._renamed(rows), key=_WHAT), key=_PERIOD)

    def _renamed(self, found: list[Sum]) -> list[Sum]:
        """The sums, those of former names added to what is called otherwise now."""
        if not any(one.group in self._formerly for one in found):
            return found
        together: dict[tuple[str, ...], Sum] = {}
        for one in found:
            new = one._replace(group=self._formerly.get(one.group, one.group))
            key = (new.period, new.group, new.name, new.measure, new.version)
            together[key] = _plus(together[key], new) if key in together else new
        return list(together.values())

    def definitions(self, rule: str) -> list[Change]:
        """Every definition a rule has had, the oldest first."""
        query = sa.select(DEFINITION).where(DEFINITION.c.rule == rule).order_by(DEFINITION.c.first_seen)
        with self._reading() as connection:
            return [
                Change(row["rule"], row["version"], row["first_seen"], json.loads(row["definition"]))
                for row in connection.execute(query).mappings()
            ]

    def _names(self, name: str) -> list[str]:
        return [name, *(old for old, new in self._formerly.items() if new == name)]

    def _within(self, scope: Scope, size: int) -> list[sa.ColumnElement[bool]]:
        """What restricts the sums to a scope and to periods of so many characters."""
        asked = ((SUMS.c.resource, scope.resource), (SUMS.c.department, scope.department))
        found: list[sa.ColumnElement[bool]] = [sa.func.length(SUMS.c.period) == size]
        found += [column.in_(self._names(wanted)) for column, wanted in asked if wanted is not None]
        if scope.library is not None:
            found.append(SUMS.c.library == scope.library)
        if scope.since is not None:
            found.append(SUMS.c.period >= scope.since[:size])
        if scope.until is not None:
            found.append(SUMS.c.period <= scope.until[:size])
        return found

    def _reading(self) -> sa.Connection:
        # The state database's SQLite engine locks for writing at BEGIN unless it is told.
        return self._engine.execution_options(reading=True).connect()


def _added_up(scope: Scope, group: Group) -> bool:
    """Whether what is asked for of a department or library is that of all its resources, which is kept beside."""
    if group == "department":
        return scope.resource is None and scope.library is None
    return group == "library" and scope.resource is None and scope.department is None


def _plus(one: Sum, other: Sum) -> Sum:
    counts = {name: getattr(one, name) + getattr(other, name) for name in _COUNTS}
    return one._replace(**counts, last=max(one.last, other.last))
