"""Take Excel and OpenDocument workbooks apart, and refuse identifiers that Excel has already rounded."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import python_calamine as calamine

from connectors.errors import SourceError, SourceRefused, changed
from connectors.files.archive import refuse_bomb
from connectors.options import Options, wrong
from connectors.rows import Reject, as_json, check_names, chunks, record_batch
from schemas.values import Batch, Check, StreamInfo

OPTIONS = ("sheet", "header_row", "identifiers")
EXACT = 10**15  # Excel keeps 15 digits: a number this large may already be another one
_LETTERS = 26

Cell = int | float | str | bool | dt.time | dt.date | dt.datetime | dt.timedelta


def open_format(options: Options) -> Workbook:
    """The format a resource file describes with OPTIONS."""
    identifiers = options.names("identifiers")
    if "" in identifiers:
        raise wrong("source.identifiers", "含空名", "holds an empty name")
    return Workbook(options.maybe("sheet"), options.whole("header_row", 1, least=1), identifiers)


class Workbook:
    """One sheet of each workbook: the one named, or the first."""

    patterns: tuple[str, ...] = ("*.xlsx", "*.xlsm", "*.xlsb", "*.xls", "*.ods")

    def __init__(self, sheet: str | None, header_row: int, identifiers: tuple[str, ...]) -> None:
        self._sheet, self._header_row, self._identifiers = sheet, header_row, identifiers

    def streams(self, file: BinaryIO, name: str) -> list[StreamInfo]:
        """Each sheet with its columns."""
        found: list[StreamInfo] = []
        book = _workbook(name, file.read())
        for sheet in book.sheet_names:
            cells = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
            header = cells[self._header_row - 1] if len(cells) >= self._header_row else []
            rows = max(len(cells) - self._header_row, 0)
            found.append(StreamInfo(sheet, dict.fromkeys(_header(header), "cell"), rows=rows))
        return found

    def checks(self, head: bytes) -> list[Check]:
        """Nothing beyond the columns."""
        del head
        return []

    def batches(self, file: BinaryIO, name: str, size: int) -> Iterator[Batch]:
        """The records of one workbook; empty rows hold none."""
        book = _workbook(name, file.read())
        names, cells = self._table(name, book)
        sheet = self._sheet or book.sheet_names[0]
        where = f"{name} 工作表 {sheet}", f"{name} sheet {sheet}"
        numbered = ((at, row) for at, row in enumerate(cells, self._header_row + 1) if any(cell != "" for cell in row))
        first = 1
        for chunk in chunks(numbered, size):
            yield self._batch(chunk, names, first, where)
            first += len(chunk)
        if first == 1:
            yield record_batch(names, [[] for _ in names], 1, {})

    def _table(self, path: str, book: calamine.CalamineWorkbook) -> tuple[list[str], list[list[Cell]]]:
        """Column names and the rows below the header."""
        sheets = book.sheet_names
        if not sheets or (self._sheet and self._sheet not in sheets):
            raise changed(("工作表", "sheet"), path, [self._sheet or "1"], sheets)
        sheet = self._sheet or sheets[0]
        cells = book.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
        names = _header(cells[self._header_row - 1]) if len(cells) >= self._header_row else []
        check_names(names, f"{path} {sheet}")
        lost = [name for name in self._identifiers if name not in names]
        if lost and (names or cells):
            raise changed(("列", "column"), f"{path} {sheet}", lost, names)
        return names, cells[self._header_row :]

    def _batch(
        self, chunk: Sequence[tuple[int, Sequence[Cell]]], names: list[str], first: int, where: tuple[str, str]
    ) -> Batch:
        width = len(names)
        rejects: dict[int, Reject] = {}
        filled: list[list[str | None]] = []
        for at, (number, row) in enumerate(chunk):
            texts = [_text(cell) for cell in row]
            values = (texts + [None] * width)[:width]
            filled.append(values)
            reject = self._reject(number, row, names, where)
            if reject is not None:
                line = as_json(
                    [*names, *map(_letters, range(width, len(texts)))], texts + [None] * (width - len(texts))
                )
                rejects[at] = Reject(*reject, line)
        return record_batch(names, [[row[at] for row in filled] for at in range(width)], first, rejects)

    def _reject(
        self, number: int, row: Sequence[Cell], names: list[str], where: tuple[str, str]
    ) -> tuple[str, str] | None:
        zh, en = where
        for at, cell in enumerate(row[: len(names)]):
            # calamine hands over every number as a float, as Excel stores it.
            if isinstance(cell, float) and (
                abs(cell) >= EXACT or (names[at] in self._identifiers and not cell.is_integer())
            ):
                place_zh = f"{zh} 第 {number} 行 {_letters(at)} 列（{names[at]}）"
                place_en = f"{en} row {number} column {_letters(at)} ({names[at]})"
                why_zh, why_en = (
                    f"编码以数值 {cell!r} 存放，已失真",
                    f"the code is stored as the number {cell!r}, digits are lost",
                )
                return "float_id", f"{place_zh}：{why_zh} | {place_en}: {why_en}"
        beyond = [at for at in range(len(names), len(row)) if row[at] != ""]
        if beyond:
            letters = ", ".join(map(_letters, beyond))
            return (
                "row_shape",
                f"{zh} 第 {number} 行：{letters} 列没有表头 | {en} row {number}: no header above {letters}",
            )
        return None


def _header(cells: Sequence[Cell]) -> list[str]:
    texts = [_text(cell) for cell in cells]
    while texts and texts[-1] is None:
        texts.pop()
    return [text or f"column_{at + 1}" for at, text in enumerate(texts)]


def _text(cell: Cell) -> str | None:
    """A cell as text: dates ISO, whole numbers without a fraction, other numbers as Python writes them exactly."""
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < EXACT else repr(cell)
    if isinstance(cell, dt.datetime):
        return cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, dt.date | dt.time) else str(cell)


def _letters(at: int) -> str:
    """The letters Excel shows above column `at` (from 0)."""
    letters = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, _LETTERS)
        letters = chr(ord("A") + rest) + letters
    return letters


def _workbook(path: str, data: bytes) -> calamine.CalamineWorkbook:
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as packed:
        refuse_bomb(packed, path, len(data))
    try:
        return calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
    except calamine.PasswordError as error:
        raise SourceRefused(
            "SRC-FILE-LOCKED",
            zh=f"{path} 设有打开密码",
            en=f"{path} is protected by a password",
            fix_zh="请来源部门投放不设密码的文件",
            fix_en="Ask the department for a file without a password.",
        ) from error
    except calamine.CalamineError as error:
        raise SourceError(
            "SRC-FILE-WORKBOOK",
            zh=f"{path} 不是完整的 Excel 文件：{error}",
            en=f"{path} is not a whole Excel file: {error}",
            fix_zh="请来源部门重新投放该文件",
            fix_en="Ask the department to drop the file again.",
        ) from error
