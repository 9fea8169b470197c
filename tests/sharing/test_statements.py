"""Statements: every call is on one line of one of them, and ledger, statement and receipts are held side by side."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from books_town import FIRM, PROVIDERS, books, called, keys_of, on, record
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import StandardError
from sharing.ledger import Ledger
from sharing.receipts import Receipt
from sharing.statement_check import adds_up, against_ledger, against_receipts
from sharing.statement_forms import form
from sharing.statement_refusals import StatementError
from sharing.statement_shelf import Shelf
from sharing.statement_values import Statement
from sharing.statements import Books, make, read, read_month, signed
from sharing.tariff import Price, Tariff, amount, read_tariff

MONTH = "2026-01"
TARIFF = Tariff("CNY", (Price(Decimal("0.05"), "legal_person"), Price(Decimal("0.015"), None, "batch")))


@pytest.fixture(scope="module")
def january(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Receipt]]:
    """Three days of calls of several kinds, one of them recorded after midnight of the last day of the month."""
    folder, receipts = tmp_path_factory.mktemp("meter"), []
    with pytest.MonkeyPatch.context() as patch:
        first = called("2026-01-30", 1, client_id="a")
        days = {
            "2026-01-30": [
                first,
                *(called("2026-01-30", n) for n in range(2, 9)),
                called("2026-01-30", 9, client_id="a", repeats=first.id, units=0),
                called("2026-01-30", 10, department="bank", status=403, units=0, grant=None, matter=None),
                called("2026-01-30", 11, department=None, library=None, status=401, units=0, key=None),
            ],
            "2026-01-31": [
                called("2026-01-31", 1, operation="batch", units=40, key=None, keys=[FIRM] * 40),
                called("2026-01-31", 2, library="population", key="hmac:" + "0" * 64),
                called("2026-01-31", 3, operation="usage", library=None, grant=None, matter=None, units=0, key=None),
                called("2026-01-31", 4, library=None, resource="permits"),
                called("2026-01-31", 5, operation="profile", library=None, units=0),
                called("2026-01-31", 5, operation="profile", family="a", units=2),
                called("2026-01-31", 5, operation="profile", family="a", library="population"),
            ],
            "2026-02-01": [called("2026-01-31", 23), called("2026-02-01", 1)],
        }
        for day, calls in days.items():
            on(patch, day)
            receipts += record(folder, calls)
    return folder, receipts


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, "2026-02-02")


def of(made: list[Statement], consumer: str = "tax", provider: str = "market") -> Statement:
    return next(one for one in made if (one.consumer, one.provider) == (consumer, provider))


def test_every_call_of_a_known_department_is_on_one_line_of_one_statement(january, later) -> None:
    made = make(books(january[0]), MONTH)
    assert [(one.consumer, one.provider) for one in made] == [
        ("bank", "market"), ("tax", ""), ("tax", "market"), ("tax", "police"),
    ]  # fmt: skip
    calls = [one for one in Ledger(january[0]).records() if one.department and one.day < "2026-02"]
    assert sum(one.calls + one.repeats + one.parts for one in made) == len(calls)
    assert sum(one.units for one in made) == sum(one.units for one in calls)
    market = of(made)
    assert (market.calls, market.repeats, market.parts, market.units, market.keys) == (11, 1, 1, 52, 51)
    assert [one.day for one in market.days] == ["2026-01-30", "2026-01-31"]
    assert [one.day for one in market.seals] == ["2026-01-30", "2026-01-31", "2026-02-01"]
    assert market.subjects == ("legal_person", "permits")
    assert all(one.final and adds_up(one) == [] for one in made)


def test_a_statement_is_what_was_signed_and_nothing_else(january, later) -> None:
    folder, _ = january
    keys = keys_of(folder)
    statement = of(make(books(folder, tariff=TARIFF), MONTH))
    content = signed(statement, keys.signer())
    assert read(content, keys.public()) == statement
    told = orjson.loads(content)
    for name in ("units", "calls", "month", "amount"):
        other = orjson.dumps(told | {"statement": told["statement"] | {name: "1"}})
        with pytest.raises(StatementError, match="SHR-STATEMENT-FORGED"):
            read(other, keys.public())
    for bad in (
        b"",
        b"{}",
        b"[]",
        orjson.dumps(told | {"statement": {"version": 1}}),
        orjson.dumps(told | {"statement": 1}),
    ):
        with pytest.raises(StatementError, match="SHR-STATEMENT-FORM"):
            read(bad, keys.public())


def test_ledger_and_statement_agree_and_each_difference_is_named(january, later) -> None:
    book = books(january[0], tariff=TARIFF)
    statement = of(make(book, MONTH))
    assert against_ledger(statement, book) == []
    first, *rest = statement.lines
    more = replace(statement, lines=(replace(first, calls=first.calls + 1), *rest))
    assert [(one.kind, one.bucket) for one in against_ledger(more, book)] == [("line", first.bucket)]
    assert [one.kind for one in adds_up(more)] == ["sums"]
    assert {one.kind for one in against_ledger(replace(statement, days=statement.days[:1]), book)} == {"days"}
    assert [
        one.kind for one in against_ledger(replace(statement, seals=(replace(statement.seals[0], root="0"),)), book)
    ] == ["seals"]
    assert [one.kind for one in against_ledger(replace(statement, consumer="nobody"), book)] == ["gone"]
    dear = replace(statement, lines=(replace(first, amount="9.99"), *rest))
    assert [one.kind for one in adds_up(dear)] == ["price"]


def test_receipts_add_up_to_the_statement_and_prove_what_it_leaves_out(january, later) -> None:
    folder, receipts = january
    statement = of(make(books(folder), MONTH))
    whole = against_receipts(statement, [one for one in receipts if one.operation != "profile"] * 2)
    assert (whole.proven, whole.differences, whole.sound) == (11, (), True)
    assert whole.elsewhere == 2 * 5
    lost = [one for one in receipts if one.operation not in {"batch", "profile"}]
    found = against_receipts(statement, lost)
    assert [one.kind for one in found.differences] == ["unreceived"]
    assert found.sound
    short = replace(statement, lines=statement.lines[1:])
    left_out = against_receipts(short, [one for one in receipts if one.operation != "profile"])
    assert ([one.kind for one in left_out.differences], left_out.sound) == (["unstated"], False)


def test_a_receipt_of_a_repeat_proves_the_call_whose_answer_was_lost(january, later) -> None:
    folder, receipts = january
    statement = of(make(books(folder), MONTH))
    repeat = next(one for one in receipts if one.repeats)
    held = [one for one in receipts if one.id != repeat.repeats and one.operation != "profile"]
    found = against_receipts(statement, held)
    assert found.proven == 11
    assert [(one.kind, "units: stated 9, receipts 8" in one.en) for one in found.differences] == [("unreceived", True)]


def test_a_month_is_final_once_it_is_over_and_sealed(january, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder, _ = january
    on(monkeypatch, "2026-02-02")
    book = books(folder)
    keys, shelf = keys_of(folder), Shelf(tmp_path)
    early = make(replace(book, seals=book.seals[:-1]), MONTH)
    assert not any(one.final for one in early)
    with pytest.raises(StatementError, match="SHR-STATEMENT-EARLY"):
        shelf.issue(early[0], keys.signer())
    made = make(book, MONTH)
    assert [shelf.issue(one, keys.signer()) for one in made] == [True] * 4
    assert [shelf.issue(one, keys.signer()) for one in make(book, MONTH)] == [False] * 4
    kept = [read(one, keys.public()) for one in shelf.of(MONTH, "tax")]
    assert kept == [one for one in made if one.consumer == "tax"]
    assert [read(one, keys.public()).consumer for one in shelf.of(MONTH, "market")] == ["bank", "tax"]
    with pytest.raises(StatementError, match="SHR-STATEMENT-DIFFERS"):
        shelf.issue(replace(made[0], calls=7), keys.signer())
    assert shelf.of(MONTH, "school") == []
    for month in ("2026-13", "2026-1", "x", "2026-03"):
        with pytest.raises(StatementError, match="SHR-STATEMENT-MONTH"):
            read_month(month)


def test_no_statement_is_made_of_records_that_are_not_those_sealed(january, later) -> None:
    book = books(january[0])
    false = [replace(one, root="0" * 64) for one in book.seals]
    with pytest.raises(StatementError, match="SHR-STATEMENT-RECORDS"):
        make(replace(book, seals=false), MONTH)
    gone = replace(book, ledger=Ledger(january[0] / "elsewhere"))
    with pytest.raises(StatementError, match="SHR-STATEMENT-RECORDS"):
        make(gone, MONTH)


def test_amounts_are_units_times_the_price_that_names_most(january, later) -> None:
    statement = of(make(books(january[0], tariff=TARIFF), MONTH))
    prices = {(one.subject, one.operation): (one.price, one.amount) for one in statement.lines}
    assert prices == {
        ("legal_person", "get"): ("0.05", "0.45"), ("legal_person", "batch"): ("0.05", "2.00"),
        ("legal_person", "profile"): ("0.05", "0.10"), ("permits", "get"): (None, None),
    }  # fmt: skip
    assert (statement.amount, statement.currency) == ("2.55", "CNY")
    newer = replace(TARIFF, prices=(*TARIFF.prices, Price(Decimal(1), "legal_person", since="2026-02")))
    assert newer.price("legal_person", "get", "2026-01") == Decimal("0.05")
    assert newer.price("legal_person", "get", "2026-02") == 1
    assert newer.price("population", "batch", "2026-02") == Decimal("0.015")
    assert newer.price(None, "usage", "2026-02") is None
    assert amount(3, Decimal("0.015")) == Decimal("0.05")


def test_a_tariff_is_read_and_its_mistakes_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "tariff.yaml"
    assert read_tariff(file) is None
    head = "currency: CNY\nprices:\n"
    file.write_text(
        head + "  - {resource: legal_person, operation: get, per_unit: 0.05, from: 2026-01}\n  - {per_unit: 0}\n"
    )
    assert read_tariff(file) == Tariff(
        "CNY", (Price(Decimal("0.05"), "legal_person", "get", "2026-01"), Price(Decimal(0)))
    )
    for wrong in ("  - {per_unit: free}", "  - {per_unit: -1}", "  - {per_unit: 0.0000001}", "  - {per_unit: nan}",
                  "  - {per_unit: 1, from: 2026}", "  - {per_unit: 1, of: x}", "  - {per_unit: 1}\n  - {per_unit: 2}"):  # fmt: skip
        file.write_text(head + wrong)
        with pytest.raises(StandardError, match=r"tariff\.yaml:"):
            read_tariff(file)
    file.write_text("currency: 元\nprices: []\n")
    with pytest.raises(StandardError, match=r"tariff\.yaml:1"):
        read_tariff(file)


def test_csv_xlsx_and_pdf_say_what_the_statement_says(january, later) -> None:
    from openpyxl import load_workbook
    from pypdfium2 import PdfDocument

    statement = of(make(books(january[0], tariff=TARIFF), MONTH))
    text = form(statement, "csv", "en").decode("utf-8-sig")
    assert len(text.splitlines()) == 1 + len(statement.lines)
    assert ",0.05,0.45" in text
    book = load_workbook(io.BytesIO(form(statement, "xlsx", "zh", {"tax": "税务局", "market": "市场监管局"}.get)))
    assert len(book.sheetnames) == 4
    assert [row[0].value for row in book.worksheets[3].iter_rows(min_row=2)] == [one.day for one in statement.seals]
    assert book.worksheets[0]["B2"].value == "税务局"
    assert sum(row[5].value for row in book.worksheets[1].iter_rows(min_row=2)) == statement.calls
    with PdfDocument(form(statement, "pdf", "zh")) as document:
        said = document[0].get_textpage().get_text_bounded()
    assert all(word in said for word in ("2026-01", "legal_person", "2.55 CNY"))


@settings(max_examples=10, deadline=timedelta(seconds=20))
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(["tax", "bank", None]), st.sampled_from([*PROVIDERS, None, "gone"]),
                  st.sampled_from([200, 404, 429]), st.integers(0, 3), st.booleans()),
        max_size=30,
    )
)  # fmt: skip
def test_whatever_was_called_the_statements_hold_all_of_it_once(tmp_path_factory, calls) -> None:
    folder = tmp_path_factory.mktemp("any")
    with pytest.MonkeyPatch.context() as patch:
        on(patch, "2026-01-30")
        asked = [
            called(
                "2026-01-30",
                n,
                department=who,
                library=about,
                status=status,
                units=units,
                repeats="x" if again else None,
            )
            for n, (who, about, status, units, again) in enumerate(calls)
        ]
        receipts = record(folder, asked, size=1 << 13)
        on(patch, "2026-02-02")
        book: Books = books(folder)
        made = make(book, MONTH)
    known = [one for one in asked if one.department]
    assert sum(one.calls + one.repeats for one in made) == len(known)
    assert Counter(one.department for one in known) == Counter(
        {who: sum(s.calls + s.repeats for s in made if s.consumer == who) for who in {one.department for one in known}}
    )
    assert all(adds_up(one) == [] for one in made)
    firsts = [one for one in receipts if one.repeats is None]
    assert sum(against_receipts(one, firsts).proven for one in made) == sum(one.calls for one in made)
    assert all(against_receipts(one, firsts).sound for one in made)


def test_a_department_is_given_the_statements_it_is_a_party_to_and_no_others(town, january, later) -> None:
    path = f"/v1/statements/{MONTH}"
    keys = keys_of(january[0])
    for one in make(books(january[0]), MONTH):
        Shelf(town.config.meter).issue(one, keys.signer())
    told = town.ask(path, "tax").json()
    assert [one["statement"]["provider"] for one in told["statements"]] == ["", "market", "police"]
    assert [read(orjson.dumps(one), keys.public()).consumer for one in told["statements"]] == ["tax"] * 3
    assert [one["statement"]["consumer"] for one in town.ask(path, "bank").json()["statements"]] == ["bank"]
    for who, status, code in (
        (None, 401, "SHR-NO-KEY"),
        ("st_wrong", 401, "SHR-WRONG-KEY"),
        ("school", 404, "SHR-STATEMENT-NONE"),
    ):
        answer = town.ask(path, who)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert town.ask("/v1/statements/2026-00", "tax").json()["code"] == "SHR-STATEMENT-MONTH"
    assert town.ask("/v1/statements/..%2F..", "tax").status_code in {404, 422}
    assert {call.operation for call in town.calls() if call.department} == {"statements", "unknown"}
