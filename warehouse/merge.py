"""Merge what the departments of a library have landed into one record per firm or person, and release it as a whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import cast

import duckdb

from schemas.points import reached
from schemas.standard import Standard
from schemas.values import Json
from warehouse import crosswalk, merge_delta, merge_whole, spread_merge
from warehouse.clock import now_text
from warehouse.crosswalk import Contribution
from warehouse.errors import WarehouseError
from warehouse.library_job import BASE, Job, Outcome
from warehouse.library_state import LibraryState, Made, newest
from warehouse.said import explain
from warehouse.spread_merge import Returned, Spreading
from warehouse.state import Release, State
from warehouse.survivors import Compared
from warehouse.tables import Tables

__all__ = ["Compared", "Contribution", "Merged", "agreeing", "base_table", "compared", "explain", "merge", "newest"]

RUN, AGREEING = "shutong.run", "shutong.agreeing"  # properties of the snapshots a merge commits


@dataclass(frozen=True, slots=True)
class Merged:
    """How a merge came out.

    `records` are the firms or persons of the library; `compared` how often two departments speak of the same field, and
    disagree; `inputs` the released snapshot of each table read; `unlinked` the rows per resource that belong to no key;
    `changed` whether anything was written: not when the same inputs were merged before; `whole` whether all was built
    anew.
    """

    records: int
    compared: tuple[Compared, ...]
    inputs: Mapping[str, int]
    unlinked: Mapping[str, int]
    changed: bool
    release: int | None
    whole: bool = False

    @property
    def conflicts(self) -> tuple[Compared, ...]:
        """Of what was compared, the disagreements."""
        return tuple(one for one in self.compared if one.differing)


def base_table(library: str) -> str:
    """The table with one row per firm or person; its `_attr`, `_xref` and `_history` stand beside it."""
    return f"{BASE}.{library}"


def merge(state: State, tables: Tables, library: str, standard: Standard, contributions: Sequence[Contribution],
          *, whole: bool = False, spreading: Spreading | Returned | None = None) -> Merged:  # fmt: skip
    """Bring a library up to the released snapshots of its contributions and release its tables together.

    Only what changed since the merge before is combined anew; all is, with `whole`, where rules changed, or where an
    old snapshot is gone: by the workers of `spreading` where it is given. Either way the outcome is the same. The order
    of contributions counts where a field names no authority. One process merges a library at a time. A merge killed
    half way is completed when its inputs are still the newest, and dropped otherwise.
    """
    crosswalk.key_of(standard)
    with tables.lock(f"merge-{library}") as still_alone:
        release, memory = state.release(), LibraryState(state.engine)
        there = [one for one in contributions if _snapshot(release, one.table) is not None]
        inputs = {one.table: snapshot for one in there if (snapshot := _snapshot(release, one.table)) is not None}
        if not there:
            return Merged(0, (), {}, {}, changed=False, release=None)
        job = Job(library, standard, tuple(there), inputs, memory.words(library), now_text())
        if isinstance(spreading, Returned):
            job = spreading.plan.job
        inputs, rules = dict(job.inputs), _rules(job)
        before = _snapshot(release, job.base)
        last = memory.made(library, snapshot=before) if before is not None else None
        again = isinstance(spreading, Returned) and last is not None and last.run == spreading.plan.run
        if last is not None and (again or (last.rules == rules and dict(last.inputs) == inputs and not whole)):
            made = state.releases(limit=1, changed=job.base)
            return _merged(last, made[0].id if made else None, changed=False, whole=False)
        if last is not None and last.at > job.at and not isinstance(spreading, Returned):
            job = replace(job, at=last.at)  # the clock was set back: history keeps its order
        run = f"merge-{library}-{_digest([rules, inputs, whole])}-{before or 0}"
        done = memory.made(library, run=run)
        names = (job.base, job.said, job.xref, job.history)
        head = tables.head(job.base)
        if done is None or head is None or head.snapshot != done.snapshot:
            for name in names:
                if tables.exists(name):
                    tables.rollback_to(name, _snapshot(release, name))
            earlier = None if whole else last
            outcome, built = _build(tables, job, rules, run, last=earlier, before=before, spreading=spreading)
            still_alone()  # building takes its time
            done = _commit(tables, job, outcome, run, rules)
            done = Made(library, run, done.snapshot, job.at, rules, inputs, {**done.told, "whole": built})
            memory.record(done)
        reached("merge.committed")
        pins = {name: tables.pin(name, head.snapshot) for name in names if (head := tables.head(name))}
        still_alone()  # else another process may have taken back what was committed here
        number = state.commit_release(run, pins, kind="merge").id
        reached("merge.released")
        return _merged(done, number, changed=True, whole=bool(done.told["whole"]))


def agreeing(tables: Tables, library: str) -> tuple[int, int] | None:
    """Pairs of statements of two departments about the same field of the same record: equal ones, and all.

    As the newest merge counted them; None before the first.
    """
    head = tables.head(base_table(library))
    told = head.summary.get(AGREEING) if head else None
    return tuple(json.loads(told)) if told else None


def compared(made: Made) -> tuple[Compared, ...]:
    """Who agreed with whom about what, as a merge counted it."""
    return _compared(made.told)


def _compared(told: Mapping[str, Json]) -> tuple[Compared, ...]:
    return tuple(Compared(**one) for one in cast("list[dict[str, object]]", told["compared"]))  # type: ignore[arg-type]


def _build(tables: Tables, job: Job, rules: Mapping[str, Json], run: str, *, last: Made | None, before: int | None,
           spreading: Spreading | Returned | None) -> tuple[Outcome, bool]:  # fmt: skip
    """Stage what changed since `last`, or everything; tells whether it was everything."""
    with tables.connect() as connection:
        if last is not None and _without_words(last.rules) == _without_words(rules):
            outcome = None
            with suppress(_Gone):
                outcome = _delta(connection, tables, job, last)
            if outcome is not None:
                return outcome, False
        if isinstance(spreading, Returned):
            return spread_merge.collected(spreading, run), True
        if spreading is not None:
            return spread_merge.build(tables, job, rules, run, before=before, spreading=spreading), True
        return merge_whole.build(connection, tables, job, before), True


class _Gone(Exception):
    """A snapshot merged before is no more."""


def _delta(connection: duckdb.DuckDBPyConnection, tables: Tables, job: Job, last: Made) -> Outcome | None:
    try:
        return merge_delta.build(connection, tables, job, last)
    except WarehouseError as error:
        if error.code != "WH-SNAPSHOT-GONE":
            raise
        raise _Gone from error


def _commit(tables: Tables, job: Job, outcome: Outcome, run: str, rules: Mapping[str, Json]) -> Made:
    snapshot = None
    every = _compared(outcome.told)
    agreed = [sum(one.records - one.differing for one in every), sum(one.records for one in every)]
    properties = {RUN: run, AGREEING: json.dumps(agreed)}
    for change in outcome.changes:
        snapshot = tables.commit(change.staged, properties, key=change.key, whole=change.whole)
    assert snapshot is not None  # noqa: S101 (the base table's commit comes last and always makes a snapshot)
    return Made(job.library, run, snapshot, job.at, rules, job.inputs, outcome.told)


def _merged(made: Made, release: int | None, *, changed: bool, whole: bool) -> Merged:
    told = made.told
    unlinked = cast("Mapping[str, int]", told["unlinked"])
    records = int(cast("int", told["records"]))
    return Merged(records, compared(made), made.inputs, unlinked, changed=changed, release=release, whole=whole)


def _snapshot(release: Release | None, table: str) -> int | None:
    pin = release.tables.get(table) if release else None
    return pin.snapshot if pin else None


def _rules(job: Job) -> dict[str, Json]:
    """All that decides whose word counts, as it is kept beside a merge: what explains it later."""
    standard = job.standard
    said: dict[str, object] = {
        "key": standard.key,
        "order": standard.order,
        "identifiers": standard.identifiers,
        "fields": [(one.name, one.type, one.authority) for one in standard.fields],
        "contributions": [asdict(one) for one in job.contributions],
        "words": {"changes": sorted(job.words.changes), "decisions": sorted(job.words.decisions.items())},
    }
    return cast("dict[str, Json]", json.loads(json.dumps(said)))


def _without_words(rules: Mapping[str, Json]) -> dict[str, Json]:
    return {name: said for name, said in rules.items() if name != "words"}


def _digest(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]
