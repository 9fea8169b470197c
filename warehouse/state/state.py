"""The state database: each method is one transaction, each answer a frozen value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import cast

import sqlalchemy as sa

from schemas.values import Json, Manifest, Position
from warehouse.clock import now_text
from warehouse.errors import WarehouseError
from warehouse.state import database
from warehouse.state.schema import MANIFEST, PIECE, POSITION, PUBLICATION, RELEASE, RUN
from warehouse.state.values import Pin, Publication, Release, Run

_PINS = sa.cast(RELEASE.c.tables, sa.String) != "{}"  # a release that still keeps its snapshots
_DAY = 10  # characters of a date
UNDONE = "-undone-"  # stands in the kind of a release that a rollback took back, before the number of that
_COUNTS = ("pulled", "landed", "quarantined", "superseded", "deleted")


class State:
    """Runs, manifests, positions, releases and publications over one SQLAlchemy URL.

    `engine` is shared with the packages that keep their own tables in the same database. On SQLite `engine.begin()`
    takes the write lock at once, so use it for writing and `reading()` for reading.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = database.open_engine(url)

    def migrate(self) -> None:
        """Bring the schema to the newest revision; concurrent callers wait for each other."""
        database.migrate(self.engine)

    def close(self) -> None:
        """Give back the connections."""
        self.engine.dispose()

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A connection for reading only, which holds up nobody."""
        return database.reading(self.engine)

    # runs

    def start_run(self, run_id: str, resource: str, *, trigger: str = "manual") -> Run:
        """Record that a run works; a run that failed or was killed is running again under its own id."""
        with self.engine.begin() as connection:
            again = connection.execute(
                sa.update(RUN).where(RUN.c.run_id == run_id).values(status="running", finished_at=None, error=None)
            )
            if again.rowcount == 0:
                first = {"run_id": run_id, "resource": resource, "step": "start", "status": "running"}
                connection.execute(sa.insert(RUN).values(**first, started_at=now_text(), trigger=trigger))
            return _run(connection, run_id)

    def step(
        self,
        run_id: str,
        step: str,
        *,
        batch: str | None = None,
        decision: str | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> Run:
        """Record the step a run has come to, and what is known by then (`counts` of _COUNTS)."""
        known: dict[str, object] = {"step": step, **_counts(counts)}
        known |= {name: value for name, value in (("batch", batch), ("decision", decision)) if value is not None}
        return self._change(run_id, known)

    def finish_run(
        self,
        run_id: str,
        *,
        status: str = "done",
        decision: str | None = None,
        counts: Mapping[str, int] | None = None,
    ) -> Run:
        """Record that a run ended: done, or held at the gate."""
        known: dict[str, object] = {"status": status, "finished_at": now_text(), **_counts(counts)}
        if decision is not None:
            known["decision"] = decision
        return self._change(run_id, known)

    def fail_run(self, run_id: str, error: Mapping[str, object]) -> Run:
        """Record that a run ended in an error (`ShutongError.as_dict()`)."""
        return self._change(run_id, {"status": "failed", "finished_at": now_text(), "error": dict(error)})

    def run(self, run_id: str) -> Run:
        """One run; WH-RUN-UNKNOWN when there is none of that id."""
        with self.reading() as connection:
            return _run(connection, run_id)

    def runs(self, resource: str | None = None, limit: int = 100) -> list[Run]:
        """The newest runs, newest first."""
        query = sa.select(RUN).order_by(RUN.c.started_at.desc(), RUN.c.run_id.desc()).limit(limit)
        if resource is not None:
            query = query.where(RUN.c.resource == resource)
        with self.reading() as connection:
            return [Run(**row) for row in connection.execute(query).mappings()]

    def _change(self, run_id: str, known: Mapping[str, object]) -> Run:
        with self.engine.begin() as connection:
            connection.execute(sa.update(RUN).where(RUN.c.run_id == run_id).values(**known))
            return _run(connection, run_id)

    # manifests and positions

    def commit_pull(self, manifest: Manifest, *, complete: bool = False, moves: bool = True) -> Manifest:
        """Make a batch count: manifest and position in one transaction.

        The same content again adds no manifest: the earlier one is the answer. The position moves all the same, since
        the source has been read that far. `complete` says in the same transaction that the run has pulled all it will:
        its step becomes "pull" and its batch is this one. Without `moves` the position stays: no source was read.
        """
        with database.serialised(self.engine) as connection:
            same = sa.and_(MANIFEST.c.resource == manifest.resource, MANIFEST.c.batch == manifest.batch)
            row = connection.execute(sa.select(MANIFEST).where(same)).mappings().first()
            if row is None:
                values = asdict(manifest) | {"position": dict(manifest.position.cursor)}
                connection.execute(sa.insert(MANIFEST).values(**values))
            if moves:
                _move(connection, manifest.resource, manifest.position)
            _add_piece(connection, manifest)
            if complete:
                ended = sa.update(RUN).where(RUN.c.run_id == manifest.run)
                connection.execute(ended.values(step="pull", batch=manifest.batch))
            return manifest if row is None else _manifest(row)

    def position(self, resource: str) -> Position | None:
        """How far the resource's source has been read; None when never."""
        with self.reading() as connection:
            cursor = connection.execute(sa.select(POSITION.c.cursor).where(POSITION.c.resource == resource)).scalar()
        return None if cursor is None else Position(cursor)

    def manifests(
        self, resource: str | None = None, *, run: str | None = None, batch: str | None = None, limit: int = 1000
    ) -> list[Manifest]:
        """The manifests asked for, newest first."""
        query = sa.select(MANIFEST).order_by(MANIFEST.c.id.desc()).limit(limit)
        for column, wanted in ((MANIFEST.c.resource, resource), (MANIFEST.c.run, run), (MANIFEST.c.batch, batch)):
            if wanted is not None:
                query = query.where(column == wanted)
        with self.reading() as connection:
            return [_manifest(row) for row in connection.execute(query).mappings()]

    def pieces(self, run_id: str) -> list[Manifest]:
        """The batches a run pulled so far, oldest first, those of earlier runs that came again among them."""
        same = sa.and_(MANIFEST.c.resource == PIECE.c.resource, MANIFEST.c.batch == PIECE.c.batch)
        query = sa.select(MANIFEST).join(PIECE, same).where(PIECE.c.run == run_id).order_by(PIECE.c.place)
        with self.reading() as connection:
            return [_manifest(row) for row in connection.execute(query).mappings()]

    def commit_position(self, resource: str, position: Position) -> None:
        """Remember how far a source was read when there was nothing to keep."""
        with database.serialised(self.engine) as connection:
            _move(connection, resource, position)

    # releases and publications

    def commit_release(
        self,
        run_id: str,
        tables: Mapping[str, Pin],
        counts: Mapping[str, int] | None = None,
        *,
        kind: str = "land",
        batch: str | None = None,
    ) -> Release:
        """Let readers see `tables` as pinned: the release and the run's counts in one transaction.

        Tables not named keep the pin they have. The same run releasing the same tables for the same batch again changes
        nothing and gets the release it made. `counts` are the batch's; the run has the sum over its batches.
        """
        changed = "\n".join(sorted(tables))
        with database.serialised(self.engine) as connection:
            by_run = sa.and_(RELEASE.c.run == run_id, RELEASE.c.kind == kind)
            made = sa.and_(by_run, RELEASE.c.changed == changed, RELEASE.c.batch == batch)
            row = connection.execute(sa.select(RELEASE).where(made)).mappings().first()
            if row is None:
                newest = newest_release(connection)
                pins = {**(newest.tables if newest else {}), **tables}
                values = {
                    "created_at": now_text(),
                    "run": run_id,
                    "tables": {name: asdict(pin) for name, pin in sorted(pins.items())},
                    "kind": kind,
                    "changed": changed,
                    "batch": batch,
                    "counts": dict(counts or {}),
                }
                connection.execute(sa.insert(RELEASE).values(**values))
                row = connection.execute(sa.select(RELEASE).where(made)).mappings().one()
            every = connection.execute(sa.select(RELEASE.c.counts).where(by_run)).scalars().all()
            known = {name: sum(one.get(name, 0) for one in every) for name in _COUNTS if name in (counts or {})}
            if known:
                connection.execute(sa.update(RUN).where(RUN.c.run_id == run_id).values(**known))
            return as_release(row)

    def release(self, number: int | None = None) -> Release | None:
        """The newest release, which is what readers see, or the one of that number; None where there is none."""
        with self.reading() as connection:
            if number is None:
                return newest_release(connection)
            row = connection.execute(sa.select(RELEASE).where(RELEASE.c.id == number)).mappings().first()
            return None if row is None else as_release(row)

    def released(self, table: str) -> int | None:
        """The snapshot of the table in the newest release; None when it was never released."""
        newest = self.release()
        pin = newest.tables.get(table) if newest else None
        return pin.snapshot if pin else None

    def releases(self, limit: int = 100, *, run: str | None = None, changed: str | None = None) -> list[Release]:
        """The newest releases, newest first; those a run made that count, or those that moved the table `changed`.

        What a rollback took back counts no more, until another brings it back.
        """
        query = sa.select(RELEASE).order_by(RELEASE.c.id.desc()).limit(limit)
        if run is not None:
            query = query.where(RELEASE.c.run == run, ~RELEASE.c.kind.contains(UNDONE))
        if changed is not None:
            query = query.where(moved((changed,)))
        with self.reading() as connection:
            return [as_release(row) for row in connection.execute(query).mappings()]

    def pinned(self, table: str) -> frozenset[int]:
        """Every snapshot of the table that some release pins: what expiry must keep."""
        with self.reading() as connection:
            every = connection.execute(sa.select(RELEASE.c.tables).where(_PINS)).scalars()
            return frozenset(pins[table]["snapshot"] for pins in every if table in pins)

    def unpin_releases(self, keep: int = 200, days: int = 0) -> int:
        """Let go of the snapshots of all but the newest `keep` releases; the rows stay as a record.

        Kept are also the last release of each of the newest `days` days that have one, and what publications serve.
        """
        day = sa.func.substr(RELEASE.c.created_at, 1, _DAY)
        with database.serialised(self.engine) as connection:
            newest = sa.select(RELEASE.c.id).order_by(RELEASE.c.id.desc()).limit(keep)
            daily = sa.select(sa.func.max(RELEASE.c.id)).where(_PINS).group_by(day).order_by(day.desc()).limit(days)
            serving = sa.select(sa.func.max(PUBLICATION.c.release)).group_by(PUBLICATION.c.library)
            spared = [connection.execute(one).scalars().all() for one in (newest, daily, serving)]
            old = sa.and_(RELEASE.c.id.not_in({number for one in spared for number in one}), _PINS)
            return connection.execute(sa.update(RELEASE).where(old).values(tables={})).rowcount

    def commit_publication(self, library: str, generation: int, release: int, rows: int) -> Publication:
        """Record that a generation of a library's serving store answers; the same generation again changes nothing."""
        this = sa.and_(PUBLICATION.c.library == library, PUBLICATION.c.generation == generation)
        with database.serialised(self.engine) as connection:
            row = connection.execute(sa.select(PUBLICATION).where(this)).mappings().first()
            if row is not None:
                return Publication(**row)
            made = Publication(library, generation, release, rows, now_text())
            connection.execute(sa.insert(PUBLICATION).values(**asdict(made)))
            return made

    def publication(self, library: str) -> Publication | None:
        """The newest publication of the library; None when it was never published."""
        query = sa.select(PUBLICATION).where(PUBLICATION.c.library == library)
        with self.reading() as connection:
            row = connection.execute(query.order_by(PUBLICATION.c.generation.desc()).limit(1)).mappings().first()
        return None if row is None else Publication(**row)


