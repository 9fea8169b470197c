"""Bring rows back from quarantine: as a data manager corrected them, as they are, or because a rule has changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from quality.gate import Gate
from quality.orders_refusals import plain_words
from quality.orders_values import DATA_MANAGER, Actor, day_of
from runs import references
from runs.batch import Parts
from runs.errors import RunError, unknown_resource
from runs.holds import no_right
from runs.holds_store import Holds, Kind
from runs.resources import Resource
from schemas import code_lists
from schemas.mapping import resolve, schema, standardise_batches
from schemas.standard import bind
from schemas.values import DETAIL, LINE, OP, RAW_COLUMNS, REJECT, ROW, Batch, Manifest, Severity
from warehouse.keep import keep, received_rows

if TYPE_CHECKING:
    from runs.steps import Steps

AT_ONCE = 200_000  # rows of one batch that come back together


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows of one batch that lie in quarantine and have not come back: number → the rules they violated."""

    batch: Manifest
    rows: Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Back:
    """What became of rows that were to come back: of `looked_at`, so many pass now; of those, so many landed.

    `superseded`: newer records of their keys had landed, which stay. `runs` are the runs that brought them.
    """

    resource: str
    looked_at: int
    passed: int
    landed: int
    superseded: int
    runs: tuple[str, ...]


def in_quarantine(parts: Parts, resource: Resource) -> list[Quarantined]:
    """Everything in quarantine that has not come back, the batches that the source delivered first coming first."""
    snapshot = parts.state.released(resource.quarantine)
    if snapshot is None:
        return []
    lying = parts.tables.read(resource.quarantine, snapshot, ["_batch", ROW, "rules"])
    gone = {(one.origin, one.row) for one in Holds(parts.state.engine).returned(resource.id)}
    found: dict[str, dict[int, tuple[str, ...]]] = {}
    columns = (lying[name].to_pylist() for name in ("_batch", ROW, "rules"))
    for batch, row, rules in zip(*columns, strict=True):
        if (batch, row) not in gone:
            found.setdefault(batch, {})[row] = tuple(rules)
    known = {one.batch: one for one in parts.state.manifests(resource.id, limit=10**6)}
    batches = sorted((known[name] for name in found if name in known), key=lambda one: one.pulled_at)
    return [Quarantined(one, dict(sorted(found[one.batch].items()))) for one in batches]


def recheck(  # noqa: PLR0917 - as below
    steps: Steps, parts: Parts, resource_id: str, by: str, at: datetime, name: str
) -> Back:
    """Judge what lies in quarantine by the rules of today, and land the rows that pass, each once.

    `name` begins the names of the runs. What landed later under the same key stays. Killed at any point and called
    again, or by the next run of the resource, it ends in the same.
    """
    resource = _resource(parts, resource_id)
    backs = []
    with parts.store.lock(f"return-{resource.id}"):
        for number, lying in enumerate(in_quarantine(parts, resource), start=1):
            rows = _received(parts, lying.batch, list(lying.rows))
            passing = _passing(parts, resource, lying.batch, rows, {})
            taken = rows.filter(pc.is_in(rows[ROW], value_set=passing))
            if taken.num_rows:
                run = f"{name}-{number}"
                _keep(parts, resource, lying, taken, "recheck", run, {}, (), by, "", at)
                backs.append(_landed(steps, resource, run, lying, taken.num_rows))
            else:
                backs.append(Back(resource.id, len(lying.rows), 0, 0, 0, ()))
    return _together(resource.id, backs)


def release(  # noqa: PLR0917 - which row, by whom, why and when, in the order they are said
    steps: Steps, parts: Parts, resource_id: str, batch: str, rows: Sequence[int], by: Actor, why: str, at: datetime,
    run: str,
) -> Back:  # fmt: skip
    """Land quarantined rows as they are, the rules they violate accepted for them by a data manager."""
    return _by_hand(steps, parts, resource_id, batch, rows, {}, by, why, at, run)


def correct(  # noqa: PLR0917 - as above
    steps: Steps, parts: Parts, resource_id: str, batch: str, row: int, changes: Mapping[str, str], by: Actor,
    why: str, at: datetime, run: str,
) -> Back:  # fmt: skip
    """Land a quarantined row with other values (field or source column → value); it is judged like any other."""
    return _by_hand(steps, parts, resource_id, batch, [row], changes, by, why, at, run)


