"""Who looked 谁查过我: every answer about a person or a firm, except what may not be known yet; looking is recorded."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from schemas.lines import Node, read
from schemas.validators import scalar
from sharing.calls import Call, today
from sharing.ledger import Ledger
from sharing.looked_refusals import no_reason
from sharing.meter import Meter

FILE: Final = "looked.yaml"
LOOKED: Final = "looked"  # the operation of looking itself
BACK_DAYS: Final = 366
LONGEST: Final = 200  # characters of who looks, and why
_SEGMENT_BYTES: Final = 1 << 14
_ANSWERED, _UNCHANGED, _NO_RECORD = 200, 304, 404
_LONGEST_DELAY: Final = 3660  # days


@dataclass(frozen=True, slots=True)
class Delay:
    """Calls for matters that begin so are shown after that many days, as where somebody is under investigation."""

    matter: str
    days: int


@dataclass(frozen=True, slots=True)
class Look:
    """An answer somebody got about the subject, `at` ISO 8601; `department` is null where the platform itself looked.

    `found` says whether there was a record; `fields` what of it was told, `subject` from which library or resource.
    """

    id: str
    at: str
    department: str | None
    app: str | None
    operation: str
    subject: str | None
    matter: str | None
    basis: str | None
    case: str | None
    found: bool
    fields: tuple[str, ...]


class WhoLooked:
    """Answers who looked, for one deployment; `secret` is that under which the records have what is personal."""

    def __init__(self, folder: Path, ledger: Ledger, secret: bytes, delays: Sequence[Delay] = ()) -> None:
        self._folder, self._ledger, self._secret, self._delays = folder, ledger, secret, delays

    def look(self, key: str, by: str, why: str, since: str | None = None) -> Sequence[Look]:
        """Who got an answer about the person or firm with that key, the newest first, since a day (a year back).

        That `by` looked, and `why`, is in the call records before anything is told, for the next who asks. Raises
        LookedError (SHR-LOOKED-WHY) without a name and a reason, UnavailableError (SHR-METER).
        """
        if not all(0 < len(text.strip()) <= LONGEST for text in (by, why)):
            raise no_reason(LONGEST)
        marks = self._marks(key)
        self._record(marks[0], by.strip(), why.strip())
        first = since or (date.fromisoformat(today()) - timedelta(days=BACK_DAYS)).isoformat()
        calls = {
            call.id: call
            for mark in marks
            for call in self._ledger.records(first, holding=mark.encode())
            if mark == call.key or mark in call.keys
        }
        # A call of which there are parts is for no one matter: what may be known of it, its parts tell.
        whole = {call.family for call in calls.values()}
        found = [_look(call) for call in calls.values() if call.id not in whole and self._shown(call)]
        return sorted(found, key=lambda one: (one.at, one.id), reverse=True)

    def _shown(self, call: Call) -> bool:
        told = call.status in {_ANSWERED, _UNCHANGED} or (call.status == _NO_RECORD and call.grant is not None)
        matter = call.matter or call.matter_asked or ""
        fitting = [one for one in self._delays if matter.startswith(one.matter)]
        wait = max(fitting, key=lambda one: (len(one.matter), one.days)).days if fitting else 0
        return told and date.fromisoformat(call.day) + timedelta(days=wait) <= date.fromisoformat(today())

    def _marks(self, key: str) -> Sequence[str]:
        """How the records may have the key: in clear only where it surely is a firm's."""
        hidden = "hmac:" + hmac.digest(self._secret, key.encode("utf-8", "surrogatepass"), "sha256").hex()
        return (key, hidden) if scalar.valid("uscc", key, date.fromisoformat(today())) else (hidden,)

    def _record(self, mark: str, by: str, why: str) -> None:
        call = Call.begin()
        call.operation, call.key, call.app, call.basis, call.status = LOOKED, mark, by, why, _ANSWERED
        meter = Meter(self._folder, _SEGMENT_BYTES)
        try:
            asyncio.run(meter.record(call))
        finally:
            meter.close()


def read_delays(path: Path) -> Sequence[Delay]:
    """`looked.yaml` of a deployment: which matters show only later; none where there is no file. StandardError."""
    if not path.exists():
        return ()
    return tuple(_delay(one.only("matter", "days")) for one in read(path).only("delays").nodes("delays"))


def _delay(node: Node) -> Delay:
    days = node.integer("days")
    if not 1 <= days <= _LONGEST_DELAY:
        node.fail("days", zh=f"“days”应为 1 到 {_LONGEST_DELAY}", en=f"'days' should be 1 to {_LONGEST_DELAY}",
                  fix_zh="例如 days: 90", fix_en="For example days: 90")  # fmt: skip
    return Delay(node.text("matter"), days)


def _look(call: Call) -> Look:
    return Look(
        call.id, call.at, call.department, call.app, call.operation, call.library or call.resource, call.matter,
        call.basis, call.case, call.status != _NO_RECORD, tuple(call.names),
    )  # fmt: skip
