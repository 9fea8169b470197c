"""Tell which values of a cursor column say when a row changed: the others never move a window on, and hide no row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from connectors.databases.cursor import Bound, beyond, timely

_TRIES = 12  # highest values looked at until one is usable
_LETTERS = "A"  # in every collation digits sort before it, and what is written instead of a time mostly after it
_ENDLESS: Sequence[sa.ColumnElement[Any]] = [sa.literal_column("'infinity'"), sa.literal_column("'-infinity'")]
_ZERO = ("mysql", "mariadb")  # a date may be 0000-00-00 there

Highest = Callable[[Sequence[sa.ColumnElement[bool]]], Bound | None]


def unusable(
    column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any], dialect: str, *, times: bool
) -> list[sa.ColumnElement[bool]]:
    """Conditions of rows that are read every time, because their cursor value says nothing; an index can answer them.

    `times`: text in the column is meant to be a time.
    """
    lost: list[sa.ColumnElement[bool]] = [column.is_(None)]
    if isinstance(kind, sa.DateTime | sa.Date):
        if dialect == "postgresql":
            lost.append(column.in_(_ENDLESS))
        elif dialect in _ZERO:
            lost.append(column == sa.literal_column("0"))
    elif isinstance(kind, sa.String) and times:
        lost.append(column < sa.literal("1", sa.String))  # no year begins with less
    return lost


def latest_of(
    column: sa.ColumnClause[Any], kind: sa.types.TypeEngine[Any], dialect: str, highest: Highest, *, times: bool
) -> tuple[Bound | None, Bound | None]:
    """The highest usable value (None: there is none), and the value above which none is usable (None: all are).

    `highest` asks the database for the highest value under some conditions.
    """
    # The others are lower than any time, and the server finds the highest by its index only where little is asked.
    endless = dialect == "postgresql" and isinstance(kind, sa.DateTime | sa.Date)
    finite = [column.not_in(_ENDLESS)] if endless else []
    first = high = highest(finite)
    if isinstance(first, str) and isinstance(kind, sa.DateTime | sa.Date) and dialect in _ZERO:
        return None, None  # 0000-00-00 and no other
    latest: Bound | None = None
    for attempt in range(_TRIES):
        if high is None:
            break
        bound = beyond(high, dt.datetime.now(dt.UTC))
        if bound is not None:
            latest, high = bound, highest([*finite, column <= sa.bindparam("latest", bound)])
        elif times and isinstance(high, str) and not timely(high):
            below = high if attempt else min(high, _LETTERS)
            latest = high = highest([*finite, column < sa.bindparam("latest", below)])
        else:
            return high, latest
    return (first if isinstance(first, str) else None), None
