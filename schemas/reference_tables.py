"""Reference tables 参照表 of a deployment: CSV files that rules look values up in, beside code lists and libraries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import StandardError

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def reference_tables(folder: Path) -> Mapping[str, Path]:
    """The tables in a folder (`references` of a deployment) by the name rules call them: the file's, without `.csv`.

    Raises StandardError STD-REFERENCE for a file whose name no rule could write. No folder: no tables.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.csv"))}
    for name, path in files.items():
        if not _NAME.fullmatch(name):
            raise _broken(
                path, "文件名只能用小写字母、数字和下划线", "a name has lower-case letters, digits and _ only"
            )
    return files


def read_reference(path: Path, columns: Iterable[str] = ()) -> pa.Table:
    """A reference table, every column as text and empty cells null; of `columns` each is there, and only they come.

    Without `columns`, all of them. UTF-8 with or without a mark, comma, a header, quotes as in RFC 4180. Raises
    StandardError STD-REFERENCE for a file that is not that, lacks a column or has one twice.
    """
    import pyarrow as pa
    import pyarrow.csv as pc

    convert = pc.ConvertOptions(strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=True)
    try:
        with pc.open_csv(path) as peeked:
            names = peeked.schema.names
        convert.column_types = dict.fromkeys(names, pa.string())
        table = pc.read_csv(path, convert_options=convert)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise _broken(path, "无法读取（应为 UTF-8 的 CSV）", "it cannot be read (UTF-8 CSV is expected)") from error
    if len(set(names)) != len(names):
        raise _broken(path, "表头有重复的列", "its header names a column twice")
    wanted = list(columns) or names
    for name in wanted:
        if name not in names:
            raise _broken(path, f"没有列“{name}”（有：{'、'.join(names)}）", f"no column '{name}' ({', '.join(names)})")
    return table.select(wanted)


def _broken(path: Path, zh: str, en: str) -> StandardError:
    return StandardError(
        "STD-REFERENCE",
        zh=f"参照表 {path}：{zh}",
        en=f"reference table {path}: {en}",
        fix_zh="请更正该文件；规则引用的列名须与表头一致",
        fix_en="Correct the file; rules name its columns as its header does",
    )
