"""Remember each merge of a library: what it read, by which rules, what it counted; and what people said about keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import sqlalchemy as sa

from schemas.values import Json
from warehouse.clock import now_text
from warehouse.state import State, database
from warehouse.state.schema import RELEASE
from warehouse.words import Words

_METADATA = sa.MetaData()
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

MERGE = sa.Table(
    "library_merge",
    _METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("library", sa.String(200), nullable=False),
    sa.Column("run", sa.String(200), nullable=False, unique=True),
    sa.Column("snapshot", sa.BigInteger, nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("rules", sa.JSON, nullable=False),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("told", sa.JSON, nullable=False),
    sa.Index("library_merge_of_snapshot", "library", "snapshot"),
    sqlite_autoincrement=True,
)

WORD = sa.Table(
    "library_word",
    _METADATA,
    sa.Column("id", _SERIAL, primary_key=True, autoincrement=True),
    sa.Column("library", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("about", sa.String(200), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Index("library_word_of_library", "library", "id"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class Made:
    """A merge that was committed: the base table's snapshot it made, when, and what it stands on.

    `inputs` are the snapshot of each table read; `rules` all that decides whose word counts; `told` what was counted.
    """

    library: str
    run: str
    snapshot: int
    at: str
    rules: Mapping[str, Json]
    inputs: Mapping[str, int]
    told: Mapping[str, Json]

    @property
    def words(self) -> Words:
        """What people had said of keys by then."""
        said = cast("Mapping[str, list[list[str]]]", self.rules["words"])
        return Words(
            frozenset((old, new) for old, new in said["changes"]),
            dict(cast("list[tuple[str, str]]", said["decisions"])),
        )


class LibraryState:
    """Merges and words of all libraries in one state database; words are only ever added to."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, made: Made) -> None:
        """Remember a merge whose tables are committed; the same run again takes the earlier one's place."""
        with database.serialised(self._engine) as connection:
            connection.execute(sa.delete(MERGE).where(MERGE.c.run == made.run))
            connection.execute(sa.insert(MERGE).values(**asdict(made)))

    def made(self, library: str, *, snapshot: int | None = None, run: str | None = None) -> Made | None:
        """The newest merge that made a snapshot of the base table, or had a run's name; None when there is none."""
        query = sa.select(MERGE).where(MERGE.c.library == library).order_by(MERGE.c.id.desc()).limit(1)
        if snapshot is not None:
            query = query.where(MERGE.c.snapshot == snapshot)
        if run is not None:
            query = query.where(MERGE.c.run == run)
        with database.reading(self._engine) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Made(**{name: value for name, value in row.items() if name != "id"})

    def began(self, library: str) -> str | None:
        """When the library's first merge was released: nothing is known of earlier times."""
        released = sa.select(RELEASE.c.run).where(RELEASE.c.kind == "merge")
        query = sa.select(MERGE.c.at, MERGE.c.told["bundle"]["began"].as_string())
        query = query.where(MERGE.c.library == library, MERGE.c.run.in_(released)).order_by(MERGE.c.at).limit(1)
        with database.reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else row[1] or row[0]  # what came by a bundle has its history with it

    def pinned(self, table: str) -> frozenset[int]:
        """The snapshots of a table that the released merges stand on, beside `State.pinned` what expiry must keep."""
        with database.reading(self._engine) as connection:
            merges = sa.select(RELEASE.c.run).where(RELEASE.c.kind == "merge")
            released = set(connection.execute(merges).scalars())
            newest = {
                library: inputs
                for library, run, inputs in connection.execute(
                    sa.select(MERGE.c.library, MERGE.c.run, MERGE.c.inputs).order_by(MERGE.c.id)
                ).tuples()
                if run in released
            }
        return frozenset(inputs[table] for inputs in newest.values() if table in inputs)

    def words(self, library: str) -> Words:
        """What people said of a library's keys, the newest word about each; a change withdrawn no longer counts."""
        query = sa.select(WORD.c.kind, WORD.c.about, WORD.c.key).where(WORD.c.library == library).order_by(WORD.c.id)
        changes: set[tuple[str, str]] = set()
        decisions: dict[str, str] = {}
        with database.reading(self._engine) as connection:
            for kind, about, key in connection.execute(query).tuples():
                if kind == "changed":
                    changes.add((about, key))
                elif kind == "withdrawn":
                    changes.discard((about, key))
                else:
                    decisions[about] = key
        return Words(frozenset(changes), decisions)

    def say(self, library: str, kind: str, about: str, key: str, *, who: str, why: str) -> None:
        """Record that a key `changed` to another, that such a statement is `withdrawn`, or a decision (`held`)."""
        values = {"library": library, "kind": kind, "about": about, "key": key, "who": who, "why": why}
        with database.serialised(self._engine) as connection:
            connection.execute(sa.insert(WORD).values(**values, at=now_text()))


def newest(state: State, library: str) -> Made | None:
    """The merge that readers see; None before the first."""
    released = state.released(f"base.{library}")
    return LibraryState(state.engine).made(library, snapshot=released) if released is not None else None
