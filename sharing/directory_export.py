"""The directory as a file: JSON and DCAT, CSV and XLSX with the columns of the 2017 guide, one row for each item."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import orjson

from sharing.dcat import BASE, json_ld, turtle
from sharing.directory import Directory, by_code
from sharing.directory_values import CYCLES, SHARE_NAMES, Entry, Item

Format = Literal["json", "csv", "xlsx", "jsonld", "ttl"]
MEDIA: Mapping[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "jsonld": "application/ld+json",
    "ttl": "text/turtle; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_HEADS = (
    "信息资源代码", "信息资源名称", "类", "项", "目", "细目", "信息资源提供方", "提供方代码", "信息资源摘要",
    "格式分类", "格式类型", "信息项名称", "数据类型", "数据长度", "信息项共享类型", "共享类型", "共享条件",
    "共享方式分类", "共享方式类型", "是否向社会开放", "开放条件", "更新周期", "发布日期", "关联资源代码",
)  # fmt: skip
_LEVELS = 4
_FORMULA = ("=", "+", "-", "@")


def export(directory: Directory, form: Format, base: str = BASE) -> bytes:
    """The whole directory in a format, the entries by code; ids in DCAT begin with `base`.

    Raises RdfMissingError SHR-RDF for Turtle where rdflib is not installed.
    """
    writers: Mapping[Format, Callable[[], bytes]] = {
        "json": lambda: _json(directory),
        "csv": lambda: _csv(directory),
        "xlsx": lambda: _xlsx(directory),
        "jsonld": lambda: json_ld(directory, base),
        "ttl": lambda: turtle(directory, base),
    }
    return writers[form]()


def _json(directory: Directory) -> bytes:
    return orjson.dumps({"entries": [one.content() for one in by_code(directory)]}, option=orjson.OPT_INDENT_2) + b"\n"


def _csv(directory: Directory) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_HEADS)
    # A spreadsheet would take what begins like a formula for one.
    writer.writerows([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in _rows(directory))
    return out.getvalue().encode("utf-8-sig")  # with its mark, by which Excel knows UTF-8


def _xlsx(directory: Directory) -> bytes:
    import xlsxwriter  # type: ignore[import-untyped]

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("信息资源目录")
        bold = book.add_format({"bold": True})
        sheet.write_row(0, 0, _HEADS, bold)
        sheet.freeze_panes(1, 2)
        sheet.set_column(0, len(_HEADS) - 1, 16)
        for at, row in enumerate(_rows(directory), 1):
            for column, cell in enumerate(row):
                sheet.write_string(at, column, cell)
    return out.getvalue()


def _rows(directory: Directory) -> Iterator[list[str]]:
    for entry in by_code(directory):
        for item in entry.items:
            yield _row(entry, item)


def _row(entry: Entry, item: Item) -> list[str]:
    core = entry.core
    classes = [one.zh for one in core.classes]
    return [
        entry.code, entry.listed.title.zh, *classes, *[""] * (_LEVELS - len(classes)), entry.provider.name.zh,
        entry.provider.code, core.abstract.zh, core.format_class, core.format_type, item.zh, item.type,
        "" if item.length is None else str(item.length), SHARE_NAMES[item.share][0], _named(SHARE_NAMES, core.share),
        core.share_condition.zh, core.way_class, core.way_type, "是" if core.public else "否", core.open_condition.zh,
        _named(CYCLES, core.update), core.published, "；".join(entry.related),
    ]  # fmt: skip


def _named(names: Mapping[str, tuple[str, str]], code: str) -> str:
    return names[code][0] if code else ""
