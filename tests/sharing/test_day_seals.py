"""A day's seal: the root over its records, proofs that a receipt is under it, and what is found when it is not."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharing import day_seals, merkle, meter
from sharing.calls import Call
from sharing.day_seals import FILE, DaySeals, check_proof
from sharing.ledger import Ledger
from sharing.meter import Meter
from sharing.receipt_keys import ReceiptKeys
from sharing.receipt_refusals import ReceiptError
from sharing.receipts import Receipt, receipt_of

DAYS = ("2026-01-30", "2026-01-31")


@pytest.fixture
def sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, DaySeals, ReceiptKeys, list[Receipt]]:
    """Two days of five calls each, over several segments, and their seals."""
    receipts = []
    for day in DAYS:
        monkeypatch.setattr(meter, "today", lambda day=day: day)
        writer = Meter(tmp_path, 1 << 12)
        for _ in range(5):
            call = Call.begin()
            call.department = "tax"
            receipts.append(receipt_of(call, asyncio.run(writer.record(call)), None, b"a" * 32))
        writer.close()
    keys = ReceiptKeys(tmp_path / "receipt-keys.json", b"s" * 32)
    seals = DaySeals(tmp_path, Ledger(tmp_path), keys)
    assert [(one.day, one.calls) for one in seals.seal()] == [(day, 5) for day in DAYS]
    return tmp_path, seals, keys, receipts


@given(entries=st.lists(st.binary(max_size=4), min_size=1, max_size=40), data=st.data())
def test_every_entry_has_a_proof_and_nothing_else_has(entries: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(entries) - 1))
    root, path = merkle.root(entries), merkle.path(entries, index)
    assert merkle.root_of(entries[index], index, len(entries), path) == root
    assert merkle.root_of(entries[index] + b"x", index, len(entries), path) != root
    assert merkle.root_of(entries[index], index, len(entries), [*path, b"x"]) is None
    assert merkle.root_of(entries[index], len(entries), len(entries), path) is None
    if path:
        assert merkle.root_of(entries[index], index, len(entries), path[1:]) != root


def test_roots_are_those_of_rfc_6962() -> None:
    def spelled(entries: list[bytes]) -> bytes:
        if len(entries) == 1:
            return hashlib.sha256(b"\0" + entries[0]).digest()
        half = 1 << (len(entries) - 1).bit_length() - 1
        return hashlib.sha256(b"\1" + spelled(entries[:half]) + spelled(entries[half:])).digest()

    assert merkle.root([]) == hashlib.sha256(b"").digest()
    for size in range(1, 20):
        entries = [bytes([at]) * 3 for at in range(size)]
        assert merkle.root(entries) == spelled(entries)


def test_each_receipt_is_proven_under_its_day_and_no_other(sealed) -> None:
    _, seals, keys, receipts = sealed
    for at, receipt in enumerate(receipts):
        proof = seals.prove(receipt)
        assert check_proof(receipt, proof, keys.public()).day == DAYS[at // 5]
        for false in (replace(proof, index=(proof.index + 1) % 5), replace(proof, seal=seals.lines()[1 - at // 5])):
            with pytest.raises(ReceiptError, match="SHR-RECEIPT-UNPROVEN"):
                check_proof(receipt, false, keys.public())
    with pytest.raises(ReceiptError, match="SHR-RECEIPT-UNPROVEN"):
        check_proof(receipts[0], seals.prove(receipts[1]), keys.public())


def test_sealing_again_changes_nothing_and_today_is_not_sealed(sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, seals, _, receipts = sealed
    before = (folder / FILE).read_bytes()
    assert seals.seal() == []
    assert (folder / FILE).read_bytes() == before
    assert seals.verify() == []
    (folder / FILE).unlink()
    monkeypatch.setattr(day_seals, "today", lambda: DAYS[1])
    assert [one.day for one in seals.seal()] == [DAYS[0]]
    with pytest.raises(ReceiptError, match="SHR-RECEIPT-UNPROVEN"):
        seals.prove(receipts[-1])


@pytest.mark.parametrize("harm", ["a bit", "a file", "the order", "a seal", "a signature"])
def test_what_was_changed_after_the_seal_is_found(sealed, harm: str) -> None:
    folder, seals, _, receipts = sealed
    lines = list(seals.lines())
    path = folder / receipts[2].segment
    if harm == "a bit":
        content = bytearray(path.read_bytes())
        content[content.index(receipts[2].id.encode())] ^= 1
        path.write_bytes(content)
    elif harm == "a file":
        path.unlink()
    elif harm == "a signature":
        lines[0] = lines[0][:-9] + ("A" if lines[0][-9] != "A" else "B") + lines[0][-8:]
    else:
        lines = lines[::-1] if harm == "the order" else lines[1:]
    (folder / FILE).write_text("\n".join(lines) + "\n")
    kinds = [one.kind for one in seals.verify()]
    assert kinds[0] == ("unlike" if harm in {"a bit", "a file"} else "forged")
