"""Land a checked batch: passed rows by key into std_<department>, failed rows into quarantine, visible together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from urllib.parse import quote as safe

import duckdb
import pyarrow as pa

from schemas.partition import Partition
from schemas.points import reached
from schemas.values import ROW, Manifest
from warehouse import fates, landing_files
from warehouse.checked import KeptCheck
from warehouse.errors import WarehouseError
from warehouse.landed import HASH
from warehouse.sql import literal
from warehouse.state import Release, State
from warehouse.store import ObjectStore, on_this_machine
from warehouse.tables import Staged, Tables

MEMORY = "400MB"  # of a landing; what does not fit is spilled
AMPLE = "4GB"  # for rows so wide that their row groups do not fit into that
RUN, BATCH = "shutong.run", "shutong.batch"  # snapshot summary properties; shutong.resource names the resource


@dataclass(frozen=True, slots=True)
class Landing:
    """What became of the rows of a batch: every one is counted exactly once."""

    landed: int
    quarantined: int
    superseded: int
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class CameBack:
    """Where rows out of quarantine stood: `rows` say of `_batch` and `_row` at which `_place` of the batch `origin`.

    They are those of the batch that lands (`_own`) and of others that came back from the same one before.
    """

    origin: str
    rows: pa.Table


def landed_table(resource: str) -> str:
    """The table a resource lands in: market.base → std_market.base."""
    department, _, name = resource.partition(".")
    return f"std_{department}.{name}"


def quarantine_table(resource: str) -> str:
    """The table of a resource's quarantined rows: market.base → qtn.market__base."""
    return "qtn." + resource.replace(".", "__", 1)


def lock_name(resource: str) -> str:
    """The lock that whoever writes a resource's tables holds."""
    return f"land-{safe(resource, safe='')}"


def land(
    store: ObjectStore,
    state: State,
    tables: Tables,
    manifest: Manifest,
    kept: KeptCheck,
    *,
    resource: str,
    key: tuple[str, ...],
    order: tuple[str, ...],
    run: str | None = None,
    newer: Sequence[str] = (),
    gone_since: pa.Table | None = None,
    came: CameBack | None = None,
    partition: Partition | None = None,
) -> Landing:
    """Land the batch and release it; the same batch again changes nothing and gives the counts it had.

    Rows in the verdict's quarantine go to quarantine with every rule they violate. Of the others with one key the
    greatest `order` (null lowest), then the greatest `_row`, wins; the winner lands unless the landed row says the same
    or has a greater order. Where the winner says that the source deleted its record, the landed row goes, in the same
    release; a deletion of what is not landed counts as superseded. `order` are fields, or schemas.values.ORDER.
    `run` is the run that lands, by default the one that pulled, which rows name. `newer` are batches of later
    deliveries that have landed already: their rows stay, unless the order says that they are older. `gone_since` are
    the keys they deleted. `came` says where rows out of quarantine stood. `partition` divides new files.

    Killed at any point and called again it ends in the same tables; `state.released` moves both at once.
    """
    _refuse_lost_rows(manifest, kept)
    run = run or manifest.run
    with store.lock(lock_name(resource)) as still_alone:
        if (made := _made(state, resource, run, manifest.batch)) is not None:
            return made
        targets = (landed_table(resource), quarantine_table(resource))
        _make_ready(tables, targets, kept.schema, partition)
        done = {table: _settle(state, tables, table, run, manifest.batch) for table in targets}
        with (
            tables.connect(MEMORY) as connection,
            fates.present(connection, kept, key=key, order=order) as shown,
        ):
            beside = (targets[0], state.released(targets[0]))
            landing = _decided(connection, shown, tables, beside, newer, gone_since, came)
            reached("land.planned")
            passed, failed = (Staged(table, (), 0) for table in targets)
            if done[targets[0]] is None:
                passed = landing_files.staged(connection, tables, targets[0], kept, key)
            if done[targets[1]] is None and landing.quarantined:
                there = tables.relation(targets[1], state.released(targets[1]), ["_row", "_batch"])
                failed = _quarantined(connection, tables, manifest, kept, shown=shown, table=targets[1], there=there)
        reached("land.files_written")
        properties = {"shutong.resource": resource, RUN: run, BATCH: manifest.batch}
        pins = {targets[1]: _commit(tables, failed, properties, done[targets[1]])}
        reached("land.quarantine_committed")
        pins[targets[0]] = _commit(tables, passed, properties, done[targets[0]], key)
        reached("land.passed_committed")
        known = {table: tables.pin(table, snapshot) for table, snapshot in pins.items() if snapshot is not None}
        still_alone()  # else another process may have taken back what was committed here
        state.commit_release(run, known, asdict(landing), batch=manifest.batch)
        reached("land.released")
        return landing


