"""Rebuild a library in buckets, ranges of keys that several workers combine; one commit takes all that they wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import duckdb
import pyarrow as pa

from schemas.points import reached
from schemas.values import Json
from warehouse import merge_whole, survivors
from warehouse.crosswalk import ENTITY, sql_type
from warehouse.errors import WarehouseError
from warehouse.library_job import AT, EVENT, EVENTS, KEY, Job, Outcome
from warehouse.library_state import Made
from warehouse.links import rename
from warehouse.merge_whole import SPECIAL, Beside, Range
from warehouse.said import rules_of
from warehouse.spread import MEMORY, R, Room, Spread, V
from warehouse.sql import literal, quote
from warehouse.survivors import DEPARTMENTS, SOURCES, Compared
from warehouse.tables import Staged, Tables
from warehouse.words import resolve


@dataclass(frozen=True, slots=True)
class Bucket:
    """Bucket `number` of a merge, `of` in all, counted from 0; `plan` is the file that says what the merge reads.

    Its values say where things are and nothing that is secret: a scheduler may show them.
    """

    library: str
    merge: str
    number: int
    of: int
    plan: str
    threads: int | None = None
    memory: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What came of a bucket: files of the base table and of its history, in no snapshot yet, and what was counted."""

    number: int
    files: tuple[str, ...]
    rows: int
    history: tuple[str, ...]
    happened: int
    compared: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True)
class Spreading:
    """In how many buckets a merge goes to which workers, and what these call: `combine` with tables they opened."""

    spread: Spread
    buckets: int
    combine: Callable[[Bucket], Piece]


@dataclass(frozen=True, slots=True)
class Plan:
    """A merge that was begun: what it goes by and reads, its ranges of keys, and what is written of it already.

    `special` are files with the rows of each contribution that come under another key than their own.
    """

    run: str
    job: Job
    rules: Mapping[str, Json]
    before: int | None
    ranges: tuple[Range, ...]
    special: Mapping[int, str]
    beside: Beside


@dataclass(frozen=True, slots=True)
class Returned:
    """A merge that was begun and handed to others (`Handing`), and what they made of its buckets."""

    plan: Plan
    pieces: tuple[Piece, ...]


class HandedError(Exception):
    """The buckets of a merge that somebody else is to spread; no failure."""

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        super().__init__(len(buckets))
        self.buckets = tuple(buckets)


class Handing:
    """Hands the buckets to whoever began the merge, by raising HandedError, and leaves the plan where it is."""

    room, workers = Room(1, MEMORY), 1

    def each(self, act: Callable[[V], R], values: Sequence[V]) -> list[R]:  # noqa: ARG002
        """See Spread."""
        raise HandedError([one for one in values if isinstance(one, Bucket)])


def build(tables: Tables, job: Job, rules: Mapping[str, Json], run: str, *, before: int | None,
          spreading: Spreading) -> Outcome:  # fmt: skip
    """Stage the whole library with the workers' help; see merge_whole.build."""
    plan = begun(tables, job, rules, run, before=before, pieces=spreading.buckets)
    file = write(tables, plan)
    try:
        asked = buckets(plan, file, spreading.spread.room)
        pieces = spreading.spread.each(spreading.combine, asked)
    except HandedError:
        raise
    except BaseException:
        forget(tables, plan, file)
        raise
    forget(tables, plan, file)
    return collected(Returned(plan, tuple(pieces)), run)


def begun(tables: Tables, job: Job, rules: Mapping[str, Json], run: str, *, before: int | None,
          pieces: int) -> Plan:  # fmt: skip
    """Cut the keys into so many ranges, lead rows without a key to theirs, and write what all buckets share."""
    for name, shape in _shapes(job).items():
        tables.ensure(name, shape)
    with tables.connect() as connection:
        inputs = merge_whole.read(connection, tables, job)
        merge_whole.lead(connection, job, [view for view, _ in inputs])
        cut = merge_whole.ranges(connection, tables, job, [view for view, _ in inputs], pieces)
        special = {}
        for number in range(len(inputs)):
            rows = connection.sql(f"FROM {SPECIAL}_{number}")
            if connection.execute(f"SELECT count(*) FROM {SPECIAL}_{number}").fetchall()[0][0]:
                special[number] = tables.place(job.base, f".{_short(run)}.special.parquet")
                with tables.site.new(special[number]) as file:
                    rows.to_parquet(str(file), compression="zstd")
        return Plan(run, job, rules, before, tuple(cut), special, merge_whole.beside(connection, tables, job, inputs))


