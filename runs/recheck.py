"""Bring rows back from quarantine: as a data manager corrected them, as they are, or because a rule has changed."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
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
from schemas.standard import ROWSETS, bind
from schemas.values import DETAIL, LINE, OP, RAW_COLUMNS, REJECT, ROW, Batch, Manifest, Severity
from warehouse.keep import keep, received_batches, received_rows
from warehouse.spread import Spread

if TYPE_CHECKING:
    from runs.steps import Steps

Numbers: TypeAlias = npt.NDArray[np.int64]  # of rows


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows of one batch that lie in quarantine and have not come back, by their ordered numbers."""

    batch: Manifest
    rows: Numbers


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


@dataclass(frozen=True, slots=True)
class Share:
    """Rows of one quarantined batch that a worker judges."""

    resource: str
    batch: str
    rows: Numbers


@dataclass(frozen=True, slots=True)
class Judging:
    """Into how many shares what lies in quarantine is cut, who takes them, and what these call: `judge`."""

    spread: Spread
    buckets: int
    judge: Callable[[Share], Numbers]


def in_quarantine(parts: Parts, resource: Resource) -> list[Quarantined]:
    """Everything in quarantine that has not come back, the batches that the source delivered first coming first."""
    snapshot = parts.state.released(resource.quarantine)
    if snapshot is None:
        return []
    found: dict[str, list[Numbers]] = {}
    for some in parts.tables.stream(resource.quarantine, snapshot, ["_batch", ROW]):
        names = some.column("_batch").dictionary_encode()
        places, rows = names.indices.to_numpy(), some.column(ROW).to_numpy()
        for place, name in enumerate(names.dictionary.to_pylist()):
            found.setdefault(name, []).append(rows[places == place].astype(np.int64))
    gone: dict[str, array[int]] = {}
    for one in Holds(parts.state.engine).returned(resource.id):
        gone.setdefault(one.origin, array("q")).append(one.row)
    left = {
        name: np.setdiff1d(np.concatenate(rows), np.asarray(gone.get(name, []), np.int64))
        for name, rows in found.items()
    }
    known = {one.batch: one for one in parts.state.manifests(resource.id, limit=10**6)}
    batches = sorted((known[name] for name in left if name in known), key=lambda one: one.pulled_at)
    return [Quarantined(one, left[one.batch]) for one in batches if len(left[one.batch])]


def recheck(  # noqa: PLR0917 - as below
    steps: Steps, parts: Parts, resource_id: str, by: str, at: datetime, name: str, judging: Judging | None = None
) -> Back:
    """Judge what lies in quarantine by the rules of today, and land the rows that pass, each once.

    `name` begins the names of the runs; the workers of `judging` judge, where it is given. What landed later under the
    same key stays. Killed at any point and called again, or by the next run of the resource, it ends in the same.
    """
    resource = _resource(parts, resource_id)
    backs = []
    with parts.store.lock(f"return-{resource.id}"):
        every = in_quarantine(parts, resource)
        # What lands may be what the next batch's rules look at: then each batch is judged when it is its turn.
        ahead = [] if judging is None or resource.references else _passing(resource, every, judging)
        for number, lying in enumerate(every, start=1):
            if judging is None:
                passing = judge(parts, Share(resource.id, lying.batch.batch, lying.rows))
            else:
                passing = ahead[number - 1] if ahead else _passing(resource, [lying], judging)[0]
            if len(passing):
                run, rows = f"{name}-{number}", _received(parts, lying.batch, passing)
                _keep(parts, resource, lying.batch, passing, rows, "recheck", run, {}, (), by, "", at)
                backs.append(_landed(steps, resource, run, lying, len(passing)))
            else:
                backs.append(Back(resource.id, len(lying.rows), 0, 0, 0, ()))
    return _together(resource.id, backs)


def judge(parts: Parts, share: Share) -> Numbers:
    """The rows of a share that pass the rules of today, ordered."""
    resource = _resource(parts, share.resource)
    batch = next(one for one in parts.state.manifests(resource.id, limit=10**6) if one.batch == share.batch)
    rows = _received(parts, batch, share.rows)
    return _judged(parts, resource, Quarantined(batch, share.rows), rows, {})[0]


