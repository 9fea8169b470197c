"""The failing rows of a batch that is held, as quarantine would show them once it had landed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from schemas.values import DETAIL, LINE, OP, RAW_COLUMNS, ROW, Manifest
from warehouse.checked import kept_check
from warehouse.keep import received_rows
from warehouse.store import ObjectStore

LOOKED_AT = 1000  # rows that are shown at most


def failing_rows(store: ObjectStore, manifest: Manifest, key: tuple[str, ...], limit: int) -> list[dict[str, object]]:
    """The first rows of a checked batch that belong in quarantine, with every rule they violate, ordered by `_row`."""
    kept = kept_check(store, manifest)
    verdict = kept.verdict()
    numbers = np.asarray(verdict.quarantine.to_numpy(zero_copy_only=False), np.int64)[: min(limit, LOOKED_AT)]
    if not len(numbers):
        return []
    wanted = pa.array(numbers)
    of_rows = verdict.violations.filter(pc.is_in(verdict.violations[ROW], value_set=wanted))
    rules = dict(zip(of_rows[ROW].to_pylist(), of_rows["rules"].to_pylist(), strict=True))
    standardised: dict[int, Mapping[str, object]] = {}
    names = [ROW, *kept.columns]
    for batch in kept.reader(names):
        for row in batch.filter(pc.is_in(batch.column(ROW), value_set=wanted)).to_pylist():
            standardised[row[ROW]] = {name: None if row[name] is None else str(row[name]) for name in kept.columns}
    found: list[dict[str, object]] = []
    for batch in received_rows(store, manifest, numbers):
        for row in batch.to_pylist():
            known = standardised[row[ROW]]
            said = {name: value for name, value in row.items() if name not in (*RAW_COLUMNS, OP)} | {LINE: row[LINE]}
            found.append(
                {
                    "_batch": manifest.batch,
                    "_run": manifest.run,
                    ROW: row[ROW],
                    "rules": rules.get(row[ROW], []),
                    "received": orjson.dumps(said).decode(),
                    "standardised": orjson.dumps(known).decode(),
                    "landed_at": None,
                    "key": "|".join(str(known[name]) for name in key if known.get(name) is not None) or None,
                    "detail": row[DETAIL],
                }
            )
    return found
