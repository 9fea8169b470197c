"""The steps in order: pull, check, land per resource; merge and publish per library. Each may be run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import cast

from quality.store import QualityStore
from runs.errors import interrupted, run_taken, unknown_library, unknown_resource
from runs.reports import LibraryReport, PullReport, Report
from runs.resources import Resource
from schemas.code_lists import CodeList
from schemas.code_lists import load as load_list
from schemas.errors import ShutongError
from schemas.mapping import resolve, standardise
from schemas.points import reached
from schemas.standard import Standard, bind
from schemas.values import Batch, Json, Manifest, Position, Source
from warehouse.checked import checked, keep_checked
from warehouse.keep import keep, received
from warehouse.land import land
from warehouse.merge import Contribution, merge
from warehouse.publish import publish
from warehouse.state import State
from warehouse.store import ObjectStore
from warehouse.tables import Tables

REPEAT = "repeat"
NOTHING = {"landed": 0, "quarantined": 0, "superseded": 0}
UNPARSED = "unparsed"
OTHERS = "default"  # in an authority list: every field not named


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps work with, chosen by the composition root.

    `open_source` opens a resource's connector; `authority` says, per library and field, which departments' word counts,
    first first (OTHERS: every field not named).
    """

    state: State
    store: ObjectStore
    tables: Tables
    quality: QualityStore
    serving: Path
    resources: Mapping[str, Resource]
    open_source: Callable[[Resource], Source]
    authority: Mapping[str, Mapping[str, Sequence[str]]]
    today: Callable[[], date]


