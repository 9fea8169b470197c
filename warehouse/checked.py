"""Keep what a check found beside the raw batch it looked at, so that landing can start from it any time."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.points import reached
from schemas.standard import Rule
from schemas.values import ROW, Decision, Json, Manifest, RuleCount, Verdict
from warehouse.errors import WarehouseError
from warehouse.keep import folder_of
from warehouse.store import ObjectStore

_FILE = "checked.json"


@dataclass(frozen=True, slots=True)
class Checked:
    """A standardised table, the verdict on it, and the rules it was checked by (JSON-ready)."""

    table: pa.Table
    verdict: Verdict
    rules: tuple[dict[str, Json], ...] = ()


class _Note(TypedDict):
    """checked.json: where the tables are, and the verdict but for its tables."""

    files: dict[str, str]
    rows: int
    counts: list[dict[str, Any]]
    decision: Decision
    reason_zh: str
    reason_en: str
    results: dict[str, Json]
    rules: list[dict[str, Json]]


def keep_checked(
    store: ObjectStore, manifest: Manifest, table: pa.Table, verdict: Verdict, rules: Sequence[Rule] = ()
) -> None:
    """Keep table and verdict beside the batch; they count, all together, once checked.json names them."""
    folder, mark = folder_of(manifest), uuid.uuid4().hex[:12]
    quarantine = pa.table({ROW: verdict.quarantine.cast(pa.int64())})
    tables = {"table": table, "violations": verdict.violations, "quarantine": quarantine}
    earlier = _note(store, manifest) if store.exists(f"{folder}/{_FILE}") else None
    files = {}
    for name, content in tables.items():
        files[name] = f"{folder}/checked-{name}-{mark}.parquet"
        with store.create(files[name]) as stream:
            pq.write_table(content, stream, compression="zstd")
    note: _Note = {
        "files": files,
        "rows": verdict.rows,
        "counts": [asdict(one) for one in verdict.counts],
        "decision": verdict.decision,
        "reason_zh": verdict.reason_zh,
        "reason_en": verdict.reason_en,
        "results": dict(verdict.results),
        "rules": [asdict(one) for one in rules],
    }
    store.put(f"{folder}/{_FILE}", orjson.dumps(note, option=orjson.OPT_INDENT_2))
    for path in earlier["files"].values() if earlier else ():
        store.remove(path)
    reached("check.kept")


def checked(store: ObjectStore, manifest: Manifest) -> Checked:
    """What `keep_checked` kept last; WH-CHECK-MISSING when the batch was not checked."""
    note = _note(store, manifest)
    tables = {}
    for name, path in note["files"].items():
        with store.open(path) as stream:
            tables[name] = pq.read_table(stream)
    verdict = Verdict(
        rows=note["rows"],
        counts=tuple(RuleCount(**one) for one in note["counts"]),
        violations=tables["violations"],
        quarantine=tables["quarantine"][ROW].combine_chunks(),
        decision=note["decision"],
        reason_zh=note["reason_zh"],
        reason_en=note["reason_en"],
        results=note["results"],
    )
    return Checked(tables["table"], verdict, tuple(note["rules"]))


def _note(store: ObjectStore, manifest: Manifest) -> _Note:
    path = f"{folder_of(manifest)}/{_FILE}"
    if not store.exists(path):
        raise WarehouseError(
            "WH-CHECK-MISSING",
            zh=f"批次 {manifest.batch}（{manifest.resource}）还没有检查结果",
            en=f"batch {manifest.batch} of {manifest.resource} has not been checked",
            fix_zh="先运行检查步骤，再落库",
            fix_en="Run the check step before landing",
        )
    note: _Note = orjson.loads(store.get(path))
    return note
