"""What can go wrong while a departmental system is read, and whether trying again helps.

SourceError            somebody has to change an option, a file or the system
├─ SourceUnavailable   the system does not answer now; retryable
├─ SourceRefused       the system answers and says no (login, privilege); never retried, so no account gets locked
└─ SourceChanged       a table, column, sheet or path that was expected is not there; says what was found instead
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import ClassVar

from schemas.errors import ShutongError

SHOWN = 20  # names listed in a message before it says how many more there are


class SourceError(ShutongError):
    """A departmental system cannot be read as the resource file asks."""


class SourceUnavailable(SourceError):
    """The system or file cannot be reached now; the same call may succeed later."""

    retryable: ClassVar[bool] = True


class SourceRefused(SourceError):
    """The system refuses the login or the privilege."""


class SourceChanged(SourceError):
    """A table, column, sheet or path is missing or renamed."""


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """Up to three of `names` that look most like `name`, case aside, the likeliest first."""
    folded = {known.casefold(): known for known in names}
    return [folded[close] for close in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]


def listed(names: Sequence[str]) -> str:
    """The names joined for a message, shortened after twenty; a dash where there are none."""
    more = f" … (+{len(names) - SHOWN})" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "—"


def changed(what: tuple[str, str], where: str, missing: Sequence[str], found: Sequence[str]) -> SourceChanged:
    """SRC-CHANGED: `missing` things of kind `what` (zh, en) are not in `where`, which holds `found`."""
    zh, en = what
    close = [match for name in missing for match in nearest(name, found)]
    hint_zh = f"最接近的是 {listed(close)}；" if close else ""
    hint_en = f"Nearest: {listed(close)}. " if close else ""
    return SourceChanged(
        "SRC-CHANGED",
        zh=f"{where} 中没有{zh} {listed(missing)}，现有：{listed(found)}",
        en=f"{where} has no {en} {listed(missing)}; it has: {listed(found)}",
        fix_zh=f"{hint_zh}请与来源部门确认是否改名，再修改资源文件",
        fix_en=f"{hint_en}Ask the department whether it was renamed, then correct the resource file.",
    )