def write(tables: Tables, plan: Plan) -> str:
    """Write the plan where every worker reads it; returns the file."""
    said = {
        "run": plan.run, "library": plan.job.library, "at": plan.job.at, "inputs": plan.job.inputs,
        "rules": plan.rules, "before": plan.before, "ranges": plan.ranges, "special": plan.special,
        "said": _staged_json(plan.beside.said), "xref": _staged_json(plan.beside.xref), "told": plan.beside.told,
    }  # fmt: skip
    place = tables.place(plan.job.base, f".{_short(plan.run)}.plan.json")
    with tables.site.new(place) as file:
        file.write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")
    return place


def buckets(plan: Plan, file: str, room: Room) -> list[Bucket]:
    """A bucket for each range of the plan."""
    of = len(plan.ranges)
    return [Bucket(plan.job.library, plan.run, number, of, file, room.threads, room.memory) for number in range(of)]


def read(tables: Tables, file: str) -> Plan:
    """The plan that a file holds; WH-SPREAD-PLAN where this machine does not see it."""
    try:
        with tables.connect() as connection:
            found = connection.execute("SELECT content FROM read_text(?)", [file]).fetchall()
    except WarehouseError as error:
        if error.code != "WH-FILE-MISSING":
            raise
        raise _unseen(file) from error
    if not found:
        raise _unseen(file)
    said = json.loads(found[0][0])
    made = Made(said["library"], said["run"], 0, said["at"], said["rules"], said["inputs"], {})
    standard, contributions = rules_of(made)
    job = Job(made.library, standard, contributions, made.inputs, made.words, made.at)
    beside = Beside(_staged(said["said"]), _staged(said["xref"]), said["told"])
    cut = tuple((low, high) for low, high in said["ranges"])
    special = {int(number): name for number, name in said["special"].items()}
    return Plan(made.run, job, made.rules, said["before"], cut, special, beside)


def combine(tables: Tables, bucket: Bucket) -> Piece:
    """Combine the keys of a bucket, and write its records and its history; done again, it writes other files."""
    plan = read(tables, bucket.plan)
    job, one = plan.job, plan.ranges[bucket.number]
    suffix = f".{_short(bucket.merge)}-{bucket.number}-of-{bucket.of}.parquet"
    with tables.connect(bucket.memory) as connection:
        if bucket.threads is not None:
            connection.execute(f"SET threads = {bucket.threads}")
        inputs = merge_whole.read(connection, tables, job)
        rename(connection, resolve(job.words)[0])
        for number, (view, _) in enumerate(inputs):
            if file := plan.special.get(number):
                rows = f"FROM read_parquet({literal(file)})"
            else:
                rows = f"SELECT *, NULL::VARCHAR AS {ENTITY} FROM {view} LIMIT 0"
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {SPECIAL}_{number} AS {rows}")
        made, compared = merge_whole.combine(connection, tables, job, inputs, one, before=plan.before, more=False)
        reached("merge.bucket")
        records = tables.stage(job.base, connection.sql(f"FROM {made}"), sort=[job.key], suffix=suffix)
        happened = tables.stage(job.history, connection.sql(f"FROM {EVENTS}"), sort=[KEY], suffix=suffix)
    counted = tuple(survivors.as_json(compared))
    return Piece(bucket.number, records.files, records.rows, happened.files, happened.rows, counted)