class Steps:
    """The steps over one deployment."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def ingest(self, resource_id: str, run: str, *, trigger: str = "manual", everything: bool = False) -> Report:
        """Pull, check and land; `everything` reads the source from its beginning instead of from its position."""
        pulled = self.pull(resource_id, run, trigger=trigger, everything=everything)
        self.check(resource_id, run)
        report = self.land(resource_id, run)
        return replace(report, pulled=pulled.pulled if pulled.batch == report.batch else report.pulled)

    def pull(self, resource_id: str, run: str, *, trigger: str = "manual", everything: bool = False) -> PullReport:
        """Make what the source has now durable. A run that has pulled already, or finds nothing new, reads nothing."""
        resource, state = self._resource(resource_id), self._parts.state
        if state.start_run(run, resource.id, trigger=trigger).resource != resource.id:
            raise run_taken(run, resource.id)
        self._bury(resource, run)
        with self._failing(run):
            done = state.manifests(resource.id, run=run)
            if done:
                return PullReport(run, resource.id, done[0].batch, done[0].rows, repeated=False)
            position = None if everything else state.position(resource.id)
            source = self._parts.open_source(resource)
            splits = source.plan(position)
            if not splits:
                state.step(run, "pull", counts={"pulled": 0})
                return PullReport(run, resource.id, None, 0, repeated=False)
            batches = _carrying(position, (batch for split in splits for batch in source.read(split)))
            manifest = keep(self._parts.store, state, resource.id, run, batches)
            repeated = manifest.run != run
            counts = {"pulled": manifest.rows}
            state.step(run, "pull", batch=manifest.batch, decision=REPEAT if repeated else None, counts=counts)
            return PullReport(run, resource.id, manifest.batch, manifest.rows, repeated=repeated)

    def check(self, resource_id: str, run: str) -> Report:
        """Standardise and check every pulled batch that has not landed; the verdict is durable and in the history."""
        resource = self._resource(resource_id)
        self._parts.state.step(run, "check")
        reports = self._each(resource, run, self._check)
        return next(reversed(reports.values()), Report(run, resource.id))

    def land(self, resource_id: str, run: str) -> Report:
        """Land every checked batch the gate let pass; what it holds waits for a data manager."""
        resource, state = self._resource(resource_id), self._parts.state
        state.step(run, "land")
        mine = state.run(run)
        reports = self._each(resource, run, self._land)
        repeated = mine.decision == REPEAT
        if repeated and mine.batch and mine.batch not in reports and self._came_back(resource, mine.batch):
            manifest = state.manifests(resource.id, batch=mine.batch, limit=1)[0]
            with self._failing(run):
                reports[mine.batch] = self._land(resource, manifest, run)
        if mine.batch is None:
            state.finish_run(run, counts=None if reports else NOTHING)
            return next(reversed(reports.values()), Report(run, resource.id))
        found = reports.get(mine.batch) or self.report(resource.id, mine.batch)
        if state.run(run).status not in ("done", "held"):
            # The batch is an earlier run's: that one has the counts, this one shares its being held.
            state.finish_run(run, status="held" if found.held else "done", counts=NOTHING)
        return replace(found, run=run, repeated=repeated, changed=any(one.changed for one in reports.values()))

    def _came_back(self, resource: Resource, batch: str) -> bool:
        """True when a batch that landed earlier comes again after another landed: the source went back to it."""
        state = self._parts.state
        landed = [one for table in (resource.table, resource.quarantine) for one in state.releases(1, changed=table)]
        done = any(one.batch == batch for one in landed)
        first = state.run(state.manifests(resource.id, batch=batch, limit=1)[0].run)
        return bool(landed) and not done and first.status == "done"

    def report(self, resource_id: str, batch: str) -> Report:
        """What became of a batch that was checked before."""
        resource = self._resource(resource_id)
        manifest = self._parts.state.manifests(resource.id, batch=batch, limit=1)[0]
        first = self._parts.state.run(manifest.run)
        return replace(
            self._told(resource, manifest),
            landed=first.landed or 0,
            quarantined=first.quarantined or 0,
            superseded=first.superseded or 0,
            held=manifest.rows if first.status == "held" else 0,
        )

    def merge(self, library: str, run: str) -> LibraryReport:
        """Merge a library from the newest releases of the resources that contribute to it."""
        parts = self._parts
        parts.state.start_run(run, library, trigger="merge")
        with self._failing(run):
            released = [one for one in self._contributing(library) if parts.state.released(one.table) is not None]
            merged = merge(
                parts.state,
                parts.tables,
                library,
                self._library_standard(library),
                [Contribution(one.id, one.department, one.table, one.order) for one in released],
            )
            parts.state.step(run, "merge", counts={"landed": merged.records})
            return LibraryReport(
                run,
                library,
                merged.records,
                merged.changed,
                conflicts=sum(one.records for one in merged.conflicts),
                unlinked=sum(merged.unlinked.values()),
            )

    def publish(self, library: str, run: str) -> LibraryReport:
        """Build the library's serving store from its newest release and switch readers to it."""
        parts = self._parts
        parts.state.start_run(run, library, trigger="merge")
        with self._failing(run):
            before = parts.state.publication(library)
            if before is None and not any(parts.state.released(one.table) for one in self._contributing(library)):
                parts.state.finish_run(run, counts={"landed": 0})  # no row of it has landed yet: nothing to publish
                return LibraryReport(run, library, 0, changed=False)
            made = publish(parts.state, parts.tables, parts.serving, library, self._library_standard(library))
            parts.state.step(run, "publish", counts={"landed": made.rows})
            parts.state.finish_run(run)
            return LibraryReport(run, library, made.rows, made != before, generation=made.generation)

    # below: how a step does it

    def _resource(self, resource_id: str) -> Resource:
        if resource_id not in self._parts.resources:
            raise unknown_resource(resource_id, sorted(self._parts.resources))
        return self._parts.resources[resource_id]

    def _contributing(self, library: str) -> list[Resource]:
        found = [one for one in self._parts.resources.values() if one.standard.library == library]
        if not found:
            raise unknown_library(
                library, sorted({one.standard.library or "" for one in self._parts.resources.values()})
            )
        return found

    def _library_standard(self, library: str) -> Standard:
        """The newest standard of the library, its fields' authority as this deployment has it."""
        standard = max((one.standard for one in self._contributing(library)), key=lambda one: one.version)
        said = self._parts.authority.get(library, {})
        fields = (
            replace(one, authority=tuple(said.get(one.name, said.get(OTHERS, one.authority))))
            for one in standard.fields
        )
        return replace(standard, fields=tuple(fields))

    def _bury(self, resource: Resource, run: str) -> None:
        """Say of earlier runs that died before their pull counted that they did; they have nothing to be resumed."""
        for one in self._parts.state.runs(resource.id, 50):
            if one.run_id != run and one.status == "running" and one.step == "start":
                self._parts.state.fail_run(one.run_id, interrupted(one.run_id).as_dict())

    def _pending(self, resource: Resource, run: str) -> list[Manifest]:
        """Pulled batches that have not landed, oldest first; a held one only when this run brought it again."""
        state = self._parts.state
        own = state.run(run).batch
        statuses = {one.run_id: one.status for one in state.runs(resource.id, 2000)}

        def waits(one: Manifest) -> bool:
            status = statuses.get(one.run) or state.run(one.run).status
            return status not in ("done", "held") or (status == "held" and one.batch == own)

        return [one for one in reversed(state.manifests(resource.id)) if waits(one)]

    def _each(self, resource: Resource, run: str, act: Callable[[Resource, Manifest], Report]) -> dict[str, Report]:
        """Act on every pending batch.

        One that an earlier run left broken is recorded and passed over, so that it does not keep newer ones from
        landing; an error in this run's own batch, be it the content of an earlier run again, is raised.
        """
        reports: dict[str, Report] = {}
        own = self._parts.state.run(run).batch
        for manifest in self._pending(resource, run):
            try:
                reports[manifest.batch] = act(resource, manifest)
            except ShutongError as error:
                # Why a check failed is recorded already and says more than that there is no check.
                if error.code != "WH-CHECK-MISSING":
                    self._parts.state.fail_run(manifest.run, error.as_dict())
                if run == manifest.run or own == manifest.batch:
                    self._parts.state.fail_run(run, error.as_dict())
                    raise
        return reports

    def _check(self, resource: Resource, manifest: Manifest) -> Report:
        from quality.check import check as judge

        parts, standard = self._parts, resource.standard
        raw = received(parts.store, manifest)
        mapping = resolve(standard, manifest.columns, resource.columns)
        lists = _code_lists(standard)
        made = standardise(raw, standard, mapping, {name: one.spellings for name, one in lists.items()}, parts.today())
        reached("check.standardised")
        rules = bind(standard, mapping, resource.severities, resource.rules)
        codes = {name: frozenset(one.codes) for name, one in lists.items()}
        gate = replace(resource.gate, keys=tuple(key for key in standard.key if key in mapping))
        verdict = judge(made.table, rules, codes, gate, parts.today())
        told: dict[str, Json] = dict(verdict.results)
        told[UNPARSED] = {name: dict(said) for name, said in made.unparsed.items()}
        verdict = replace(verdict, results=told)
        keep_checked(parts.store, manifest, made.table, verdict, rules)
        parts.quality.record(resource.id, resource.department, manifest.run, manifest.batch, rules, verdict)
        reached("check.recorded")
        parts.state.step(manifest.run, "check", decision=verdict.decision)
        return self._told(resource, manifest)

    def _land(self, resource: Resource, manifest: Manifest, run: str | None = None) -> Report:
        parts, run = self._parts, run or manifest.run
        kept = checked(parts.store, manifest)
        told = self._told(resource, manifest)
        if kept.verdict.decision == "hold":
            parts.state.finish_run(run, status="held", decision="hold", counts=NOTHING)
            return replace(told, held=manifest.rows)
        mapping = resolve(resource.standard, manifest.columns, resource.columns)
        landing = land(
            parts.store,
            parts.state,
            parts.tables,
            manifest,
            kept,
            resource=resource.id,
            key=resource.standard.key,
            order=resource.order,
            columns={name: column for name, column in mapping.items() if name in kept.table.column_names},
            run=run,
        )
        counts = {"landed": landing.landed, "quarantined": landing.quarantined, "superseded": landing.superseded}
        parts.state.finish_run(run, decision=kept.verdict.decision, counts=counts)
        return replace(
            told,
            landed=landing.landed,
            quarantined=landing.quarantined,
            superseded=landing.superseded,
            changed=landing.landed + landing.quarantined > 0,
        )

    def _told(self, resource: Resource, manifest: Manifest) -> Report:
        kept = checked(self._parts.store, manifest)
        verdict = kept.verdict
        return Report(
            run=manifest.run,
            resource=resource.id,
            batch=manifest.batch,
            pulled=manifest.rows,
            decision=verdict.decision,
            reason_zh=verdict.reason_zh,
            reason_en=verdict.reason_en,
            rules={count.rule: count.rows for count in verdict.counts},
            errors={count.rule: count.error for count in verdict.counts if count.error},
            unparsed=cast("Mapping[str, Mapping[str, int]]", verdict.results.get(UNPARSED, {})),
        )

    @contextmanager
    def _failing(self, *runs: str) -> Iterator[None]:
        """Record an error on the run before it goes on its way."""
        try:
            yield
        except ShutongError as error:
            for run in dict.fromkeys(runs):
                self._parts.state.fail_run(run, error.as_dict())
            raise


def _carrying(before: Position | None, batches: Iterator[Batch]) -> Iterator[Batch]:
    """Each batch with a position that also remembers what was read before: files taken earlier stay taken."""
    cursor = dict(before.cursor) if before else {}
    for batch in batches:
        if batch.position is None:
            yield batch
        else:
            cursor |= batch.position.cursor
            yield replace(batch, position=Position(dict(cursor)))


def _code_lists(standard: Standard) -> dict[str, CodeList]:
    return {name: load_list(name) for name in {one.codes for one in standard.fields} if name}
