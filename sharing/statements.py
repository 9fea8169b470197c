"""Make the statements of a month from the ledger, sign them, and open what was signed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Final

import orjson

from sharing import merkle
from sharing.calls import SHANGHAI, today
from sharing.day_seals import DaySeal
from sharing.ledger import Ledger
from sharing.receipts import PublicKeys, Signer, opened, stated
from sharing.statement_refusals import bad_month, no_statement, not_signed, unlike_seal
from sharing.statement_values import (
    PLATFORM,
    Head,
    Sealed,
    Sheet,
    Statement,
    canonical,
    counted,
    drawn_up,
    statement_of,
    subject_of,
)
from sharing.tariff import Tariff

TYPE: Final = "shutong-statement"
_MONTH: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Books:
    """What statements are made from: the records, the days' seals, who provides what, and the prices if any.

    `providers` names a department for each library and resource, `PLATFORM` where none alone provides it.
    """

    ledger: Ledger
    seals: Sequence[DaySeal]
    providers: Mapping[str, str]
    tariff: Tariff | None = None


def read_month(text: str) -> str:
    """The month, `2026-01`, not after the present one. Raises StatementError (SHR-STATEMENT-MONTH)."""
    if not _MONTH.fullmatch(text) or text > today()[:7]:
        raise bad_month()
    return text


def make(books: Books, month: str) -> Sequence[Statement]:
    """The statements of a month, one per department that asked and department that was asked, in order.

    Every call of a known department is on exactly one line of one statement. Raises StatementError
    (SHR-STATEMENT-RECORDS) where the records of a sealed day are not those that were sealed.
    """
    known = {one.day: one for one in books.seals}
    days = [day for day in books.ledger.days() if f"{month}-01" <= day <= after(month)]
    sheets: dict[tuple[str, str], Sheet] = {}
    seals: list[Sealed] = []
    for day in sorted({*days, *(day for day in known if f"{month}-01" <= day <= after(month))}):
        chains = []
        for entry in books.ledger.entries(day):
            call = entry.call
            chains.append(entry.chain)
            # A call that began before midnight may have been recorded after it.
            if call.department and call.day[:7] == month:
                pair = call.department, books.providers.get(subject_of(call) or "", PLATFORM)
                sheets.setdefault(pair, Sheet()).add(call, counted(call))
        if day in known:
            if merkle.root(chains).hex() != known[day].root:
                raise unlike_seal(day)
            seals.append(Sealed(day, known[day].calls, known[day].root))
    final = today() > after(month) and {one.day for one in seals} >= set(days)
    at = datetime.now(SHANGHAI).isoformat()
    return [
        drawn_up(Head(month, *pair, at, final, _of(books, pair[1])), sheet, seals, books.tariff)
        for pair, sheet in sorted(sheets.items())
    ]


def after(month: str) -> str:
    """The first day of the next month, ISO 8601: the last in whose segments a call of the month can lie."""
    return ((date.fromisoformat(f"{month}-01") + timedelta(days=31)).replace(day=1)).isoformat()


def signed(statement: Statement, signer: Signer) -> bytes:
    """The statement with the platform's signature, as JSON: a JWS over its SHA-256 and what it is about."""
    told = _about(statement)
    content = {"statement": asdict(statement), "signature": stated(told, TYPE, signer)}
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read(content: bytes, keys: PublicKeys) -> Statement:
    """The statement, when one of the public `keys` (GET /v1/receipt-keys) signed it; nothing is read from anywhere.

    Raises StatementError SHR-STATEMENT-FORM, -FORGED, and ReceiptError as sharing.receipts.check does.
    """
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise no_statement() from error
    if not isinstance(told, dict) or not isinstance(told.get("signature"), str):
        raise no_statement()
    statement = statement_of(told.get("statement"))
    if opened(told["signature"], TYPE, keys) != _about(statement):
        raise not_signed()
    return statement


def _about(statement: Statement) -> Mapping[str, str]:
    said = {name: getattr(statement, name) for name in ("at", "month", "consumer", "provider")}
    return said | {"sha256": hashlib.sha256(canonical(statement)).hexdigest()}


def _of(books: Books, provider: str) -> frozenset[str]:
    return frozenset(subject for subject, one in books.providers.items() if one == provider)