def _passing(resource: Resource, every: Sequence[Quarantined], judging: Judging) -> list[Numbers]:
    """The rows of each batch that pass, as the workers say; a batch is cut unless its rules look at all of it."""
    rules = (*resource.checked.rules, *resource.rules)
    whole = any(one.kind in ROWSETS for one in rules)
    rows = sum(len(one.rows) for one in every)
    shares = [
        (place, Share(resource.id, one.batch.batch, some))
        for place, one in enumerate(every)
        for some in np.array_split(one.rows, 1 if whole else -(-len(one.rows) * judging.buckets // rows))
    ]
    found: list[list[Numbers]] = [[] for _ in every]
    passing = judging.spread.each(judging.judge, [share for _, share in shares])
    for (place, _), some in zip(shares, passing, strict=True):
        found[place].append(some)
    return [np.concatenate(one) for one in found]


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
        wanted = np.unique(np.asarray(rows, np.int64))
        missing = np.setdiff1d(wanted, [] if lying is None else lying.rows)
        if lying is None or len(missing) or not len(wanted):
            raise _not_there(resource.id, batch, missing.tolist())
        lying = Quarantined(lying.batch, wanted)
        received = list(_received(parts, lying.batch, wanted))
        if changes:
            received = _changed(resource, lying.batch, received, changes)
        accepted = {} if changes else _violated(parts, resource, batch, wanted)
        as_warnings: dict[str, Severity] = {rule: "warning" for said in accepted.values() for rule in said}
        passing, broken = _judged(parts, resource, lying, received, as_warnings, changed=bool(changes))
        if len(passing) < len(wanted):
            raise _still_fails(resource.id, len(wanted) - len(passing), broken, corrected=bool(changes))
        kind: Kind = "correction" if changes else "release"
        changed = tuple(sorted(changes))
        _keep(parts, resource, lying.batch, wanted, received, kind, run, accepted, changed, by.id, words, at)
        return _landed(steps, resource, run, lying, len(wanted))


def _violated(parts: Parts, resource: Resource, batch: str, rows: Numbers) -> dict[int, list[str]]:
    """The rules that quarantined rows of a batch violate, row by row."""
    numbers = ", ".join(map(str, rows.tolist()))
    where, snapshot = f'"_batch" = ? AND "{ROW}" IN ({numbers})', parts.state.released(resource.quarantine)
    found = parts.tables.read(resource.quarantine, snapshot, [ROW, "rules"], where, [batch])
    return dict(zip(found[ROW].to_pylist(), found["rules"].to_pylist(), strict=True))


def _received(parts: Parts, batch: Manifest, numbers: Numbers) -> Iterator[pa.RecordBatch]:
    """The rows as they were received, ordered; some are in memory at a time."""
    return received_rows(parts.store, batch, numbers)


def _changed(
    resource: Resource, batch: Manifest, rows: Sequence[pa.RecordBatch], changes: Mapping[str, str]
) -> list[pa.RecordBatch]:
    """The rows with other values; what the reader had found wrong with them is for the rules to say now."""
    feeding = resolve(resource.checked, batch.columns, resource.columns)
    put: dict[str, str | None] = dict.fromkeys((REJECT, DETAIL, LINE))
    for name, value in changes.items():
        column = feeding.get(name, name)
        if column in (*RAW_COLUMNS, OP) or column not in batch.columns:
            raise _no_column(resource.id, name, [one for one in batch.columns if one not in (*RAW_COLUMNS, OP)])
        put[column] = value
    made = []
    for one in rows:
        new = one
        for column, said in put.items():
            new = _put(new, column, pa.array([said] * one.num_rows, pa.string()))
        made.append(new)
    return made


def _put(rows: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    return rows.set_column(rows.schema.get_field_index(name), name, values)


def _judged(
    parts: Parts,
    resource: Resource,
    lying: Quarantined,
    rows: Iterable[pa.RecordBatch],
    accepted: Mapping[str, Severity],
    *,
    changed: bool = False,
) -> tuple[Numbers, list[str]]:
    """The `_row`s that would land, ordered, and the error rules that keep the others out; where none does, a key lacks.

    Where a rule looks at other rows of the batch they are judged among them, as they stand by now.
    """
    from quality.check import check_parts
    from quality.rowsets import references as looked_at

    standard, batch = resource.checked, lying.batch
    mapping = resolve(standard, batch.columns, resource.columns)
    there = references.known(resource, parts.resources.values(), parts.references, parts.state, parts.tables)
    rules = bind(standard, mapping, {**resource.severities, **accepted}, resource.rules, there)
    lists = code_lists.lists(standard, rules)
    spellings = {name: one.spellings for name, one in lists.items()}
    if any(one.kind in ROWSETS and one.severity == "error" for one in rules):
        rows = _whole(parts, resource, batch, rows if changed else ())
    made = standardise_batches(rows, standard, mapping, spellings, parts.today())
    keyed: list[Numbers] = []

    def flowing() -> Iterable[pa.Table]:
        for one in made:
            there = [pc.is_valid(one.table[name]) for name in standard.key if name in one.table.column_names]
            mask = there[0] if there else pa.array([False] * one.table.num_rows)
            for other in there[1:]:
                mask = pc.and_(mask, other)
            keyed.append(one.table.filter(mask)[ROW].to_numpy())
            yield one.table

    codes = {name: frozenset(one.codes) for name, one in lists.items()}
    kinds = schema(standard, mapping, batch.columns)
    related = references.given(there, looked_at(rules))
    verdict = check_parts(flowing(), kinds, rules, codes, Gate(max_percent=None), parts.today(), related)
    errors = [one.rule for one in verdict.counts if one.error is not None and one.severity == "error"]
    if errors or not keyed:
        return np.empty(0, np.int64), errors
    good = np.setdiff1d(np.concatenate(keyed), verdict.quarantine.to_numpy(zero_copy_only=False))
    passing = np.intersect1d(good, lying.rows)
    left = pa.array(np.setdiff1d(lying.rows, passing))
    found = verdict.violations.filter(pc.is_in(verdict.violations[ROW], value_set=left))
    named = set(pc.list_flatten(found["rules"]).unique().to_pylist())
    return passing, [one.id for one in rules if one.id in named and one.severity == "error"]


def _whole(
    parts: Parts, resource: Resource, batch: Manifest, changed: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """All rows of a batch as they were received, but for those that are, or have been, corrected."""
    instead = {}
    for one in Holds(parts.state.engine).returned(resource.id):
        if one.origin == batch.batch and one.changed:
            came = parts.state.manifests(resource.id, run=one.run)[0]
            for row in _received(parts, came, np.asarray([one.place], np.int64)):
                instead[one.row] = _put(row, ROW, pa.array([one.row])).select(batch.columns)
    for some in changed:
        for place, number in enumerate(some.column(ROW).to_pylist()):
            instead[number] = some.slice(place, 1)
    corrected = pa.array(list(instead), pa.int64())
    for some in received_batches(parts.store, batch):
        hit = pc.is_in(some.column(ROW), value_set=corrected)
        new = [instead[number] for number in some.filter(hit).column(ROW).to_pylist()]
        if new:
            table = pa.Table.from_batches([some.filter(pc.invert(hit)), *new]).sort_by(ROW)
            yield from table.combine_chunks().to_batches()
        else:
            yield some


def _keep(  # noqa: PLR0917 - which rows, how, by whom, why and when
    parts: Parts, resource: Resource, origin: Manifest, numbers: Numbers, rows: Iterable[pa.RecordBatch], kind: Kind,
    run: str, accepted: Mapping[int, Sequence[str]], changed: tuple[str, ...], who: str, why: str, at: datetime,
) -> None:  # fmt: skip
    """Make the rows a batch of their own; from the moment it is there they count as come back."""
    parts.state.start_run(run, resource.id, trigger=kind)
    told = [
        {
            "kind": kind, "origin": origin.batch, "row": row, "place": place, "changed": list(changed),
            "accepted": list(accepted.get(row, ())),
        }
        for place, row in enumerate(numbers.tolist(), start=1)
    ]  # fmt: skip
    Holds(parts.state.engine).bring_back(resource.id, run, told, who=who, why=why, at=at)
    keep(parts.store, parts.state, resource.id, run, _numbered(rows), name=run, moves=False)


def _numbered(rows: Iterable[pa.RecordBatch]) -> Iterator[Batch]:
    """The rows as a batch of their own has them, numbered from one."""
    first = 1
    for one in rows:
        yield Batch(_put(one, ROW, pa.array(np.arange(first, first + one.num_rows))))
        first += one.num_rows


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


def _still_fails(resource: str, rows: int, rules: Sequence[str], *, corrected: bool) -> RunError:
    todo = ("再更正", "Correct it further") if corrected else ("改用更正", "Correct it instead")
    why = (
        ("违反 " + "、".join(rules), f"they violate {', '.join(rules)}") if rules else ("没有主键", "they have no key")
    )
    return RunError(
        "RUN-RETURN-FAILS",
        zh=f"{resource} 的 {rows} 行仍不能入库：{why[0]}",
        en=f"{rows} rows of {resource} still cannot land: {why[1]}",
        fix_zh=f"{todo[0]}：shutong quality correct {resource} --set 字段=值；没有主键的行只能更正",
        fix_en=f"{todo[1]}: shutong quality correct {resource} --set field=value; a row needs a key",
    )