def _by_hand(  # noqa: PLR0917 - as above
    steps: Steps, parts: Parts, resource_id: str, batch: str, rows: Sequence[int], changes: Mapping[str, str],
    by: Actor, why: str, at: datetime, run: str,
) -> Back:  # fmt: skip
    if DATA_MANAGER not in by.roles:
        raise no_right(by)
    words, resource = plain_words(why, day_of(at)), _resource(parts, resource_id)
    with parts.store.lock(f"return-{resource.id}"):
        lying = next((one for one in in_quarantine(parts, resource) if one.batch.batch == batch), None)
        if lying is None or not set(rows) <= set(lying.rows):
            raise _not_there(resource.id, batch, sorted(set(rows) - set(lying.rows if lying else ())))
        lying = Quarantined(lying.batch, {row: lying.rows[row] for row in sorted(set(rows))})
        received = _received(parts, lying.batch, list(lying.rows))
        if changes:
            received = _changed(resource, lying.batch, received, changes)
        accepted: dict[str, Severity] = {}
        if not changes:
            accepted = {rule: "warning" for said in lying.rows.values() for rule in said}
        passing = _passing(parts, resource, lying.batch, received, accepted)
        if len(passing) < received.num_rows:
            raise _still_fails(resource.id, received.num_rows - len(passing), corrected=bool(changes))
        kind: Kind = "correction" if changes else "release"
        _keep(parts, resource, lying, received, kind, run, accepted, tuple(sorted(changes)), by.id, words, at)
        return _landed(steps, resource, run, lying, received.num_rows)


def _received(parts: Parts, batch: Manifest, numbers: Sequence[int]) -> pa.Table:
    rows = np.asarray(numbers, np.int64)
    kinds = pa.schema([(name, pa.int64() if name == ROW else pa.string()) for name in batch.columns])
    return pa.Table.from_batches(received_rows(parts.store, batch, rows), kinds)


def _changed(resource: Resource, batch: Manifest, rows: pa.Table, changes: Mapping[str, str]) -> pa.Table:
    """The rows with other values; what the reader had found wrong with them is for the rules to say now."""
    feeding = resolve(resource.standard, batch.columns, resource.columns)
    for name, value in changes.items():
        column = feeding.get(name, name)
        if column in (*RAW_COLUMNS, OP) or column not in rows.column_names:
            raise _no_column(resource.id, name, [one for one in batch.columns if one not in (*RAW_COLUMNS, OP)])
        rows = _put(rows, column, pa.array([value] * rows.num_rows, pa.string()))
    for name in (REJECT, DETAIL, LINE):
        rows = _put(rows, name, pa.nulls(rows.num_rows, pa.string()))
    return rows


