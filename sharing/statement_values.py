"""A statement 对账单: what one department asked of another's data in a month, and how calls are summed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from typing import Final, TypeAlias

import orjson

from sharing.calls import Call
from sharing.receipts import Receipt
from sharing.statement_refusals import no_statement
from sharing.tariff import Tariff, amount

VERSION: Final = 1
PLATFORM: Final = ""  # who provides what no single department does, and answers calls that are about no data
Bucket: TypeAlias = tuple[str, str, str, str, int]  # subject, operation, grant, matter ("" where there is none), status


@dataclass(slots=True)
class Sums:
    """Calls once each, how often they were repeated, and the units and keys they were counted for.

    `parts` are those of calls that ask several libraries at once; the call itself is counted where it is about none.
    """

    calls: int = 0
    parts: int = 0
    repeats: int = 0
    units: int = 0
    keys: int = 0

    def add(self, more: Sums) -> None:
        """So many more."""
        self.calls, self.parts, self.repeats = (
            self.calls + more.calls,
            self.parts + more.parts,
            self.repeats + more.repeats,
        )
        self.units, self.keys = self.units + more.units, self.keys + more.keys


@dataclass(slots=True)
class Sheet:
    """Calls summed by what they were, and by the day (ISO 8601) they were on."""

    lines: dict[Bucket, Sums] = field(default_factory=dict)
    days: dict[str, Sums] = field(default_factory=dict)

    def add(self, of: Call | Receipt, told: Sums) -> None:
        """A call, and what it counts for."""
        self.lines.setdefault(bucket_of(of), Sums()).add(told)
        self.days.setdefault(of.at[:10], Sums()).add(told)


def counted(call: Call) -> Sums:
    """What a recorded call counts for."""
    if call.repeats is not None:
        return Sums(repeats=int(call.family is None), units=call.units)
    keys = len(call.keys) or int(call.key is not None)
    return Sums(int(call.family is None), int(call.family is not None), 0, call.units, keys)


def bucket_of(of: Call | Receipt) -> Bucket:
    """Which line a call belongs to."""
    return subject_of(of) or "", of.operation, of.grant or "", of.matter or "", of.status


def subject_of(of: Call | Receipt) -> str | None:
    """What the call was about: a library or a resource."""
    return of.library or of.resource


@dataclass(frozen=True, slots=True)
class Line:
    """Calls alike in all but their day; `price` of a unit and `amount` are decimals, null where nothing is charged."""

    subject: str | None
    operation: str
    grant: str | None
    matter: str | None
    status: int
    calls: int
    parts: int
    repeats: int
    units: int
    keys: int
    price: str | None = None
    amount: str | None = None

    @property
    def bucket(self) -> Bucket:
        """The same as calls are summed by."""
        return self.subject or "", self.operation, self.grant or "", self.matter or "", self.status


@dataclass(frozen=True, slots=True)
class Day:
    """The statement's calls of one day, ISO 8601."""

    day: str
    calls: int
    parts: int
    repeats: int
    units: int
    keys: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """The seal of a day whose records the statement was made from: all calls of that day, and their Merkle root."""

    day: str
    calls: int
    root: str


@dataclass(frozen=True, slots=True)
class Statement:
    """What `consumer` asked of `provider` (`PLATFORM`: of nobody else) in a month, `2026-01`, as made `at` ISO 8601.

    `subjects` are the libraries and resources that were the provider's. `final`: no call of the month can follow, and
    all its days are sealed. `amount` is the sum of the lines', in `currency`.
    """

    version: int
    month: str
    consumer: str
    provider: str
    at: str
    final: bool
    currency: str | None
    subjects: tuple[str, ...]
    lines: tuple[Line, ...]
    days: tuple[Day, ...]
    seals: tuple[Sealed, ...]
    calls: int
    parts: int
    repeats: int
    units: int
    keys: int
    amount: str | None = None

    def covers(self, subject: str | None) -> bool:
        """Whether a call about that belongs to this statement, its department and month being the same."""
        return subject in self.subjects or (subject is None and self.provider == PLATFORM)


@dataclass(frozen=True, slots=True)
class Head:
    """What a statement is about, before its calls."""

    month: str
    consumer: str
    provider: str
    at: str
    final: bool
    subjects: frozenset[str]


def drawn_up(head: Head, sheet: Sheet, seals: Iterable[Sealed], tariff: Tariff | None) -> Statement:
    """The statement over a sheet of calls, its lines and days in order."""
    lines = [_line(bucket, sums, head.month, tariff) for bucket, sums in sorted(sheet.lines.items())]
    days = [Day(day, **asdict(sums)) for day, sums in sorted(sheet.days.items())]
    whole = Sums()
    for one in lines:
        whole.add(sums_of(one))
    known = head.subjects | {one.subject for one in lines if one.subject}
    return Statement(
        VERSION, head.month, head.consumer, head.provider, head.at, head.final,
        tariff.currency if tariff is not None else None, tuple(sorted(known)), tuple(lines), tuple(days), tuple(seals),
        **asdict(whole), amount=owed(lines),
    )  # fmt: skip


def sums_of(one: Line | Day | Statement) -> Sums:
    """The counts of a line, a day or the whole."""
    return Sums(one.calls, one.parts, one.repeats, one.units, one.keys)


def owed(lines: Sequence[Line]) -> str | None:
    """The sum of the lines' amounts; None where no line has one."""
    amounts = [Decimal(one.amount) for one in lines if one.amount is not None]
    return str(sum(amounts, Decimal("0.00"))) if amounts else None


def canonical(statement: Statement) -> bytes:
    """The statement as it is hashed: JSON with sorted names and no blanks, as RFC 8785 writes it."""
    return orjson.dumps(asdict(statement), option=orjson.OPT_SORT_KEYS)


def statement_of(told: object) -> Statement:
    """The statement that JSON tells. Raises StatementError (SHR-STATEMENT-FORM)."""
    try:
        if not isinstance(told, dict) or told["version"] != VERSION:
            raise no_statement()
        parts = {"lines": Line, "days": Day, "seals": Sealed}
        rows = {name: tuple(_row(kind, one) for one in told[name]) for name, kind in parts.items()}
        known = {one.name: told[one.name] for one in fields(Statement)}
        return Statement(**(known | rows | {"subjects": tuple(told["subjects"])}))
    except (TypeError, KeyError) as error:
        raise no_statement() from error


def _row(kind: type[Line | Day | Sealed], told: Mapping[str, object]) -> Line | Day | Sealed:
    return kind(**told)  # type: ignore[arg-type]  # signed by us: as we wrote it


def _line(bucket: Bucket, sums: Sums, month: str, tariff: Tariff | None) -> Line:
    subject, operation, grant, matter, status = bucket
    per_unit = tariff.price(subject or None, operation, month) if tariff is not None else None
    return Line(
        subject or None, operation, grant or None, matter or None, status, **asdict(sums),
        price=str(per_unit) if per_unit is not None else None,
        amount=str(amount(sums.units, per_unit)) if per_unit is not None else None,
    )  # fmt: skip
