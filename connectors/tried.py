"""Try what reading a source takes, step by step, and say of each what was found or what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connectors.errors import SourceError
from schemas.values import Check

Step = Callable[[], str | tuple[str, str]]


def tried(named: str, steps: Mapping[str, Step]) -> list[Check]:
    """A line for each step of the source called `named`, up to the first that fails with a SourceError.

    A step returns what it found: a name that reads alike in both languages, or a sentence in Chinese and in English.
    """
    lines: list[Check] = []
    for name, step in steps.items():
        try:
            said = step()
        except SourceError as error:
            zh, en = f"{error.zh}；{error.fix_zh}", f"{error.en}. {error.fix_en}"
            return [*lines, Check(name, ok=False, zh=zh, en=en)]
        zh, en = (said, said) if isinstance(said, str) else said
        lines.append(Check(name, ok=True, zh=f"{named}：{zh}", en=f"{named}: {en}"))
    return lines


def first_row(rows: int) -> tuple[str, str]:
    """What is said of a preview of one row."""
    return ("读到第一行", "its first row was read") if rows else ("没有行", "it has no rows")
