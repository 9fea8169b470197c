"""Code lists 代码表: the values a coded field may take, their names, and the other spellings departments send."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from schemas.errors import StandardError
from schemas.lines import Node, read
from schemas.standard import Rule, Standard
from schemas.syntax import nearest

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = Path(__file__).parent / "codes"
_COLUMNS = ("code", "zh", "en", "aliases", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class CodeList:
    """One edition of a code list.

    `codes` maps a code to its names (Chinese, English; English may be empty); `spellings` maps every spelling that
    means one code only (the code, its Chinese name where names are unique, its aliases) to that code; `valid` maps a
    code to the first and last day it was in force (None: open). A list that is not `complete` lacks codes of its
    standard: a value outside it may be right, so it supports warnings only.
    """

    id: str
    zh: str
    en: str
    standard: str
    complete: bool
    codes: Mapping[str, tuple[str, str]]
    spellings: Mapping[str, str]
    valid: Mapping[str, tuple[date | None, date | None]]


def available(folders: tuple[Path, ...] = ()) -> frozenset[str]:
    """The ids of the code lists: those that ship (`gb_t_2261_1@2003`, …) and those of a deployment's `folders`.

    A deployment's folder holds `index.yaml` and CSV files, as the folder `codes` beside this file does. Raises
    StandardError with file and line where an index cannot be read, STD-CODES where an id is taken already.
    """
    return frozenset(_entries(folders))


def load(id: str, folders: tuple[Path, ...] = ()) -> CodeList:  # noqa: A002 — it is what a standard calls it
    """The code list of that id. Raises StandardError STD-CODES when there is none, or its file contradicts itself."""
    found = _entries(folders).get(id)
    if found is None:
        known = available(folders)
        near = nearest(id, known)
        raise StandardError(
            "STD-CODES",
            zh=f"没有代码表“{id}”",
            en=f"there is no code list '{id}'",
            fix_zh=f"是否应写“{near}”？" if near else f"可用：{'、'.join(sorted(known))}",
            fix_en=f"Did you mean '{near}'?" if near else f"Available: {', '.join(sorted(known))}",
        )
    path = found.file.parent / found.text("file")
    return _kept(path, id, folders, _stamp(path), _stamp(found.file))


def spellings(standard: Standard) -> dict[str, Mapping[str, str]]:
    """Of every code list a standard's fields cite: list id → spelling → code."""
    return {field.codes: load(field.codes, standard.folders).spellings for field in standard.fields if field.codes}


def lists(standard: Standard, rules: Iterable[Rule] = ()) -> dict[str, CodeList]:
    """Every code list that a check needs, by id: of the standard's fields, and of `rules` of kind code."""
    cited = [field.codes for field in standard.fields]
    cited += [str(rule.params["list"]) for rule in rules if rule.kind == "code"]
    return {name: load(name, standard.folders) for name in sorted({one for one in cited if one})}


def relation(found: CodeList) -> pa.Table:
    """A code list as the relation that rules look at: code, zh, en (text), valid_from, valid_to (date32)."""
    import pyarrow as pa

    rows = [(code, *names, *found.valid[code]) for code, names in found.codes.items()]
    kinds = [pa.string(), pa.string(), pa.string(), pa.date32(), pa.date32()]
    columns = zip(*rows, strict=True) if rows else [()] * len(kinds)
    return pa.table(
        [pa.array(values, kind) for values, kind in zip(columns, kinds, strict=True)],
        names=["code", "zh", "en", "valid_from", "valid_to"],
    )


def read_list(path: Path, id: str, entry: Node) -> CodeList:  # noqa: A002 — as above
    """The code list a CSV file holds, described by its entry in `index.yaml` (title, standard, complete, names).

    Raises StandardError STD-CODES with file and line: other columns, a repeated code, an alias of two codes, a date
    that is not one.
    """
    codes: dict[str, tuple[str, str]] = {}
    spellings: dict[str, str] = {}
    valid: dict[str, tuple[date | None, date | None]] = {}
    by_name = entry.flag("names", default=True)
    title = entry.node("title")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise _broken(path, 1, "表头不符", "other columns", f"表头写成 {','.join(_COLUMNS)}", ",".join(_COLUMNS))
        for row in rows:
            code, line = row["code"], rows.line_num
            if not code or code in codes:
                raise _broken(path, line, f"代码“{code}”重复或为空", f"code '{code}' is empty or repeated", "", "")
            codes[code] = (row["zh"], row["en"])
            valid[code] = (_day(path, line, row["valid_from"]), _day(path, line, row["valid_to"]))
            aliases = [alias for alias in row["aliases"].split(";") if alias]
            for spelling in {code, *aliases, *([row["zh"]] if by_name else [])}:
                if spellings.setdefault(spelling, code) != code:
                    other = spellings[spelling]
                    raise _broken(
                        path,
                        line,
                        f"“{spelling}”同时指 {other} 和 {code}",
                        f"'{spelling}' means both {other} and {code}",
                        "从其中一个的 aliases 中删除",
                        "Remove it from the aliases of one of them",
                    )
    return CodeList(
        id=id,
        zh=title.text("zh") if title else id,
        en=title.text("en") if title else id,
        standard=entry.text("standard"),
        complete=entry.flag("complete"),
        codes=MappingProxyType(codes),
        spellings=MappingProxyType(spellings),
        valid=MappingProxyType(valid),
    )


@lru_cache(maxsize=256)
def _kept(path: Path, id: str, folders: tuple[Path, ...], *_stamps: int) -> CodeList:  # noqa: A002 — as above
    return read_list(path, id, _entries(folders)[id])


def _stamp(path: Path) -> int:
    """When a file was last written, so that one that changed is read again; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def _entries(folders: tuple[Path, ...]) -> dict[str, Node]:
    indexes = tuple(folder / "index.yaml" for folder in (FOLDER, *folders))
    there = tuple(path for path in indexes if path.parent == FOLDER or path.exists())
    return _indexed(there, tuple(map(_stamp, there)))


@lru_cache(maxsize=64)
def _indexed(indexes: tuple[Path, ...], _stamps: tuple[int, ...]) -> dict[str, Node]:
    entries: dict[str, Node] = {}
    for index in indexes:
        for one in read(index).only("lists").nodes("lists"):
            id = one.only("id", "file", "title", "standard", "complete", "names", "source").text("id")  # noqa: A001
            if id in entries:
                one.fail(
                    "id",
                    f"代码表“{id}”已存在（{entries[id].where}）",
                    f"the code list '{id}' is there already ({entries[id].where})",
                    "请改用另一个名称或版本",
                    "Give it another name or version",
                    code="STD-CODES",
                )
            entries[id] = one
    return entries


def _day(path: Path, line: int, written: str) -> date | None:
    try:
        return date.fromisoformat(written) if written else None
    except ValueError as error:
        raise _broken(
            path, line, f"“{written}”不是日期", f"'{written}' is not a date", "写成 2021-04-09", "Write 2021-04-09"
        ) from error


def _broken(path: Path, line: int, zh: str, en: str, fix_zh: str, fix_en: str) -> StandardError:  # noqa: PLR0917 — texts
    return StandardError(
        "STD-CODES",
        zh=f"{path}:{line}：{zh}",
        en=f"{path}:{line}: {en}",
        fix_zh=fix_zh or "请更正这一行",
        fix_en=fix_en or "Correct this line",
    )