def _counts(counts: Mapping[str, int] | None) -> dict[str, int]:
    known = dict(counts or {})
    if unknown := set(known) - set(_COUNTS):
        raise ValueError(f"not a count of a run: {sorted(unknown)}")
    return known


def _run(connection: sa.Connection, run_id: str) -> Run:
    row = connection.execute(sa.select(RUN).where(RUN.c.run_id == run_id)).mappings().first()
    if row is None:
        raise WarehouseError(
            "WH-RUN-UNKNOWN",
            zh=f"没有运行记录 {run_id}",
            en=f"there is no run {run_id}",
            fix_zh="用 shutong runs 查看现有的运行记录",
            fix_en="List the runs there are with: shutong runs",
        )
    return Run(**row)


def _manifest(row: sa.RowMapping) -> Manifest:
    values = {name: value for name, value in row.items() if name != "id"}
    values |= {"files": tuple(row["files"]), "columns": tuple(row["columns"]), "position": Position(row["position"])}
    return Manifest(**values)


def _add_piece(connection: sa.Connection, manifest: Manifest) -> None:
    known = connection.execute(sa.select(PIECE.c.batch).where(PIECE.c.run == manifest.run)).scalars().all()
    if manifest.batch not in known:
        piece = {"run": manifest.run, "place": len(known), "resource": manifest.resource, "batch": manifest.batch}
        connection.execute(sa.insert(PIECE).values(**piece))


