"""Call records of made-up departments, for tests of what is made from them: statements, counters, archives, looks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from sharing import day_seals, meter, statements
from sharing.calls import Call
from sharing.day_seals import DaySeals
from sharing.ledger import Archived, Ledger
from sharing.meter import Meter
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.receipts import Receipt, receipt_of
from sharing.statements import Books

SECRET = b"s" * 32
FIRM = "91330100MA2A0001XD"
PROVIDERS = {"legal_person": "market", "population": "police", "permits": "market", "everything": ""}


def on(monkeypatch: pytest.MonkeyPatch, day: str) -> None:
    """Let it be that day for the meter, the seals and the statements."""
    for module in (meter, day_seals, statements):
        monkeypatch.setattr(module, "today", lambda: day)


def called(day: str, number: int, **told: object) -> Call:
    """A call of the tax office about a firm, at a time of that day."""
    call = Call.begin()
    usual = {"at": f"{day}T{number % 24:02d}:{number % 60:02d}:00.000000+08:00", "department": "tax", "operation": "get",
             "library": "legal_person", "grant": "tax-firms", "matter": "税务登记", "status": 200, "units": 1,
             "key": FIRM}  # fmt: skip
    for name, value in (usual | told).items():
        setattr(call, name, value)
    return call


def record(folder: Path, calls: Sequence[Call], *, size: int = 1 << 14, close: bool = True) -> list[Receipt]:
    """Record the calls as one process would; their receipts."""
    writer = Meter(folder, size)

    async def run() -> list[Receipt]:
        written = await asyncio.gather(*map(writer.record, calls))
        return [receipt_of(*pair, b"r" * 32, b"a" * 32) for pair in zip(calls, written, strict=True)]

    found = asyncio.run(run())
    if close:
        writer.close()
    return found


def keys_of(folder: Path) -> ReceiptKeys:
    """The keys of a folder of records."""
    return ReceiptKeys(folder / FILE, SECRET)


def books(folder: Path, archived: Archived | None = None, **told: object) -> Books:
    """What statements are made from, sealed as far as days are over."""
    ledger = Ledger(folder, archived)
    seals = DaySeals(folder, ledger, keys_of(folder))
    seals.seal()
    return Books(ledger, seals.seals(), PROVIDERS, **told)
