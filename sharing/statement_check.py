"""Hold a statement against its own sums, against the ledger, and against the receipts of whoever asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Literal

from sharing.receipts import Receipt
from sharing.statement_values import Bucket, Line, Sheet, Statement, Sums, owed, subject_of, sums_of
from sharing.statements import Books, make
from sharing.tariff import amount

Kind = Literal["sums", "price", "line", "days", "seals", "gone", "unstated", "unreceived"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a statement and what it is held against part; `bucket` says which line, where it is about one.

    `sums`, `price`: it does not add up. `line`, `days`, `seals`, `gone`: the ledger says otherwise. `unstated`:
    receipts prove more than it states; `unreceived`: it states more than there are receipts of, as where answers were
    lost.
    """

    kind: Kind
    zh: str
    en: str
    bucket: Bucket | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A statement beside receipts: how many calls these prove, how many receipts were of other statements."""

    proven: int
    elsewhere: int
    differences: tuple[Difference, ...]

    @property
    def sound(self) -> bool:
        """True when the receipts prove nothing that is not stated."""
        return all(one.kind == "unreceived" for one in self.differences)


def adds_up(statement: Statement) -> Sequence[Difference]:
    """What is wrong with the sums of a statement, without looking anywhere else."""
    found: list[Difference] = []
    whole = sums_of(statement)
    for name, rows in (("lines", statement.lines), ("days", statement.days)):
        sums = Sums()
        for row in rows:
            sums.add(sums_of(row))
        if sums != whole:
            found.append(
                Difference("sums", f"合计与各行（{name}）之和不符", f"the totals are not the sums of its {name}")
            )
    found += [
        Difference(
            "price",
            f"{_named(one)}：金额不等于计量乘单价",
            f"{_named(one)}: amount is not units times price",
            one.bucket,
        )
        for one in statement.lines
        if not _priced(one)
    ]
    if not found and owed(statement.lines) != statement.amount:
        found.append(Difference("price", "总金额与各行之和不符", "the amount is not the sum of the lines'"))
    return found


def against_ledger(statement: Statement, books: Books) -> Sequence[Difference]:
    """Where the ledger says otherwise, the prices of the statement taken as they are. Raises what `make` does."""
    pair = (statement.consumer, statement.provider)
    now = next((one for one in make(replace(books, tariff=None), statement.month)
                if (one.consumer, one.provider) == pair), None)  # fmt: skip
    if now is None:
        return [Difference("gone", "调用记录中没有这些调用", "the records have no such calls")]
    ours, theirs = ({one.bucket: sums_of(one) for one in side.lines} for side in (now, statement))
    found = [
        Difference(
            "line",
            f"{_shown(bucket)}：对账单 {_told(theirs, bucket)}，记录 {_told(ours, bucket)}",
            f"{_shown(bucket)}: stated {_told(theirs, bucket)}, recorded {_told(ours, bucket)}",
            bucket,
        )
        for bucket in sorted({*ours, *theirs})
        if ours.get(bucket) != theirs.get(bucket)
    ]
    if now.days != statement.days:
        days = ", ".join(sorted({one.day for one in {*now.days} ^ {*statement.days}}))
        found.append(
            Difference("days", f"按日的合计与记录不符：{days}", f"the sums by day are not the records': {days}")
        )
    if not {*statement.seals} <= {*now.seals}:
        found.append(Difference("seals", "所列封条与平台的封条不符", "its seals are not the platform's"))
    return found


def against_receipts(statement: Statement, receipts: Iterable[Receipt]) -> Comparison:
    """The statement beside receipts that were checked; nothing is read from anywhere.

    A receipt counts once however often it is there. One of a repeat proves the call it repeats, whose own answer was
    lost; what that call cost is not known then. Parts of a call have no receipts, so lines of parts are left out.
    """
    unique: dict[str, Receipt] = {}
    elsewhere = 0
    for one in receipts:
        mine = one.department == statement.consumer and one.at[:7] == statement.month
        if mine and statement.covers(subject_of(one)):
            unique[one.id] = one
        else:
            elsewhere += 1
    sheet, known = Sheet(), {one.id for one in unique.values() if one.repeats is None}
    for one in unique.values():
        first = one.repeats is None
        sheet.add(one, Sums(int(first), 0, int(not first), one.units, one.keys if first else 0))
        if one.repeats is not None and one.repeats not in known:
            known.add(one.repeats)
            sheet.add(one, Sums(1, keys=one.keys))
    stated = {one.bucket: sums_of(one) for one in statement.lines if one.calls or not one.parts}
    found = [
        difference
        for bucket in sorted({*stated, *sheet.lines})
        for difference in _beside(bucket, stated.get(bucket, Sums()), sheet.lines.get(bucket, Sums()))
    ]
    return Comparison(len(known), elsewhere, tuple(found))


def _beside(bucket: Bucket, stated: Sums, held: Sums) -> Sequence[Difference]:
    pairs = [(name, asdict(stated)[name], asdict(held)[name]) for name in _WORDS]
    sides: Mapping[Kind, Sequence[tuple[str, int, int]]] = {
        "unstated": [one for one in pairs if one[2] > one[1]],
        "unreceived": [one for one in pairs if one[2] < one[1]],
    }
    found = []
    for kind, parted in sides.items():
        if parted:
            zh = "，".join(f"{_WORDS[name]}：对账单 {ours}，回执 {theirs}" for name, ours, theirs in parted)
            en = ", ".join(f"{name}: stated {ours}, receipts {theirs}" for name, ours, theirs in parted)
            found.append(Difference(kind, f"{_shown(bucket)}：{zh}", f"{_shown(bucket)}: {en}", bucket))
    return found


_WORDS = {"calls": "次数", "units": "计量", "keys": "键数"}


def _told(side: dict[Bucket, Sums], bucket: Bucket) -> str:
    sums = side.get(bucket, Sums())
    return "/".join(str(value) for value in asdict(sums).values())


def _named(line: Line) -> str:
    return _shown(line.bucket)


def _shown(bucket: Bucket) -> str:
    return " ".join(str(part) for part in bucket if part != "")


def _priced(line: Line) -> bool:
    if line.price is None or line.amount is None:
        return line.price is line.amount
    try:
        return str(amount(line.units, Decimal(line.price))) == line.amount
    except InvalidOperation:
        return False
