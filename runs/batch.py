"""One pulled batch at a time: standardise and check it, land it, and tell what became of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from quality.gate import Gate
from quality.gate_history import Observed, Observer
from quality.gate_store import GateStore
from quality.orders import QualityOrders
from quality.profile_shapes import shape
from quality.scores_measured import PERSONAL
from quality.store import QualityStore
from runs import references
from runs.care import join_small_files, of_resource
from runs.control import ordered
from runs.facts import facts_of
from runs.holds_store import Holds
from runs.reports import Report
from runs.resources import Resource
from schemas import code_lists
from schemas.mapping import Standardised, resolve, schema, standardise_batches
from schemas.points import reached
from schemas.standard import ROWSETS, Rule, Standard, bind
from schemas.values import DELETED, OP, ORDER, ROW, Json, Manifest, Severity, Source, Verdict
from warehouse import landed
from warehouse.checked import CheckedWriter, KeptCheck, kept_check
from warehouse.keep import received_batches
from warehouse.land import CameBack, land, quarantine_table
from warehouse.state import State
from warehouse.store import ObjectStore
from warehouse.tables import Tables
from warehouse.upkeep import Kept, tidy

UNPARSED, TOLD = "unparsed", "unparsed_told"  # spellings nobody understood: as received (until 0013), and as told
_NUMBER = re.compile(r"[0-9]{11}")  # as long as a telephone's: in a column it does not belong to it may be anybody's
FEW = 10  # deletions that are never too many, unless they are of all there is


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps work with, chosen by the composition root.

    `open_source` opens a resource's connector; `authority` says, per library and field, which departments' word counts,
    first first (`default`: every field not named); `references` are the deployment's reference tables by name;
    `kept` says how far back releases stay readable; `received` are the libraries that come by bundles from elsewhere.
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
    orders: QualityOrders
    references: Mapping[str, Path] = field(default_factory=dict)
    kept: Kept = field(default_factory=Kept)
    received: Mapping[str, Standard] = field(default_factory=dict)


def check_batch(parts: Parts, resource: Resource, manifest: Manifest) -> Report:
    """Standardise and check a batch as a stream; table and verdict are durable and in the history."""
    from quality.check import check_parts
    from quality.rowsets import references as looked_at

    standard = resource.checked
    mapping = _mapping(resource, manifest, received_batches(parts.store, manifest, columns=_says(manifest.columns)))
    there = references.known(resource, parts.resources.values(), parts.references, parts.state, parts.tables)
    back = Holds(parts.state.engine).of_run(manifest.run)
    accepted: dict[str, Severity] = {rule: "warning" for one in back for rule in one.accepted}
    if back:  # rules about several rows were asked about them among the rest of the batch they came in
        accepted |= {one.id: "warning" for one in (*standard.rules, *resource.rules) if one.kind in ROWSETS}
    rules = bind(standard, mapping, {**resource.severities, **accepted}, resource.rules, there)
    lists = code_lists.lists(standard, rules)
    codes = {name: frozenset(one.codes) for name, one in lists.items()}
    usual = Gate(max_percent=None) if back else resource.gate
    gate = replace(usual, keys=tuple(key for key in standard.key if key in mapping))
    control = resource.reading.control
    kinds = ordered(schema(standard, mapping, manifest.columns).empty_table(), control).schema
    form = landed.form(kinds, {name: column for name, column in mapping.items() if name in kinds.names}, manifest)
    form = replace(form, schema=parts.tables.shape(resource.table, form.schema))
    with CheckedWriter(parts.store, manifest, form, key=standard.key) as writer:
        flow = _Flow(writer, control, Observer(gate, standard.fields, parts.today()))
        raw = received_batches(parts.store, manifest)
        spellings = {name: one.spellings for name, one in lists.items()}
        made = standardise_batches(raw, standard, mapping, spellings, parts.today())
        verdict = check_parts(
            flow.through(made), kinds, rules, codes, gate, parts.today(), references.given(there, looked_at(rules))
        )
        verdict = _guarded(parts, resource, flow.deletions, verdict)
        told: dict[str, Json] = dict(verdict.results)
        told[TOLD] = _tellable(resource, flow.unparsed)
        with _alone(parts, resource):
            writer.keep(replace(verdict, results=told), rules)
    if not back:  # else it says nothing of the source
        _record(parts, resource, manifest, flow, mapping, rules, replace(verdict, results=told))
    reached("check.recorded")
    if parts.state.run(manifest.run).step != "start":  # else its pull may still be going on
        parts.state.step(manifest.run, "check", decision=verdict.decision)
    return told_of(parts, resource, manifest)


def _record(  # noqa: PLR0917 - where, and what
    parts: Parts,
    resource: Resource,
    manifest: Manifest,
    flow: _Flow,
    mapping: Mapping[str, str],
    rules: Sequence[Rule],
    verdict: Verdict,
) -> None:
    """Put a check into the history, with what was seen of the batch and what is known beside."""
    name = mark(parts.state, manifest)
    known = facts_of(parts.state, resource, manifest, mapping, manifest.rows - flow.deletions)
    if (seen := flow.observer.observed()) != Observed():
        GateStore(parts.state.engine).keep(resource.id, name, seen)
    parts.quality.record(resource.id, resource.department, name, manifest.batch, rules, verdict, known)


class _Flow:
    """Keeps standardised batches on their way to the check, and counts what is told of the whole."""

    def __init__(self, writer: CheckedWriter, control: str, observer: Observer) -> None:
        self._writer, self._control, self.observer = writer, control, observer
        self.unparsed: dict[str, Counter[str]] = {}
        self.deletions = 0

    def through(self, made: Iterable[Standardised]) -> Iterator[pa.Table]:
        """Each batch once it is written, with the order its control columns say."""
        for one in made:
            table = ordered(one.table, self._control)
            for batch in table.to_batches():
                self._writer.write(batch)
            for name, said in one.unparsed.items():
                self.unparsed.setdefault(name, Counter()).update(said)
            self.deletions += deletions(table)
            self.observer.add(table)
            yield table
        reached("check.standardised")


def land_batch(parts: Parts, resource: Resource, manifest: Manifest, run: str) -> Report:
    """Land a checked batch as part of `run`; a held one waits for a data manager."""
    with _alone(parts, resource):
        return _landed(parts, resource, manifest, run)


def _alone(parts: Parts, resource: Resource) -> AbstractContextManager[object]:
    """While it lasts no other process replaces what was checked, which takes the files of the check before away."""
    return parts.store.lock(f"checked-{resource.id}")


def _landed(parts: Parts, resource: Resource, manifest: Manifest, run: str) -> Report:
    kept = kept_check(parts.store, manifest)
    told = _told(resource, manifest, kept)
    holds = Holds(parts.state.engine)
    if kept.decision == "hold":
        decided = holds.decided(resource.id, manifest.batch)
        if decided is None:
            return replace(told, held=manifest.rows)
        if decided.decision == "reject":
            return replace(told, rejected=manifest.rows)
    newer = _newer(parts, resource, manifest) if run == manifest.run else ()
    came = _came(holds, resource, manifest)
    usual = () if resource.reading.mode == "cdc" else resource.order  # a log comes in the order of its changes
    join_small_files(parts.state, parts.tables, of_resource(parts.store, resource))
    landing = land(
        parts.store,
        parts.state,
        parts.tables,
        manifest,
        kept,
        resource=resource.id,
        key=resource.standard.key,
        order=(ORDER,) if ORDER in kept.schema.names else usual,
        run=run,
        newer=newer,
        gone_since=_gone_since(parts, resource, manifest, newer, came),
        came=came,
        partition=resource.partition,
    )
    tidy(parts.state, parts.tables, (resource.table, quarantine_table(resource.id)), parts.kept)
    return replace(
        told,
        landed=landing.landed,
        quarantined=landing.quarantined,
        superseded=landing.superseded,
        deleted=landing.deleted,
        changed=landing.landed + landing.quarantined + landing.deleted > 0,
    )


def _newer(parts: Parts, resource: Resource, manifest: Manifest) -> Sequence[str]:
    """The batches that came later and have landed before this one, which was held, broken or in quarantine."""
    holds = Holds(parts.state.engine)
    newest = parts.state.manifests(resource.id, limit=1)[0].batch == manifest.batch
    return () if newest and not holds.of_run(manifest.run) else holds.newer(resource.id, manifest.batch)


def _came(holds: Holds, resource: Resource, manifest: Manifest) -> CameBack | None:
    """Where the rows of a batch out of quarantine stood when they were delivered; None for any other batch."""
    found = holds.came(resource.id, manifest.run)
    if found is None:
        return None
    batches, rows, places = zip(*found[1], strict=True)
    own = [one == manifest.batch for one in batches]
    table = pa.table({"_batch": pa.array(batches), ROW: pa.array(rows), "_place": pa.array(places), "_own": own})
    return CameBack(found[0], table)


def _gone_since(
    parts: Parts, resource: Resource, manifest: Manifest, newer: Sequence[str], came: CameBack | None
) -> pa.Table | None:
    """The keys of the records that these batches, or the rest of its own, say were deleted; None for no keys."""
    key = list(resource.standard.key)
    found = [_deleted(parts, resource, name).select(key) for name in newer]
    if came is not None and len(gone := _deleted(parts, resource, came.origin)):
        places = came.rows.filter(came.rows["_own"]).select([ROW, "_place"])
        here = kept_check(parts.store, manifest).table([ROW, *key]).join(places, ROW)
        stood = here.group_by(key).aggregate([("_place", "max")])
        both = stood.join(gone.group_by(key).aggregate([(ROW, "max")]), key, join_type="inner")
        found.append(both.filter(pc.greater(both[f"{ROW}_max"], both["_place_max"])).select(key))
    return pa.concat_tables(found) if any(map(len, found)) else None


def _deleted(parts: Parts, resource: Resource, batch: str) -> pa.Table:
    """The rows of a batch that say that the source deleted their record: `_row` and key."""
    kept = kept_check(parts.store, parts.state.manifests(resource.id, batch=batch, limit=1)[0])
    rows, names = kept.deleted(), [ROW, *resource.standard.key]
    if not len(rows):
        return kept.schema.empty_table().select(names)
    table = kept.table(names)
    return table.filter(pc.is_in(table[ROW], value_set=rows))


def told_of(parts: Parts, resource: Resource, manifest: Manifest) -> Report:
    """What the check found in a batch."""
    return _told(resource, manifest, kept_check(parts.store, manifest))


def _told(resource: Resource, manifest: Manifest, kept: KeptCheck) -> Report:
    return Report(
        run=manifest.run,
        resource=resource.id,
        batch=manifest.batch,
        pulled=manifest.rows,
        decision=kept.decision,
        reason_zh=kept.reason_zh,
        reason_en=kept.reason_en,
        rules={count.rule: count.rows for count in kept.counts},
        errors={count.rule: count.error for count in kept.counts if count.error},
        unparsed=_kept_unparsed(resource, kept),
    )


def _kept_unparsed(resource: Resource, kept: KeptCheck) -> Mapping[str, Mapping[str, int]]:
    if TOLD in kept.results:
        return cast("Mapping[str, Mapping[str, int]]", kept.results[TOLD])
    known = cast("Mapping[str, Mapping[str, int]]", kept.results.get(UNPARSED, {}))
    return cast("Mapping[str, Mapping[str, int]]", _tellable(resource, known))


def _tellable(resource: Resource, unparsed: Mapping[str, Mapping[str, int]]) -> dict[str, Json]:
    """Spellings as they were received, but of personal fields, and with a number in them, only their shape."""
    levels = {one.name: one.level for one in resource.checked.fields}
    told: dict[str, Counter[str]] = {}
    for name, said in unparsed.items():
        personal = levels.get(name, PERSONAL) >= PERSONAL
        for text, count in said.items():
            hidden = personal or _NUMBER.search(text) is not None
            told.setdefault(name, Counter())[shape(text) if hidden else text] += count
    return {name: dict(said.most_common()) for name, said in told.items()}


def deletions(table: pa.Table | pa.RecordBatch) -> int:
    """How many rows say that the source deleted their record."""
    if OP not in table.schema.names:
        return 0
    return int(pc.sum(pc.equal(table[OP], DELETED)).as_py() or 0)


def _says(columns: Sequence[str]) -> list[str]:
    """The column that says which rows are deletions, where there is one."""
    return [OP] if OP in columns else [ROW]


def _mapping(resource: Resource, manifest: Manifest, said: Iterable[pa.RecordBatch]) -> Mapping[str, str]:
    """Which column feeds which field; rows that are all said to be deletions need bring no more than the key."""
    declared = resource.columns
    if OP in manifest.columns and manifest.rows and sum(map(deletions, said)) == manifest.rows:
        key = resource.standard.key
        declared = {field: name for field, name in declared.items() if field in key or name in manifest.columns}
    return resolve(resource.checked, manifest.columns, declared)


def _guarded(parts: Parts, resource: Resource, gone: int, verdict: Verdict) -> Verdict:
    """The verdict, or hold where the batch would delete more of the landed records than the resource file allows."""
    released = parts.state.released(resource.table)
    known = parts.tables.row_count(resource.table, released) if gone and released is not None else 0
    limit = resource.reading.max_deletes
    if not known or gone * 100 <= known * limit or (gone <= FEW and gone < known):
        return verdict
    share, kept = gone * 100 / known, verdict.decision == "hold"
    zh = (
        f"本批要删除 {gone:,} 条记录，占已入库 {known:,} 条的 {share:.1f}%，超过上限 {limit:g}%：来源可能没有读全；"
        "请来源部门核实，属实则在资源文件写 read: {max_deletes: …} 放宽上限后重新运行"
    )
    en = (
        f"the batch would delete {gone:,} records, {share:.1f}% of the {known:,} landed, more than the limit of "
        f"{limit:g}%: the source may not have been read whole. Ask the department; if it is true, raise "
        "read: {max_deletes: …} in the resource file and run again"
    )
    return replace(
        verdict,
        decision="hold",
        reason_zh=f"{verdict.reason_zh}；{zh}" if kept else zh,
        reason_en=f"{verdict.reason_en}; {en}" if kept else en,
    )


def mark(state: State, manifest: Manifest) -> str:
    """How the check is known in the history: by its run, and from the second batch of a run on by its number too."""
    place = [one.batch for one in state.pieces(manifest.run)].index(manifest.batch)
    return f"{manifest.run}#{place + 1}" if place else manifest.run
