"""Seal the call records of each day that is over: one signed Merkle root a day, each naming the one before it."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sharing import merkle
from sharing.calls import SHANGHAI, today
from sharing.ledger import Finding, Ledger
from sharing.receipt_keys import ReceiptKeys
from sharing.receipt_refusals import ReceiptError, unproven
from sharing.receipts import PublicKeys, Receipt, opened, stated

FILE: Final = "days.seals"  # a signed statement a line, for good
TYPE: Final = "shutong-day"


@dataclass(frozen=True, slots=True)
class DaySeal:
    """What the platform states of a day, ISO 8601: how many calls were recorded, the root over their chain values.

    The calls are in the order of their segments' names; `root` is as RFC 6962 hashes it, `previous` the SHA-256 of the
    statement before, both in hexadecimal. `at` is when it was made.
    """

    day: str
    at: str
    calls: int
    root: str
    previous: str


@dataclass(frozen=True, slots=True)
class Proof:
    """That a record is under a day's root: the signed statement, the record's place, the hashes beside its way up."""

    seal: str
    index: int
    path: tuple[str, ...]


class DaySeals:
    """The seals of a meter folder. A day can be sealed when it is over: a worker that goes on begins a new segment."""

    def __init__(self, folder: Path, ledger: Ledger, keys: ReceiptKeys) -> None:
        self._file, self._ledger, self._keys = folder / FILE, ledger, keys

    def lines(self) -> Sequence[str]:
        """The signed statements, the oldest first."""
        return self._file.read_text("ascii").split() if self._file.exists() else []

    def seals(self) -> Sequence[DaySeal]:
        """What the statements say, the oldest first. Raises ReceiptError for one that this platform did not sign."""
        public = self._keys.public()
        return [_read(line, public) for line in self.lines()]

    def seal(self) -> Sequence[DaySeal]:
        """Seal every day that is over and has none yet; those sealed now. Raises OSError, ReceiptError."""
        made: list[DaySeal] = []
        with self._file.open("a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = list(self.lines())
            public = self._keys.public()
            sealed = {_read(line, public).day for line in lines}
            for day in self._ledger.days():
                if day in sealed or day >= today():
                    continue
                values = [chain for _, _, chain in self._ledger.chain_values(day)]
                seal = DaySeal(day, datetime.now(SHANGHAI).isoformat(), len(values), merkle.root(values).hex(),
                               _hash(lines[-1]) if lines else "")  # fmt: skip
                lines.append(stated(asdict(seal), TYPE, self._keys.signer()))
                file.write(lines[-1] + "\n")
                file.flush()
                os.fsync(file.fileno())
                made.append(seal)
        return made

    def verify(self) -> Sequence[Finding]:
        """What is wrong: a statement that we did not sign, or not in this order; a day whose records changed."""
        findings: list[Finding] = []
        public, before = self._keys.public(), ""
        for number, line in enumerate(self.lines()):
            try:
                seal = _read(line, public)
            except ReceiptError:
                seal = None
            if seal is None or seal.previous != before:
                findings.append(
                    Finding(
                        FILE,
                        "forged",
                        number,
                        f"第 {number} 条封条不是本平台签署，或顺序被改动",
                        f"seal {number} was not signed by this platform, or the order was changed",
                    )
                )
            elif merkle.root([chain for _, _, chain in self._ledger.chain_values(seal.day)]).hex() != seal.root:
                findings.append(
                    Finding(
                        FILE,
                        "unlike",
                        number,
                        f"{seal.day} 的记录与当日封条不符（封存 {seal.calls} 次调用）",
                        f"the records of {seal.day} are not those that were sealed ({seal.calls} calls)",
                    )
                )
            before = _hash(line)
        return findings

    def prove(self, receipt: Receipt) -> Proof:
        """That the record of a receipt is under the root of its day. Raises ReceiptError (SHR-RECEIPT-UNPROVEN)."""
        day = f"{receipt.segment[:4]}-{receipt.segment[4:6]}-{receipt.segment[6:8]}"
        public = self._keys.public()
        line = next((line for line in self.lines() if _read(line, public).day == day), None)
        entries = list(self._ledger.chain_values(day))
        index = next((at for at, one in enumerate(entries) if one[:2] == (receipt.segment, receipt.record)), None)
        if line is None or index is None:
            raise unproven()
        path = merkle.path([chain for _, _, chain in entries], index)
        return Proof(line, index, tuple(one.hex() for one in path))


def check_proof(receipt: Receipt, proof: Proof, keys: PublicKeys) -> DaySeal:
    """The seal under which the record of a receipt lies; nothing is read from anywhere.

    Raises ReceiptError: SHR-RECEIPT-UNPROVEN, and as sharing.receipts.check does for the seal.
    """
    seal = _read(proof.seal, keys)
    chain = base64.urlsafe_b64decode(receipt.chain + "=" * (-len(receipt.chain) % 4))
    found = merkle.root_of(chain, proof.index, seal.calls, [bytes.fromhex(one) for one in proof.path])
    if found is None or found.hex() != seal.root:
        raise unproven()
    return seal


def _read(line: str, keys: PublicKeys) -> DaySeal:
    told: Mapping[str, object] = opened(line, TYPE, keys)
    return DaySeal(**told)  # type: ignore[arg-type]  # signed by us: as we wrote it


def _hash(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