def _put(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def _passing(
    parts: Parts, resource: Resource, batch: Manifest, rows: pa.Table, accepted: Mapping[str, Severity]
) -> pa.Array:
    """The `_row`s that would land: they violate no error rule, and have a key."""
    from quality.check import check_parts
    from quality.rowsets import references as looked_at

    standard = resource.standard
    mapping = resolve(standard, batch.columns, resource.columns)
    there = references.known(resource, parts.resources.values(), parts.references, parts.state, parts.tables)
    rules = bind(standard, mapping, {**resource.severities, **accepted}, resource.rules, there)
    lists = code_lists.lists(standard, rules)
    spellings = {name: one.spellings for name, one in lists.items()}
    made = standardise_batches(rows.to_batches(), standard, mapping, spellings, parts.today())
    keyed: list[pa.Array] = []

    def flowing() -> Iterable[pa.Table]:
        for one in made:
            there = [pc.is_valid(one.table[name]) for name in standard.key if name in one.table.column_names]
            mask = there[0] if there else pa.array([False] * one.table.num_rows)
            for other in there[1:]:
                mask = pc.and_(mask, other)
            keyed.append(one.table.filter(mask)[ROW].combine_chunks())
            yield one.table

    codes = {name: frozenset(one.codes) for name, one in lists.items()}
    kinds = schema(standard, mapping, batch.columns)
    related = references.given(there, looked_at(rules))
    verdict = check_parts(flowing(), kinds, rules, codes, Gate(max_percent=None), parts.today(), related)
    broken = any(one.error is not None and one.severity == "error" for one in verdict.counts)
    good = pa.chunked_array(keyed, pa.int64()).combine_chunks() if keyed and not broken else pa.array([], pa.int64())
    return good.filter(pc.invert(pc.is_in(good, value_set=verdict.quarantine.cast(pa.int64()))))


def _keep(  # noqa: PLR0917 - which rows, how, by whom, why and when
    parts: Parts, resource: Resource, lying: Quarantined, rows: pa.Table, kind: Kind, run: str,
    accepted: Mapping[str, Severity], changed: tuple[str, ...], who: str, why: str, at: datetime,
) -> None:  # fmt: skip
    """Make the rows a batch of their own; from the moment it is there they count as come back."""
    parts.state.start_run(run, resource.id, trigger=kind)
    origin = lying.batch.batch
    told = [
        {
            "kind": kind, "origin": origin, "row": row, "place": place, "changed": list(changed),
            "accepted": [rule for rule in lying.rows[row] if rule in accepted],
        }
        for place, row in enumerate(rows[ROW].to_pylist(), start=1)
    ]  # fmt: skip
    Holds(parts.state.engine).bring_back(resource.id, run, told, who=who, why=why, at=at)
    numbered = _put(rows, ROW, pa.array(np.arange(1, rows.num_rows + 1)))
    batches = [Batch(one) for one in numbered.combine_chunks().to_batches(AT_ONCE)]
    keep(parts.store, parts.state, resource.id, run, batches, name=run, moves=False)


def _landed(steps: Steps, resource: Resource, run: str, lying: Quarantined, passed: int) -> Back:
    steps.check(resource.id, run)
    report = steps.land(resource.id, run)
    return Back(resource.id, len(lying.rows), passed, report.landed, report.superseded, (run,))


def _together(resource: str, backs: Sequence[Back]) -> Back:
    return Back(
        resource,
        sum(one.looked_at for one in backs),
        sum(one.passed for one in backs),
        sum(one.landed for one in backs),
        sum(one.superseded for one in backs),
        tuple(run for one in backs for run in one.runs),
    )


def _resource(parts: Parts, name: str) -> Resource:
    if name not in parts.resources:
        raise unknown_resource(name, sorted(parts.resources))
    return parts.resources[name]


def _not_there(resource: str, batch: str, rows: Sequence[int]) -> RunError:
    shown = ", ".join(map(str, rows[:5]))
    return RunError(
        "RUN-RETURN-ROW",
        zh=f"{resource} 批次 {batch} 的行 {shown} 不在隔离区，或已处理过",
        en=f"row {shown} of batch {batch} of {resource} is not in quarantine, or came back already",
        fix_zh=f"用 shutong quality show {resource} --rows 20 查看隔离的行及其批次",
        fix_en=f"See the quarantined rows with their batches: shutong quality show {resource} --rows 20",
    )


def _no_column(resource: str, name: str, known: Sequence[str]) -> RunError:
    return RunError(
        "RUN-RETURN-COLUMN",
        zh=f"{resource} 没有字段或来源列“{name}”；来源列：{'、'.join(known)}",
        en=f"{resource} has no field or source column '{name}'; source columns: {', '.join(known)}",
        fix_zh="写成 --set 字段=值",
        fix_en="Write --set field=value",
    )


def _still_fails(resource: str, rows: int, *, corrected: bool) -> RunError:
    todo = ("再更正", "Correct it further") if corrected else ("改用更正", "Correct it instead")
    return RunError(
        "RUN-RETURN-FAILS",
        zh=f"{resource} 的 {rows} 行仍不能入库：违反其他规则，或没有主键",
        en=f"{rows} rows of {resource} still cannot land: they violate other rules or have no key",
        fix_zh=f"{todo[0]}：shutong quality correct {resource} --set 字段=值；没有主键的行只能更正",
        fix_en=f"{todo[1]}: shutong quality correct {resource} --set field=value; a row needs a key",
    )