def _make_ready(tables: Tables, targets: tuple[str, str], schema: pa.Schema, partition: Partition | None) -> None:
    tables.ensure(targets[0], schema)
    tables.divide(targets[0], partition)
    tables.ensure(targets[1], fates.QUARANTINE_SCHEMA)


def _decided(  # noqa: PLR0917 - what, beside what, in the order they are said
    connection: duckdb.DuckDBPyConnection,
    shown: fates.Columns,
    tables: Tables,
    landed: tuple[str, int | None],
    newer: Sequence[str],
    gone_since: pa.Table | None,
    came: CameBack | None,
) -> Landing:
    """What becomes of the rows beside what is landed already, in a table as of a snapshot."""
    places = ["_batch", ROW] if newer or came else []
    compared = list(dict.fromkeys([*shown.key, *shown.order, HASH, *places]))
    if gone_since is not None:
        connection.register("gone_since", gone_since)
    if came is not None:
        connection.register("came", came.rows)
    found = fates.decide(
        connection,
        shown,
        tables.relation(*landed, compared),
        newer,
        gone_since=gone_since is not None,
        origin=came.origin if came else None,
    )
    return Landing(**asdict(found))


def _refuse_lost_rows(manifest: Manifest, kept: KeptCheck) -> None:
    rows = kept.held()
    if rows != manifest.rows or kept.rows != manifest.rows:
        raise WarehouseError(
            "WH-ROWS-LOST",
            zh=f"批次 {manifest.batch} 收到 {manifest.rows} 行，检查结果却有 {rows} 行",
            en=f"batch {manifest.batch} has {manifest.rows} rows as received but {rows} as checked",
            fix_zh="重新运行检查步骤",
            fix_en="Run the check step again",
        )


def _made(state: State, resource: str, run: str, batch: str) -> Landing | None:
    """The landing this run made, or the one the resource's newest release made of the very batch."""
    tables = (landed_table(resource), quarantine_table(resource))
    own = [one for one in state.releases(run=run) if set(one.changed) <= {*tables}]
    newest = [one for table in tables for one in state.releases(1, changed=table)]
    for release in (*own, *sorted(newest, key=lambda one: -one.id)[:1]):
        if release.kind == "land" and release.batch == batch:
            return _counts(release)
    return None


def _counts(release: Release) -> Landing:
    return Landing(**release.counts)


def _settle(state: State, tables: Tables, table: str, run: str, batch: str) -> int | None:
    """Take back what no release shows, but for the snapshot this run made of this batch: that one is the answer."""
    head, released = tables.head(table), state.released(table)
    if head is None or head.snapshot == released:
        return None
    ours = (head.summary.get(RUN), head.summary.get(BATCH)) == (run, batch)
    if ours and head.parent == released:
        return head.snapshot
    tables.rollback_to(table, released)
    return None


def _quarantined(
    connection: duckdb.DuckDBPyConnection,
    tables: Tables,
    manifest: Manifest,
    kept: KeptCheck,
    *,
    shown: fates.Columns,
    table: str,
    there: str,
) -> Staged:
    """The rows for quarantine as files; rows so wide that a row group does not fit get the memory they need."""
    taken = f"(SELECT _row FROM {there} WHERE _batch = {literal(manifest.batch)})"
    with on_this_machine(kept.store, manifest.files) as paths:
        query = fates.quarantined_rows(
            connection, shown, manifest, received=fates.received_rows(manifest, paths), kept=taken
        )
        try:
            return tables.stage(table, connection.sql(query), sort=("_row",))
        except duckdb.OutOfMemoryException:
            connection.execute(f"SET memory_limit = '{AMPLE}'")
            return tables.stage(table, connection.sql(query), sort=("_row",))


def _commit(
    tables: Tables, staged: Staged, properties: Mapping[str, str], done: int | None, key: Sequence[str] = ()
) -> int | None:
    return done if done is not None else tables.commit(staged, properties, key=key)
