"""The versions of the directory: who changed which entry, when, why, and from what to what. Codes once given stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import sqlalchemy as sa

from schemas.values import Json
from sharing.application_refusals import wrong_right
from sharing.application_values import DATA_MANAGER, Actor
from sharing.directory import Directory
from warehouse.state.database import reading, serialised

METADATA = sa.MetaData()


# Only ever added to: the database itself refuses changes. `content` is null where the entry was taken out.
VERSION = sa.Table(
    "directory_version",
    METADATA,
    sa.Column("entry", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("content", sa.JSON(none_as_null=True)),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One element that became another; an empty side was not there."""

    element: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an entry, and what it changed; `at` is ISO 8601 with offset, Asia/Shanghai."""

    entry: str
    version: int
    code: str
    at: str
    who: str
    why: str
    gone: bool
    changes: tuple[Change, ...]


class DirectoryHistory:
    """The versions kept in one state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def codes(self) -> Mapping[str, str]:
        """The code each entry had last, those that are gone among them."""
        newest = sa.select(VERSION.c.entry, VERSION.c.code).order_by(VERSION.c.entry, VERSION.c.version)
        with reading(self._engine) as connection:
            return {entry: code for entry, code in connection.execute(newest) if code}

    def keep(self, directory: Directory, by: Actor, why: str, at: datetime) -> list[Version]:
        """Keep what changed since it was kept last, all of it or nothing. Raises RightError SHR-RIGHT."""
        if DATA_MANAGER not in by.roles:
            raise wrong_right(by.id, by.department, "数据管理员", "a data manager")
        now = {one.id: one.content() for one in directory.entries.values()}
        made = []
        with serialised(self._engine) as connection:
            last = _newest(connection)
            for entry in sorted(now.keys() | last.keys()):
                number, code, before = last.get(entry, (0, "", None))
                after = now.get(entry)
                if after == before:
                    continue
                code = str(after["code"]) if after else code
                row = Version(entry, number + 1, code, at.isoformat(timespec="seconds"), by.id, why, after is None,
                              tuple(changed(before, after)))  # fmt: skip
                said = {"entry": entry, "version": row.version, "code": code, "at": row.at, "who": by.id, "why": why}
                connection.execute(sa.insert(VERSION).values(**said, content=after))
                made.append(row)
        return made

    def of(self, entry: str | None = None) -> list[Version]:
        """The versions of one entry, or of all, the oldest first."""
        query = sa.select(VERSION).order_by(VERSION.c.at, VERSION.c.entry, VERSION.c.version)
        if entry is not None:
            query = query.where(sa.or_(VERSION.c.entry == entry, VERSION.c.code == entry))
        found, before = [], dict[str, Mapping[str, Json] | None]()
        with reading(self._engine) as connection:
            for row in connection.execute(query).mappings():
                name, after = row["entry"], row["content"]
                changes = tuple(changed(before.get(name), after))
                before[name] = after
                found.append(Version(name, row["version"], row["code"], row["at"], row["who"], row["why"],
                                     after is None, changes))  # fmt: skip
        return found


def changed(before: Mapping[str, Json] | None, after: Mapping[str, Json] | None) -> Iterator[Change]:
    """What differs, element by element, and item by item; a first version and a last one say nothing but that."""
    if before is None or after is None:
        return
    for name in dict.fromkeys((*before, *after)):
        if name == "items":
            continue
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name))
    old, new = _items(before), _items(after)
    for item in dict.fromkeys((*old, *new)):
        if old.get(item) != new.get(item):
            yield Change(f"items.{item}", old.get(item), new.get(item))


def _items(content: Mapping[str, Json]) -> dict[str, Json]:
    """Items by name; a summary counts them only, the content lists them."""
    listed = content.get("items")
    every = cast("list[dict[str, Json]]", listed) if isinstance(listed, list) else []
    return {str(one["name"]): one for one in every}


def _newest(connection: sa.Connection) -> dict[str, tuple[int, str, Mapping[str, Json] | None]]:
    query = sa.select(VERSION).order_by(VERSION.c.entry, VERSION.c.version)
    rows = connection.execute(query).mappings()
    return {row["entry"]: (row["version"], row["code"], row["content"]) for row in rows}
