"""One pulled batch at a time: standardise and check it, land it, and tell what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from quality.store import QualityStore
from runs.control import ordered
from runs.reports import Report
from runs.resources import Resource
from schemas.code_lists import CodeList
from schemas.code_lists import load as load_list
from schemas.mapping import resolve, standardise
from schemas.points import reached
from schemas.standard import Standard, bind
from schemas.values import DELETED, OP, ORDER, Json, Manifest, Source, Verdict
from warehouse.checked import checked, keep_checked
from warehouse.keep import received
from warehouse.land import land
from warehouse.state import State
from warehouse.store import ObjectStore
from warehouse.tables import Tables

UNPARSED = "unparsed"
FEW = 10  # deletions that are never too many, unless they are of all there is


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps work with, chosen by the composition root.

    `open_source` opens a resource's connector; `authority` says, per library and field, which departments' word counts,
    first first (`default`: every field not named).
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


def check_batch(parts: Parts, resource: Resource, manifest: Manifest) -> Report:
    """Standardise and check a batch; table and verdict are durable and in the history."""
    from quality.check import check as judge

    standard = resource.standard
    raw = received(parts.store, manifest)
    mapping = _mapping(resource, manifest, raw)
    lists = code_lists(standard)
    made = standardise(raw, standard, mapping, {name: one.spellings for name, one in lists.items()}, parts.today())
    reached("check.standardised")
    rules = bind(standard, mapping, resource.severities, resource.rules)
    codes = {name: frozenset(one.codes) for name, one in lists.items()}
    gate = replace(resource.gate, keys=tuple(key for key in standard.key if key in mapping))
    verdict = judge(made.table, rules, codes, gate, parts.today())
    verdict = _guarded(parts, resource, made.table, verdict)
    told: dict[str, Json] = dict(verdict.results)
    told[UNPARSED] = {name: dict(said) for name, said in made.unparsed.items()}
    verdict = replace(verdict, results=told)
    keep_checked(parts.store, manifest, made.table, verdict, rules)
    mark = _mark(parts.state, manifest)
    parts.quality.record(resource.id, resource.department, mark, manifest.batch, rules, verdict)
    reached("check.recorded")
    if parts.state.run(manifest.run).step != "start":  # else its pull may still be going on
        parts.state.step(manifest.run, "check", decision=verdict.decision)
    return told_of(parts, resource, manifest)


def land_batch(parts: Parts, resource: Resource, manifest: Manifest, run: str) -> Report:
    """Land a checked batch as part of `run`; a held one waits for a data manager."""
    kept = checked(parts.store, manifest)
    told = told_of(parts, resource, manifest)
    if kept.verdict.decision == "hold":
        return replace(told, held=manifest.rows)
    mapping = _mapping(resource, manifest, kept.table)
    table = ordered(kept.table, resource.reading.control)
    usual = () if resource.reading.mode == "cdc" else resource.order  # a log comes in the order of its changes
    landing = land(
        parts.store,
        parts.state,
        parts.tables,
        manifest,
        replace(kept, table=table),
        resource=resource.id,
        key=resource.standard.key,
        order=(ORDER,) if ORDER in table.column_names else usual,
        columns={name: column for name, column in mapping.items() if name in table.column_names},
        run=run,
    )
    return replace(
        told,
        landed=landing.landed,
        quarantined=landing.quarantined,
        superseded=landing.superseded,
        deleted=landing.deleted,
        changed=landing.landed + landing.quarantined + landing.deleted > 0,
    )


def told_of(parts: Parts, resource: Resource, manifest: Manifest) -> Report:
    """What the check found in a batch."""
    verdict = checked(parts.store, manifest).verdict
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


def deletions(table: pa.Table) -> int:
    """How many rows say that the source deleted their record."""
    if OP not in table.column_names:
        return 0
    return int(pc.sum(pc.equal(table[OP], DELETED)).as_py() or 0)


def _mapping(resource: Resource, manifest: Manifest, table: pa.Table) -> Mapping[str, str]:
    """Which column feeds which field; rows that are all deletions need bring no more than the key."""
    declared = resource.columns
    if table.num_rows and deletions(table) == table.num_rows:
        key = resource.standard.key
        declared = {field: name for field, name in declared.items() if field in key or name in manifest.columns}
    return resolve(resource.standard, manifest.columns, declared)


def _guarded(parts: Parts, resource: Resource, table: pa.Table, verdict: Verdict) -> Verdict:
    """The verdict, or hold where the batch would delete more of the landed records than the resource file allows."""
    gone = deletions(table)
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


def _mark(state: State, manifest: Manifest) -> str:
    """How the check is known in the history: by its run, and from the second batch of a run on by its number too."""
    place = [one.batch for one in state.pieces(manifest.run)].index(manifest.batch)
    return f"{manifest.run}#{place + 1}" if place else manifest.run


def code_lists(standard: Standard) -> dict[str, CodeList]:
    """The code lists the standard's fields refer to, by name."""
    return {name: load_list(name) for name in {one.codes for one in standard.fields} if name}
