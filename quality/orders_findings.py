"""What the checks of one run found, put together from its batches: what failed, and what is proven good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from quality.orders_tables import APPLIED
from quality.orders_values import HELD, Kind
from quality.store import QUALITY_RULE, QUALITY_RUN

NEWEST = 10  # checks that are looked at again, in case they were repeated with another result
OVERTAKEN = timedelta(days=7)
_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """How one rule, or the gate (HELD), came out over all batches of a run; neither failed nor good: not known."""

    rule: str
    kind: Kind
    severity: str
    rows: int
    failed: bool
    good: bool
    zh: str
    en: str
    batch: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The checks of one run; `news` are (run, checked at, digest) of those that have not been turned into orders.

    `repeated`: all of them had been, with another result. `at` is when the newest was checked.
    """

    run: str
    department: str
    at: str
    findings: tuple[Finding, ...]
    news: tuple[tuple[str, str, str], ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    run: sa.RowMapping
    rules: Sequence[sa.RowMapping]

    @property
    def digest(self) -> str:
        """What it found, in short."""
        told = [(one["rule"], one["severity"], one["rows"], one["evaluated"], bool(one["error"])) for one in self.rules]
        return hashlib.sha256(json.dumps([self.run["decision"], told]).encode()).hexdigest()


def waiting(connection: sa.Connection, resource: str) -> list[Checked]:
    """The runs with checks that have not been turned into orders, in the order they were checked."""
    ours = QUALITY_RUN.c.resource == resource
    applied = sa.and_(APPLIED.c.resource == QUALITY_RUN.c.resource, APPLIED.c.run == QUALITY_RUN.c.run)
    query = sa.select(QUALITY_RUN.c.run, APPLIED.c.digest).outerjoin(APPLIED, applied).where(ours)
    newest = connection.execute(query.order_by(QUALITY_RUN.c.checked_at.desc()).limit(NEWEST)).tuples()
    known = {run: digest for run, digest in newest if digest}
    last = sa.select(sa.func.max(APPLIED.c.checked_at)).where(APPLIED.c.resource == resource)
    unknown = query.where(APPLIED.c.run.is_(None), QUALITY_RUN.c.checked_at >= _days_before(connection.scalar(last)))
    new = set(connection.execute(unknown).scalars())
    again = {
        one.run["run"] for one in _pieces(connection, resource, list(known)) if one.digest != known[one.run["run"]]
    }
    found: list[Checked] = []
    for base in {run.partition("#")[0] for run in new | again}:
        pieces = _whole(connection, resource, base)
        news = [(name, one.digest) for one in pieces if (name := one.run["run"]) in new | again]
        found.append(_together(base, pieces, news, repeated=not any(name in new for name, _ in news)))
    return sorted(found, key=lambda one: (one.at, one.run))


def _days_before(last: str | None) -> str:
    """From when on checks are looked for: one that is older than the newest applied by more is nobody's any more."""
    return "" if last is None else (datetime.fromisoformat(last) - OVERTAKEN).isoformat(timespec="microseconds")


def _whole(connection: sa.Connection, resource: str, base: str) -> list[_Piece]:
    """All batches of a run: the second of them and those after it are known as `<run>#2`, …"""
    found, first = _pieces(connection, resource, [base]), 2
    while True:
        more = _pieces(connection, resource, [f"{base}#{number}" for number in range(first, first + _AT_ONCE)])
        found += more
        if len(more) < _AT_ONCE:
            return sorted(found, key=lambda one: str(one.run["checked_at"]))
        first += _AT_ONCE


def _pieces(connection: sa.Connection, resource: str, names: Sequence[str]) -> list[_Piece]:
    def of(table: sa.Table) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.resource == resource, table.c.run.in_(names))

    wanted = [column for column in QUALITY_RUN.columns if column.name != "results"]
    runs = connection.execute(sa.select(*wanted).where(of(QUALITY_RUN))).mappings().all()
    rules: dict[str, list[sa.RowMapping]] = {}
    if runs:
        for row in connection.execute(sa.select(QUALITY_RULE).where(of(QUALITY_RULE)).order_by(QUALITY_RULE.c.place)):
            rules.setdefault(row.run, []).append(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return [_Piece(run, rules.get(run["run"], [])) for run in runs]


def _together(base: str, pieces: Sequence[_Piece], news: Sequence[tuple[str, str]], *, repeated: bool) -> Checked:
    when = {piece.run["run"]: piece.run["checked_at"] for piece in pieces}
    of_rules: dict[str, list[tuple[_Piece, sa.RowMapping]]] = {}
    for piece in pieces:
        for one in piece.rules:
            of_rules.setdefault(one["rule"], []).append((piece, one))
    return Checked(
        run=base,
        department=pieces[-1].run["department"],
        at=max(when.values()),
        findings=(_gate(pieces), *(_rule(found) for found in of_rules.values())),
        news=tuple((run, when[run], digest) for run, digest in news),
        repeated=repeated,
    )


def _rule(found: Sequence[tuple[_Piece, sa.RowMapping]]) -> Finding:
    told = [one for _, one in found]
    failed = [(piece, one) for piece, one in found if one["rows"] and one["error"] is None]
    evaluated = sum(one["evaluated"] for one in told)
    piece, words = (failed or found)[-1]
    return Finding(
        rule=words["rule"],
        kind="rule",
        severity=words["severity"],
        rows=sum(one["rows"] for _, one in failed),
        failed=bool(failed),
        good=not failed and evaluated > 0 and all(one["error"] is None for one in told),
        zh=words["zh"],
        en=words["en"],
        batch=piece.run["batch"],
    )


def _gate(pieces: Sequence[_Piece]) -> Finding:
    held = [piece for piece in pieces if piece.run["decision"] == "hold"]
    piece = (held or pieces)[-1]
    return Finding(
        rule=HELD,
        kind="held",
        severity="error",
        rows=sum(one.run["rows"] for one in held),
        failed=bool(held),
        good=not held and any(one.run["rows"] for one in pieces),
        zh=f"整批挂起：{piece.run['reason_zh']}",
        en=f"The batch is held: {piece.run['reason_en']}",
        batch=piece.run["batch"],
    )