def collected(returned: Returned, run: str) -> Outcome:
    """What the buckets made, as one; WH-SPREAD-PIECES where one is missing or told twice.

    `run` is what the merge would be called now: another one where the library was merged meanwhile, and what differs
    from it cannot be told any more; then WH-SPREAD-STALE.
    """
    plan, told = returned.plan, sorted(returned.pieces, key=lambda one: one.number)
    if plan.run != run:
        raise _stale(plan.job.library)
    if [one.number for one in told] != list(range(len(plan.ranges))):
        raise _not_whole(len(plan.ranges), [one.number for one in told])
    compared: tuple[Compared, ...] = ()
    for piece in told:
        counted = [Compared(**one) for one in piece.compared]  # type: ignore[arg-type]
        compared = survivors.summed((1, compared), (1, counted))
    records = [Staged(plan.job.base, piece.files, piece.rows) for piece in told]
    happened = [Staged(plan.job.history, piece.history, piece.happened) for piece in told]
    return merge_whole.outcome(plan.beside, merge_whole.together(records), merge_whole.together(happened), compared)


def forget(tables: Tables, plan: Plan, file: str) -> None:
    """Remove what only the buckets needed; what is left of a merge that was given up the sweep removes."""
    for one in (file, *plan.special.values()):
        tables.site.remove(one)


def _shapes(job: Job) -> dict[str, pa.Schema]:
    """The columns of the base table and of its history."""
    kinds = {one.name: sql_type(job.standard, one.name) for one in job.standard.fields}
    record = {**kinds, SOURCES: "VARCHAR", DEPARTMENTS: "VARCHAR[]"}
    event = {KEY: "VARCHAR", AT: "VARCHAR", EVENT: "VARCHAR", **record}

    def shape(columns: Mapping[str, str]) -> pa.Schema:
        listed = ", ".join(f"NULL::{kind} AS {quote(name)}" for name, kind in columns.items())
        with duckdb.connect(":memory:") as connection:
            return connection.sql(f"SELECT {listed}").limit(0).to_arrow_table().schema

    return {job.base: shape(record), job.history: shape(event)}


def _short(run: str) -> str:
    return hashlib.sha256(run.encode()).hexdigest()[:8]


def _staged_json(staged: Staged) -> dict[str, Json]:
    return {"table": staged.table, "files": list(staged.files), "rows": staged.rows}


def _staged(said: Mapping[str, Json]) -> Staged:
    files = tuple(cast("Sequence[str]", said["files"]))
    return Staged(str(said["table"]), files, int(cast("int", said["rows"])))


def _unseen(file: str) -> WarehouseError:
    return WarehouseError(
        "WH-SPREAD-PLAN",
        zh=f"本机看不到合并计划 {file}",
        en=f"this machine does not see the plan of the merge, {file}",
        fix_zh="各工作机器须使用同一存储：共享目录挂在同一路径，或 s3:// 存储桶；计划已删除时重新开始合并",
        fix_en="All workers need the same storage, a shared folder at the same path or an s3:// bucket; where the plan"
        " was removed begin the merge anew",
    )


def _stale(library: str) -> WarehouseError:
    return WarehouseError(
        "WH-SPREAD-STALE",
        zh=f"{library} 在分份合并期间已被另一次合并更新，未提交任何内容",
        en=f"{library} was merged by somebody else while its buckets were combined; nothing was committed",
        fix_zh=f"已有的数据不受影响；等那次合并结束后重新执行 shutong library merge {library} --whole（参数照旧）；"
        f"在 Airflow 中 merge_whole__{library} 会自动重做一次，再次失败时先暂停 merge__{library} 再触发它",
        fix_en=f"Nothing is lost. Once that merge has ended run shutong library merge {library} --whole again, with the"
        f" options it had; in Airflow merge_whole__{library} begins anew once by itself, and where that fails too pause"
        f" merge__{library}, then trigger it",
    )


def _not_whole(of: int, told: Sequence[int]) -> WarehouseError:
    missing = [number for number in range(of) if number not in told]
    return WarehouseError(
        "WH-SPREAD-PIECES",
        zh=f"合并分为 {of} 份，缺 {missing or '无'}，收到 {len(told)} 份；未提交任何内容",
        en=f"of {of} buckets {missing or 'none'} are missing and {len(told)} came; nothing was committed",
        fix_zh="重新运行缺少的份，或重新开始合并",
        fix_en="Run the missing buckets again, or begin the merge anew",
    )
