"""Tell what a library said at an earlier time: of one record, of all, and what changed between two times.

The base table has every record as it is now, `base.<library>_history` every record as it was before it changed, came or
went. Both are only ever added to or released together, so any time since the first merge can be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import cast

import pyarrow as pa

from schemas.values import Json
from warehouse import words
from warehouse.clock import SHANGHAI
from warehouse.errors import WarehouseError
from warehouse.library_job import AT, BASE, EVENT, KEY
from warehouse.library_state import LibraryState, Made, newest
from warehouse.said import rules_of
from warehouse.sql import literal, quote
from warehouse.state import State
from warehouse.survivors import DEPARTMENTS, SOURCES
from warehouse.tables import Tables

_DAY = 10  # characters of a date


def instant(text: str, *, ends: bool = True) -> str:
    """A date or ISO 8601 instant as history keeps instants; a date is its end, or its beginning.

    Times without an offset are Asia/Shanghai's. Raises WH-TIME when it is neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as wrong:
        raise WarehouseError(
            "WH-TIME",
            zh=f"“{text}”不是日期或时间",
            en=f"{text!r} is no date or time",
            fix_zh="写成 2026-11-23 或 2026-11-23T08:00:00",
            fix_en="Write it as 2026-11-23 or 2026-11-23T08:00:00",
        ) from wrong
    if len(text) <= _DAY and ends:
        found = datetime.combine(found.date(), time.min) + timedelta(days=1, microseconds=-1)
    found = found.replace(tzinfo=SHANGHAI) if found.tzinfo is None else found.astimezone(SHANGHAI)
    return found.isoformat(timespec="microseconds")


def began(state: State, library: str) -> str:
    """When the library's first merge was released; raises WH-NEVER-MERGED."""
    _made(state, library, None)
    return LibraryState(state.engine).began(library) or ""


def show(state: State, tables: Tables, library: str, key: str, at: str | None = None) -> dict[str, Json] | None:
    """One record as it stands, or as it stood at an instant; None where there was none.

    What was said under a key that became another is told under either.
    """
    made = _made(state, library, at)
    renamed = words.resolve(made.words)[0]
    last = renamed.get(key, key)
    for one in (last, *sorted(old for old, new in renamed.items() if new == last)):
        said = f"(SELECT * FROM {_at(state, tables, made, at, f'= {literal(one)}')})"
        with tables.connect() as connection:
            rows = connection.execute(f"SELECT * FROM {said}").to_arrow_table().to_pylist()
        if rows:
            return cast("dict[str, Json]", rows[0])
    return None


def whole(state: State, tables: Tables, library: str, at: str | None = None) -> pa.Table:
    """All records as they stand, or as they stood at an instant, by key."""
    made = _made(state, library, at)
    key = rules_of(made)[0].key[0]
    with tables.connect() as connection:
        query = f"SELECT * FROM {_at(state, tables, made, at)} ORDER BY {quote(key)}"
        return connection.execute(query).to_arrow_table()


def changes(state: State, tables: Tables, library: str, since: str, until: str, *,
            limit: int | None = None) -> pa.Table:  # fmt: skip
    """What differs between the library at two instants, by key: key, event, field, before, after (values as text).

    A record that came or went has a row for each field it has. What changed and changed back is not told.
    """
    made = _made(state, library, since)
    standard, _ = rules_of(made)
    key, names = quote(standard.key[0]), [one.name for one in standard.fields]
    events = _events(state, tables, made, names)
    moved = f"(SELECT DISTINCT {KEY} FROM {events} WHERE {AT} > {literal(since)} AND {AT} <= {literal(until)})"
    old, new = (_at(state, tables, made, one, f"IN (SELECT {KEY} FROM {moved})") for one in (since, until))
    event = f"CASE WHEN o.{key} IS NULL THEN 'added' WHEN n.{key} IS NULL THEN 'removed' ELSE 'changed' END"
    told = " UNION ALL ".join(
        f"SELECT key, event, {literal(name)} AS field, {place} AS _place, o.{quote(name)}::VARCHAR AS before,"
        f" n.{quote(name)}::VARCHAR AS after FROM pair WHERE o.{quote(name)} IS DISTINCT FROM n.{quote(name)}"
        for place, name in enumerate(names)
    )
    both = (
        f"SELECT coalesce(o.{key}, n.{key}) AS key, {event} AS event, o, n FROM {old} AS o FULL JOIN {new} AS n"
        f" ON o.{key} = n.{key}"
    )
    limited = f" LIMIT {int(limit)}" if limit is not None else ""
    with tables.connect() as connection:
        return connection.execute(
            f"WITH pair AS ({both}) SELECT key, event, field, before, after FROM ({told}) ORDER BY key, _place{limited}"
        ).to_arrow_table()


def _made(state: State, library: str, at: str | None) -> Made:
    made, first = newest(state, library), LibraryState(state.engine).began(library)
    if made is None or first is None:
        raise WarehouseError(
            "WH-NEVER-MERGED",
            zh=f"基础库 {library} 还没有归并过",
            en=f"library {library} has never been merged",
            fix_zh="先接入该库的资源，再运行：shutong library merge",
            fix_en="Ingest the library's resources, then run: shutong library merge",
        )
    if at is not None and at < first:
        raise WarehouseError(
            "WH-BEFORE-HISTORY",
            zh=f"基础库 {library} 从 {first} 起才有历史",
            en=f"the history of library {library} begins at {first}",
            fix_zh="查询该时间之后",
            fix_en="Ask for a later time",
        )
    return made


def _at(state: State, tables: Tables, made: Made, at: str | None, keys: str = "IS NOT NULL") -> str:
    """SQL, in brackets, of the records whose key meets a condition as they stood."""
    standard, _ = rules_of(made)
    key, names = quote(standard.key[0]), [*(one.name for one in standard.fields), SOURCES, DEPARTMENTS]
    listed = ", ".join(quote(name) for name in names)
    base = f"{BASE}.{made.library}"
    now = f"SELECT {listed} FROM {tables.relation(base, state.released(base), names)} WHERE {key} {keys}"
    if at is None:
        return f"({now})"
    later = f"(SELECT * FROM {_events(state, tables, made, names)} WHERE {AT} > {literal(at)} AND {KEY} {keys})"
    first = f"row_number() OVER (PARTITION BY {KEY} ORDER BY {AT}) = 1"
    return (
        f"({now} AND {key} NOT IN (SELECT {KEY} FROM {later}) UNION ALL SELECT {listed} FROM"
        f" (SELECT * FROM {later} QUALIFY {first}) WHERE {EVENT} <> 'added')"
    )


def _events(state: State, tables: Tables, made: Made, names: Sequence[str]) -> str:
    history = f"{BASE}.{made.library}_history"
    return tables.relation(history, state.released(history), list(dict.fromkeys((KEY, AT, EVENT, *names))))
