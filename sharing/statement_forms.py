"""A statement as people want it: CSV and XLSX for sums of their own, PDF to be printed and sealed."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.resources import files
from typing import Final, Literal

import orjson

from quality.reports.values import Language
from sharing.statement_values import PLATFORM, Line, Statement

Format = Literal["csv", "xlsx", "pdf"]
Names = Callable[[str], str]  # what a department, library or resource is called
_FORMULA: Final = ("=", "+", "-", "@", "\t")
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("数据共享调用对账单", "Statement of data-sharing calls"),
    "month": ("月份", "Month"),
    "consumer": ("使用部门", "Consumer"),
    "provider": ("提供部门", "Provider"),
    "platform": ("平台", "the platform"),
    "at": ("出具时间", "Made at"),
    "final": ("状态", "State"),
    "yes": ("正式", "final"),
    "no": ("截至出具时，未结束", "so far; the month or its seals are not complete"),
    "lines": ("明细", "Lines"),
    "days": ("按日", "By day"),
    "seals": ("每日封条", "Seals of days"),
    "totals": ("合计", "Total"),
    "subject": ("数据", "Data"),
    "operation": ("方式", "Operation"),
    "grant": ("授权", "Grant"),
    "matter": ("事项", "Matter"),
    "status": ("状态码", "Status"),
    "calls": ("次数", "Calls"),
    "parts": ("分项", "Parts"),
    "repeats": ("重发", "Repeats"),
    "units": ("计量", "Units"),
    "keys": ("键数", "Keys"),
    "price": ("单价", "Price"),
    "amount": ("金额", "Amount"),
    "day": ("日期", "Day"),
    "recorded": ("当日全部调用", "All calls of the day"),
    "root": ("默克尔根（SHA-256）", "Merkle root (SHA-256)"),
    "note": (
        "每次调用在应答发出前记账；同一编号的重发只计一次。凭回执可自行复算：shutong statement check。",
        "Each call is recorded before its answer leaves; repeats count once. Work it out: shutong statement check.",
    ),
}
_COLUMNS: Final = ("subject", "operation", "grant", "matter", "status", "calls", "parts", "repeats", "units", "keys")
_MONEY: Final = ("price", "amount")
_COUNTS: Final = ("calls", "parts", "repeats", "units", "keys")


def form(statement: Statement, kind: Format, lang: Language, names: Names = str) -> bytes:
    """The statement in a format; `names` says what departments and data are called.

    Raises QualityError QUA-REPORT-DRIVER where what PDF needs is not installed.
    """
    if kind == "csv":
        return _csv(statement, lang)
    return (_xlsx if kind == "xlsx" else _pdf)(statement, lang, names)


def _csv(statement: Statement, lang: Language) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    columns = _columns(statement)
    writer.writerow([say(one, lang) for one in ("month", "consumer", "provider", *columns)])
    parties = (statement.month, statement.consumer, statement.provider or say("platform", lang))
    for line in statement.lines:
        cells = [*parties, *(_text(line, one) for one in columns)]
        # A spreadsheet would take what begins like a formula for one.
        writer.writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return out.getvalue().encode("utf-8-sig")  # with its mark, by which Excel knows UTF-8


def _xlsx(statement: Statement, lang: Language, names: Names) -> bytes:
    from quality.reports.workbook import opened, writable

    out = io.BytesIO()
    with opened(out) as book:
        head = book.add_format({"bold": True, "bg_color": "#E8EDF5", "bottom": 1})
        text = book.add_format({"num_format": "@"})
        count, money = book.add_format({"num_format": "#,##0"}), book.add_format({"num_format": "#,##0.00####"})
        cover = book.add_worksheet(say("title", lang)[:31])
        cover.set_column(0, 0, 20)
        cover.set_column(1, 1, 60)
        for place, (label, value) in enumerate(_cover(statement, lang, names)):
            cover.write_string(place, 0, label, head)
            cover.write_string(place, 1, writable(value), text)
        for title, columns, rows in _tables(statement):
            sheet = book.add_worksheet(say(title, lang))
            sheet.freeze_panes(1, 0)
            for column, name in enumerate(columns):
                sheet.set_column(column, column, 70 if name == "root" else 14)
                sheet.write_string(0, column, say(name, lang), head)
            cells = ((line, column, cell) for line, row in enumerate(rows, 1) for column, cell in enumerate(row))
            for line, column, cell in cells:
                if isinstance(cell, int):
                    sheet.write_number(line, column, cell, count)
                elif cell and columns[column] in _MONEY:
                    sheet.write_number(line, column, float(cell), money)
                elif cell:
                    sheet.write_string(line, column, writable(cell), text)
    return out.getvalue()


def _pdf(statement: Statement, lang: Language, names: Names) -> bytes:
    from quality.reports.document import FONTS, compiler

    compiled, fonts = compiler()
    told = {
        "lang": lang,
        "fonts": FONTS,
        "title": say("title", lang),
        "cover": [{"label": label, "value": value} for label, value in _cover(statement, lang, names)],
        "note": say("note", lang),
        "tables": [_drawn(*one, lang) for one in _tables(statement)],
    }
    made: bytes = compiled(
        files("sharing").joinpath("statement.typ").read_bytes(),
        font_paths=fonts,
        sys_inputs={"statement": orjson.dumps(told).decode()},
        timestamp=datetime.fromisoformat(statement.at).replace(microsecond=0),
    )
    return made


def _drawn(title: str, columns: Sequence[str], rows: Sequence[Sequence[str | int | None]], lang: Language) -> object:
    right, wide = {*_COUNTS, *_MONEY, "recorded", "status"}, {"subject", "matter", "grant"}
    heads = [{"label": say(one, lang), "number": one in right, "wide": one in wide} for one in columns]
    texts = [
        [
            "" if value is None else f"{value:,}" if name in {*_COUNTS, "recorded"} else str(value)
            for name, value in zip(columns, row, strict=True)
        ]
        for row in rows
    ]
    return {"title": say(title, lang), "columns": heads, "rows": texts}


def _cover(statement: Statement, lang: Language, names: Names) -> Sequence[tuple[str, str]]:
    provider = say("platform", lang) if statement.provider == PLATFORM else names(statement.provider)
    lines = [
        ("month", statement.month),
        ("consumer", names(statement.consumer)),
        ("provider", provider),
        ("at", statement.at[:19].replace("T", " ")),
        ("final", say("yes" if statement.final else "no", lang)),
        *((name, f"{asdict(statement)[name]:,}") for name in _COUNTS),
    ]
    if statement.amount is not None:
        lines.append(("amount", f"{statement.amount} {statement.currency}"))
    return [(say(name, lang), str(value)) for name, value in lines]


def _tables(statement: Statement) -> Sequence[tuple[str, Sequence[str], Sequence[Sequence[str | int | None]]]]:
    columns = _columns(statement)
    return [
        ("lines", columns, [[getattr(one, name) for name in columns] for one in statement.lines]),
        ("days", ("day", *_COUNTS), [[getattr(one, name) for name in ("day", *_COUNTS)] for one in statement.days]),
        ("seals", ("day", "recorded", "root"), [[one.day, one.calls, one.root] for one in statement.seals]),
    ]


def _columns(statement: Statement) -> Sequence[str]:
    return (*_COLUMNS, *(_MONEY if statement.amount is not None else ()))


def _text(line: Line, column: str) -> str:
    value = getattr(line, column)
    return "" if value is None else str(value)


def say(word: str, lang: Language) -> str:
    """A word of the forms in a language."""
    return _WORDS[word][lang == "en"]
