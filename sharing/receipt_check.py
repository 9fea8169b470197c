"""Hold a receipt against the call records: the platform's own side of a dispute about a call."""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace

from sharing.ledger import Ledger
from sharing.meter import Written
from sharing.receipt_refusals import unrecorded
from sharing.receipts import Receipt, receipt_of


def confirm(receipt: Receipt, ledger: Ledger, secret: bytes) -> None:
    """Raise ReceiptError (SHR-RECEIPT-RECORD) unless the ledger has that very record, unchanged and in that place.

    The records keep HMACs of the two hashes under the deployment's `secret`; they are compared too.
    """
    found = ledger.record(receipt.segment, receipt.record)
    if found is None:
        raise unrecorded(f"{receipt.segment} #{receipt.record}")
    call, chain = found
    told = receipt_of(call, Written(receipt.segment, receipt.record, chain), None, b"")
    kept = replace(told, request=receipt.request, answer=receipt.answer)
    differing = [name for name in Receipt.__slots__ if getattr(kept, name) != getattr(receipt, name)]
    hashes = {"request": (call.request, receipt.request), "answer": (call.answer, receipt.answer)}
    differing += [name for name, (ours, theirs) in hashes.items() if ours != _keyed(theirs, secret)]
    if differing:
        raise unrecorded(", ".join(differing))


def _keyed(told: str | None, secret: bytes) -> str | None:
    if told is None:
        return None
    raw = base64.urlsafe_b64decode(told + "=" * (-len(told) % 4))
    return hmac.digest(secret, raw, "sha256").hex()
