"""The steps in order: pull, check, land per resource; merge and publish per library. Each may be run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import chain

from runs import drift, modes, reach
from runs.batch import Parts, check_batch, land_batch, told_of
from runs.care import join_small_files, of_library
from runs.errors import comes_by_bundles, interrupted, run_taken, unknown_library, unknown_resource
from runs.facts import OURS
from runs.gates import judge_runs
from runs.holds_store import Holds
from runs.reports import LibraryReport, PullReport, Report, together
from runs.resources import Resource
from schemas.errors import ShutongError
from schemas.standard import Standard
from schemas.values import Batch, Manifest
from warehouse.clock import now
from warehouse.faults import room
from warehouse.keep import keep_pieces, pulled
from warehouse.keyed_care import keep_twins
from warehouse.land import quarantine_table
from warehouse.merge import Contribution, merge
from warehouse.publish import publish, publish_landed
from warehouse.spread_merge import Returned, Spreading
from warehouse.state import Release
from warehouse.state.rollbacks import TAKEN_BACK
from warehouse.state.streams import Streams
from warehouse.upkeep import library_tables, tidy

__all__ = ["Parts", "Steps"]
REPEAT = "repeat"
NOTHING = {"landed": 0, "quarantined": 0, "superseded": 0, "deleted": 0}
LOOKED_AT = 20  # landings beside the wanted ones, in case some are of rows that came back from quarantine
OTHERS = "default"  # in an authority list: every field not named


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
        """Make what the source has now durable, in one or more batches.

        A run that has pulled already, or finds nothing new, reads nothing; one that was killed half way goes on after
        the last batch that counts.
        """
        resource, state = self._resource(resource_id), self._parts.state
        with self._room():
            taken = state.start_run(run, resource.id, trigger=trigger).resource != resource.id
        if taken:
            raise run_taken(run, resource.id)
        self._bury(resource, run)
        comparing = resource.reading.mode == "snapshot_diff"
        alone = self._parts.store.lock(f"snapshot-{resource.id}") if comparing else nullcontext()
        with self._failing(run), alone:
            if pulled(state, resource.id, run) is None:
                self._pull(resource, run, everything=everything)
            if comparing:
                modes.tidy(self._parts, resource)
            return self._pulled(resource, run)

    def _pull(self, resource: Resource, run: str, *, everything: bool) -> None:
        parts, state = self._parts, self._parts.state
        known = state.position(resource.id)
        start = None if everything and not state.pieces(run) else known
        with closing(parts.open_source(resource)) as source:
            drift.watch(Streams(state.engine), resource, run, source.stream())
            found = modes.follow(parts, resource, source, run=run, start=start, known=known)
            with closing(found):
                waiting: list[Batch] = []
                for batch in found:
                    waiting.append(batch)
                    if batch.rows.num_rows:
                        break
                first = bool(waiting) and (known is None or not modes.quiet(resource))
                if first or (waiting and waiting[-1].rows.num_rows):
                    keep_pieces(parts.store, state, resource.id, run, chain(waiting, found))
                elif waiting and waiting[-1].position is not None:
                    state.commit_position(resource.id, waiting[-1].position)
        made = state.pieces(run)
        state.step(run, "pull", batch=made[-1].batch if made else None)

    def _pulled(self, resource: Resource, run: str) -> PullReport:
        """What the run's pull came to, put down in its record if it is not there yet."""
        state, made = self._parts.state, self._parts.state.pieces(run)
        rows, repeated = sum(one.rows for one in made), bool(made) and all(one.run != run for one in made)
        if state.run(run).pulled is None:
            state.step(run, "pull", decision=REPEAT if repeated else None, counts={"pulled": rows})
        return PullReport(run, resource.id, made[-1].batch if made else None, rows, repeated=repeated)

    def check(self, resource_id: str, run: str) -> Report:
        """Standardise and check every pulled batch that has not landed; the verdict is durable and in the history."""
        with self._room():
            return self._check(resource_id, run)

    def _check(self, resource_id: str, run: str) -> Report:
        resource, parts = self._resource(resource_id), self._parts
        parts.state.step(run, "check")
        pending = self._pending(resource, run)
        reports = self._each(pending, run, lambda one: check_batch(parts, resource, one))
        reports |= judge_runs(parts, resource, [one for one in pending if one.batch in reports])
        known = {one.id: one.severity for one in (*resource.checked.rules, *resource.rules)}
        rules = {**known, **resource.severities}
        parts.orders.settle(resource.id, resource.orders, now(), rules)  # a run is good only as a whole
        mine = [report for batch, report in reports.items() if batch in self._batches(run)]
        return together(mine or list(reports.values()) or [Report(run, resource.id)])

    def land(self, resource_id: str, run: str) -> Report:
        """Land every checked batch the gate let pass; what it holds waits for a data manager.

        Where the resource file says `serve`, what has landed can be looked up when this returns.
        """
        with self._room():
            report = self._land(resource_id, run)
            self._serve(self._resource(resource_id))
            return report

    def serve(self, resource_id: str) -> None:
        """Bring what answers for a resource to its newest release, where its file says `serve`."""
        with self._room():
            self._serve(self._resource(resource_id))

    def _land(self, resource_id: str, run: str) -> Report:
        resource, parts, state = self._resource(resource_id), self._parts, self._parts.state
        state.step(run, "land")
        pending, pieces = self._pending(resource, run), state.pieces(run)
        waiting, own = {one.batch for one in pending}, self._batches(run)
        left = self._left_behind(resource, run)
        todo = {one.batch: (one, one.run) for one in pending if one.batch not in own}
        for died in left:
            todo |= {one.batch: (one, died) for one in self._came_back(resource, state.pieces(died), died)}
        back = self._came_back(resource, [one for one in pieces if one.batch not in waiting], run)
        again = {one.batch for one in back}
        for one in pieces:
            if one.batch in waiting | again:
                todo[one.batch] = (one, run if one.batch in again else one.run)
        manifests = [one for one, _ in todo.values()]
        reports = self._each(manifests, run, lambda one: land_batch(parts, resource, one, todo[one.batch][1]))
        owners = dict.fromkeys(whose for _, whose in todo.values())
        for owner in owners:
            theirs = [batch for batch, (_, whose) in todo.items() if whose == owner]
            if all(batch in reports for batch in theirs):
                self._finish(owner, [reports[batch] for batch in theirs])
        for other in left:
            if other not in owners and waiting.isdisjoint(self._batches(other) - reports.keys()):
                self._share(other, [self.report(resource.id, piece.batch) for piece in state.pieces(other)])
        if not pieces:
            state.finish_run(run, counts=None if reports else NOTHING)
            return together(list(reports.values()) or [Report(run, resource.id)])
        whole = together([reports.get(one.batch) or self.report(resource.id, one.batch) for one in pieces])
        if state.run(run).status not in ("done", "held", "rejected"):
            self._share(run, [whole])
        repeated = all(one.run != run for one in pieces)
        return replace(whole, run=run, repeated=repeated, changed=any(one.changed for one in reports.values()))

    def _finish(self, run: str, reports: Sequence[Report]) -> None:
        """Record that all a run pulled has landed or is held; a run that may still be pulling goes on by itself."""
        state = self._parts.state
        if state.run(run).step == "start":
            return
        whole = together(reports) if reports else Report(run, "")
        released = [one.counts for one in state.releases(run=run, limit=10**6) if one.kind == "land"]
        counts = {name: sum(one.get(name, 0) for one in released) for name in NOTHING}
        state.finish_run(run, status=_status(whole), decision=whole.decision, counts=counts)

    def _share(self, run: str, reports: Sequence[Report]) -> None:
        """End a run whose batches are earlier runs': those have counts and decisions, it shares their being held."""
        whole = together(reports) if reports else Report(run, "")
        self._parts.state.finish_run(run, status=_status(whole), counts=NOTHING)

    def _left_behind(self, resource: Resource, run: str) -> list[str]:
        """Earlier runs that brought nothing of their own and have not ended: if they died, nobody else would end them.

        One that works beside this run ends in the same when it lands.
        """
        state = self._parts.state
        known = [one for one in reversed(state.runs(resource.id, 50)) if one.status == "running" and one.run_id != run]
        died = [one.run_id for one in known if one.step != "start"]
        return [one for one in died if all(piece.run != one for piece in state.pieces(one))]

    def _came_back(self, resource: Resource, pieces: Sequence[Manifest], run: str) -> list[Manifest]:
        """Batches of earlier runs that came again after others had landed: the source went back to them."""
        repeats = [one for one in pieces if one.run != run]
        if not repeats or any(self._parts.state.run(one.run).status != "done" for one in repeats):
            return []
        landed = [one.batch for one in reversed(self._landings(resource, len(repeats)))]
        return [] if not landed or landed == [one.batch for one in repeats] else repeats

    def _landings(self, resource: Resource, count: int) -> list[Release]:
        """The newest releases of a resource's landings, newest first."""
        tables = (resource.table, quarantine_table(resource.id))
        state, found = self._parts.state, dict[int, Release]()
        for one in (one for table in tables for one in state.releases(count + LOOKED_AT, changed=table)):
            if one.kind == "land" and state.run(one.run).trigger not in OURS:
                found[one.id] = one
        return [found[number] for number in sorted(found, reverse=True)[:count]]

    def _batches(self, run: str) -> set[str]:
        return {one.batch for one in self._parts.state.pieces(run)}

    def report(self, resource_id: str, batch: str) -> Report:
        """What became of a batch that was checked before."""
        resource, state = self._resource(resource_id), self._parts.state
        manifest = state.manifests(resource.id, batch=batch, limit=1)[0]
        told = told_of(self._parts, resource, manifest)
        made = [one for one in state.releases(run=manifest.run, limit=10**6) if one.batch == batch]
        counts = made[0].counts if made else {}
        waits = not made and told.decision == "hold"
        decided = Holds(state.engine).decided(resource.id, batch) if waits else None
        return replace(
            told,
            landed=counts.get("landed", 0),
            quarantined=counts.get("quarantined", 0),
            superseded=counts.get("superseded", 0),
            deleted=counts.get("deleted", 0),
            held=manifest.rows if waits and decided is None else 0,
            rejected=manifest.rows if decided and decided.decision == "reject" else 0,
        )

    def merge(
        self, library: str, run: str, *, whole: bool = False, spreading: Spreading | Returned | None = None
    ) -> LibraryReport:
        """Merge a library from its resources' newest releases; all of it with `whole`, by whom `spreading` says."""
        parts = self._parts
        if library in parts.received:
            raise comes_by_bundles(library)
        with self._room():
            parts.state.start_run(run, library, trigger="merge")
        with self._failing(run):
            standard = self._library_standard(library)
            join_small_files(parts.state, parts.tables, of_library(parts.tables, library, standard))
            released = [one for one in self._contributing(library) if parts.state.released(one.table) is not None]
            merged = merge(
                parts.state,
                parts.tables,
                library,
                standard,
                [Contribution(one.id, one.department, one.table, one.order) for one in released],
                whole=whole,
                spreading=spreading,
            )
            reach.note(parts, library, now())
            tidy(parts.state, parts.tables, library_tables(library), parts.kept)
            keep_twins(parts.state, parts.tables, library, on=parts.kept.twins)
            parts.state.step(run, "merge", counts={"landed": merged.records})
            return LibraryReport(
                run,
                library,
                merged.records,
                merged.changed,
                conflicts=sum(one.records for one in merged.conflicts),
                unlinked=sum(merged.unlinked.values()),
            )

    def publish(self, library: str, run: str, *, rebuild: bool = False) -> LibraryReport:
        """Bring the library's serving store to its newest release and switch readers to it; `rebuild` writes it all."""
        parts = self._parts
        with self._room():
            parts.state.start_run(run, library, trigger="merge")
        with self._failing(run):
            before = parts.state.publication(library)
            if before is None and not self._has_rows(library):
                parts.state.finish_run(run, counts={"landed": 0})  # no row of it has landed yet: nothing to publish
                return LibraryReport(run, library, 0, changed=False)
            standard = self._library_standard(library)
            made = publish(parts.state, parts.tables, parts.serving, library, standard, rebuild=rebuild)
            reach.note(parts, library, now())
            parts.state.step(run, "publish", counts={"landed": made.rows})
            parts.state.finish_run(run)
            return LibraryReport(run, library, made.rows, made != before, generation=made.generation)

    # below: how a step does it

    def _serve(self, resource: Resource) -> None:
        parts = self._parts
        if resource.serve is not None and parts.state.released(resource.table) is not None:
            index = resource.serve.index
            publish_landed(parts.state, parts.tables, parts.serving, resource.id, resource.standard, indexed=index)

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

    def _has_rows(self, library: str) -> bool:
        """Whether anything landed that the library is merged from, or it came from elsewhere."""
        if library in self._parts.received:
            return True
        return any(self._parts.state.released(one.table) for one in self._contributing(library))

    def _library_standard(self, library: str) -> Standard:
        """The newest standard of the library, its fields' authority as this deployment has it."""
        if library in self._parts.received:
            return self._parts.received[library]
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
        """Pulled batches that have not landed, oldest first; a held one only when it came again or was released."""
        state, own = self._parts.state, self._batches(run)
        runs = {one.run_id: one for one in state.runs(resource.id, 2000)}

        def waits(one: Manifest) -> bool:
            theirs = runs.get(one.run) or state.run(one.run)
            if theirs.step == "start":  # its pull never came to an end: batch by batch
                return all(made.batch != one.batch for made in state.releases(run=one.run, limit=10**6))
            if theirs.status == TAKEN_BACK:  # it lands again when it comes again, not by itself
                return one.batch in own
            if theirs.status in ("held", "rejected"):
                return self._released(resource, one, came=one.batch in own)
            return theirs.status != "done"

        return [one for one in reversed(state.manifests(resource.id)) if waits(one)]

    def _released(self, resource: Resource, held: Manifest, *, came: bool) -> bool:
        """Whether a batch of a held run is to be looked at: a data manager let it land, or the run brought it again."""
        decided = Holds(self._parts.state.engine).decided(resource.id, held.batch)
        if decided is None:
            return came
        made = self._parts.state.releases(run=held.run, limit=10**6)
        return decided.decision == "release" and all(one.batch != held.batch for one in made)

    def _each(self, batches: Sequence[Manifest], run: str, act: Callable[[Manifest], Report]) -> dict[str, Report]:
        """Act on every batch.

        One that an earlier run left broken is recorded and passed over, so that it does not keep newer ones from
        landing; an error in this run's own batch, be it the content of an earlier run again, is raised.
        """
        reports: dict[str, Report] = {}
        own = self._batches(run)
        for manifest in batches:
            try:
                with self._room():
                    reports[manifest.batch] = act(manifest)
            except ShutongError as error:
                # Why a check failed is recorded already and says more than that there is no check.
                if error.code != "WH-CHECK-MISSING":
                    self._parts.state.fail_run(manifest.run, error.as_dict())
                if run == manifest.run or manifest.batch in own:
                    self._parts.state.fail_run(run, error.as_dict())
                    raise
        return reports

    @contextmanager
    def _failing(self, *runs: str) -> Iterator[None]:
        """Record an error on the run before it goes on its way."""
        try:
            with self._room():
                yield
        except ShutongError as error:
            with self._room():
                for run in dict.fromkeys(runs):
                    self._parts.state.fail_run(run, error.as_dict())
            raise

    def _room(self) -> AbstractContextManager[None]:
        """Explain that the disk is full, whoever meets with it."""
        return room(str(self._parts.tables.folder))


def _status(whole: Report) -> str:
    return "held" if whole.held else "rejected" if whole.rejected else "done"
