"""What the checks of one run found, put together from its batches: what failed, and what is proven good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from quality.orders_tables import APPLIED
from quality.orders_values import HELD, Kind
from quality.store import QUALITY_RULE, QUALITY_RUN

NEWEST = 10  # checks that are looked at again, in case they were repeated with another result


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
    newest = query.order_by(QUALITY_RUN.c.checked_at.desc()).limit(NEWEST)
    known = {run: digest for run, digest in connection.execute(newest).tuples() if digest is not None}
    new = set(connection.execute(query.where(APPLIED.c.run.is_(None))).scalars())
    found: list[Checked] = []
    for base in {_base(run) for run in (*known, *new)}:
        pieces = _pieces(connection, resource, base)
        digests = {piece.run["run"]: piece.digest for piece in pieces}
        news = [run for run, digest in digests.items() if run in new or known.get(run, digest) not in ("", digest)]
        if news:
            found.append(_together(base, pieces, [(run, digests[run]) for run in news], repeated=not new & set(news)))
    return sorted(found, key=lambda one: (one.at, one.run))


def _base(run: str) -> str:
    """The run of a check; the second batch of a run and those after it are known as `<run>#2`, …"""
    return run.partition("#")[0]


def _pieces(connection: sa.Connection, resource: str, base: str) -> list[_Piece]:
    def of(table: sa.Table) -> sa.ColumnElement[bool]:
        mine = sa.or_(table.c.run == base, table.c.run.startswith(f"{base}#", autoescape=True))
        return sa.and_(table.c.resource == resource, mine)

    wanted = [column for column in QUALITY_RUN.columns if column.name != "results"]
    runs = connection.execute(sa.select(*wanted).where(of(QUALITY_RUN)).order_by(QUALITY_RUN.c.checked_at)).mappings()
    rules: dict[str, list[sa.RowMapping]] = {}
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
