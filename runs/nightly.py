"""The nightly round over a deployment's tables: compact, expire, sweep, verify; each may be stopped and run again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from runs.batch import Parts
from runs.care import of_bundle, of_library, of_resource
from runs.errors import RunError
from warehouse import backup, upkeep, verify
from warehouse.backup import Backup, Place
from warehouse.clock import now
from warehouse.compaction import Compacted, Tended, compact
from warehouse.keyed_care import keep_twins
from warehouse.verify import Looked

RELEASES = 10**6
HOURS = 24.0  # files younger than that may belong to somebody who is about to commit them


@dataclass(frozen=True, slots=True)
class Removed:
    """What expiring or sweeping a table came to: how many snapshots, or files, went."""

    table: str
    count: int


class Nightly:
    """The round over one deployment, table by table."""

    def __init__(self, parts: Parts, backups: Place | None = None) -> None:
        self._parts, self._backups = parts, backups

    def tables(self, names: Sequence[str] = ()) -> list[Tended]:
        """The tables there are, or those named. Raises RUN-TABLE-UNKNOWN."""
        parts = self._parts
        libraries = {one.standard.library: one.standard for one in parts.resources.values()} | dict(parts.received)
        every = [tended for one in parts.resources.values() for tended in of_resource(parts.store, one)]
        for library, standard in sorted((name, said) for name, said in libraries.items() if name):
            every += of_library(parts.tables, library, standard)
            every += of_bundle(parts.state, parts.tables, library, standard) if library in parts.received else ()
        there = {one.table: one for one in every if parts.tables.exists(one.table)}
        if unknown := [name for name in names if name not in there]:
            raise RunError(
                "RUN-TABLE-UNKNOWN",
                zh=f"没有表 {'、'.join(unknown)}",
                en=f"there is no table {', '.join(unknown)}",
                fix_zh=f"现有：{'、'.join(there) or '无'}",
                fix_en=f"There are: {', '.join(there) or 'none'}",
            )
        return [there[name] for name in names] if names else list(there.values())

    def compact(self, names: Sequence[str] = (), *, always: bool = False) -> Iterator[Compacted]:
        """Write the tables that have become disordered anew in the order of their keys; with `always`, all of them."""
        for one in self.tables(names):
            yield compact(self._parts.state, self._parts.tables, one, always=always)
            if one.library is not None:
                keep_twins(self._parts.state, self._parts.tables, one.library, on=self._parts.kept.twins)

    def expire(self) -> Iterator[Removed]:
        """Forget the snapshots that no release kept, no publication and no library needs."""
        state, kept = self._parts.state, self._parts.kept
        state.unpin_releases(kept.releases, kept.days)
        for one in self.tables():
            yield Removed(one.table, upkeep.expire(state, self._parts.tables, one.table))

    def sweep(self, hours: float = HOURS) -> Iterator[Removed]:
        """Remove files that no snapshot and no backup names and that are older than so many hours."""
        state = self._parts.state
        spared = backup.spared(self._backups) if self._backups else set()
        releases = [one for one in state.releases(RELEASES) if one.tables]
        for one in self.tables():
            pinned = [made.tables[one.table].metadata_location for made in releases if one.table in made.tables]
            removed = self._parts.tables.sweep(one.table, older_than_hours=hours, pinned=[*pinned, *spared])
            yield Removed(one.table, len(removed))

    def back_up(self) -> Backup:
        """Back up state and catalog, if a place for that was given. Raises RUN-BACKUPS-NOWHERE."""
        if self._backups is None:
            raise RunError(
                "RUN-BACKUPS-NOWHERE",
                zh="没有指定备份目录",
                en="no folder for backups was given",
                fix_zh="设置 SHUTONG_BACKUPS",
                fix_en="Set SHUTONG_BACKUPS",
            )
        return backup.create(self._backups, self._parts.state, self._parts.tables)

    def verify(self, days: int | None = None) -> Iterator[Looked]:
        """Look at raw batches, tables and what answers; bytes of raw batches only of the last `days`, if said."""
        parts = self._parts
        since = "" if days is None else (now() - timedelta(days=days)).isoformat()
        for resource in parts.resources:
            yield verify.raw(parts.state, parts.store, resource, since=since)
        keyed = {one.table for one in parts.resources.values()}
        for one in self.tables():
            unique = one.table in keyed or one.library is not None
            yield verify.table(parts.state, parts.tables, one, unique=unique)
        for name in verify.published(parts.serving):
            yield verify.serving(parts.serving, name)