def _move(connection: sa.Connection, resource: str, position: Position) -> None:
    values = {"cursor": cast("dict[str, Json]", dict(position.cursor)), "updated_at": now_text()}
    moved = connection.execute(sa.update(POSITION).where(POSITION.c.resource == resource).values(**values))
    if moved.rowcount == 0:
        connection.execute(sa.insert(POSITION).values(resource=resource, **values))


def newest_release(connection: sa.Connection) -> Release | None:
    """The newest release, inside a transaction."""
    row = connection.execute(sa.select(RELEASE).order_by(RELEASE.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else as_release(row)


def moved(tables: Sequence[str]) -> sa.ColumnElement[bool]:
    """Whether a release moved one of the tables."""
    text = "\n" + RELEASE.c.changed + "\n"
    return sa.or_(*(text.contains(f"\n{one}\n", autoescape=True) for one in tables))


def as_release(row: sa.RowMapping) -> Release:
    """A row as a value; one that was asked for without its tables has none."""
    pins = {name: Pin(**pin) for name, pin in row.get("tables", {}).items()}
    changed = tuple(name for name in row["changed"].split("\n") if name)
    values = {name: row[name] for name in ("id", "created_at", "run", "kind", "batch", "counts")}
    return Release(**values, tables=pins, changed=changed)
