"""Read the control file that says a dropped file was delivered whole, and hold the file against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import PurePosixPath

from connectors.errors import SourceError, listed
from connectors.files.place import Place
from schemas.values import Json

SEALS = ("rows", "bytes", "sha256", "md5")  # what a control file may say about the file beside it
SUFFIX = ".ok"
SUFFIXES = (".ok", ".done", ".md5", ".sha256")  # never taken as data when they stand beside a file of the name
_DIGITS = {"md5": 32, "sha256": 64}
_MOST = 1 << 16  # bytes; a control file is small


def names_of(name: str, suffix: str) -> tuple[str, str]:
    """The names a file's control file may have: `a.csv.ok`, or `a.ok` as some departments write it."""
    stem = PurePosixPath(name)
    return name + suffix, str(stem.with_suffix(suffix)) if stem.suffix else name + suffix


def read_seal(place: Place, name: str, suffix: str) -> dict[str, str]:
    """What the control file says, as {rows | bytes | sha256 | md5: text}; empty when there is none or it says nothing.

    A digest alone, or as `md5sum` and `sha256sum` write it before the file's name, counts too.
    """
    beside = next((one for one in names_of(name, suffix) if place.stat(one) is not None), None)
    if beside is None:
        return {}
    with closing(place.open(beside)) as file:
        text = (file.read(_MOST) or b"").decode("utf-8-sig", "replace")
    digest = re.match(r"\s*\\?([0-9a-fA-F]{64}|[0-9a-fA-F]{32})(\s|$)", text)
    if digest:
        kind = "md5" if len(digest[1]) == _DIGITS["md5"] else "sha256"
        return {kind: digest[1].lower()}
    pairs = dict(word.partition("=")[::2] for word in text.split())
    unknown = [key for key, value in pairs.items() if key not in SEALS or not value]
    if not unknown:
        return {key: value.lower() for key, value in pairs.items()}
    if suffix != SUFFIX:
        return {}
    where = place.path(beside)
    raise SourceError(
        "SRC-FILE-MANIFEST",
        zh=f"{where} 中的 {listed(unknown)} 无法理解",
        en=f"{where} says {listed(unknown)}, which is not understood",
        fix_zh=f"内容可为空，或写 {'、'.join(f'{key}=…' for key in SEALS)}，以空格或换行分隔",
        fix_en=f"It may be empty, or say {', '.join(f'{key}=…' for key in SEALS)} separated by spaces or lines.",
    )


def compare(path: str, said: Mapping[str, str], got: Mapping[str, Json], keys: Iterable[str] = SEALS) -> None:
    """SRC-FILE-MANIFEST with both values, where what was `said` of a file is not what was `got`."""
    for key in keys:
        expected, value = said.get(key), str(got.get(key))
        if expected is None or key not in got or expected == value:
            continue
        raise SourceError(
            "SRC-FILE-MANIFEST",
            zh=f"{path} 与其控制文件不符：{key} 应为 {expected}，实为 {value}",
            en=f"{path} differs from its control file: {key} should be {expected} and is {value}",
            fix_zh="文件可能没有传完，请来源部门重新投放",
            fix_en="The file may be incomplete: ask the department to drop it again.",
        )
