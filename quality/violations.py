"""From the rows that violate each rule to the rules that each row violates, and to the rows for quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.standard import Rule
from schemas.values import ROW

Rows = npt.NDArray[np.int64]


def by_row(rules: Sequence[Rule], violators: Mapping[str, Rows]) -> pa.Table:
    """One row per record that violates anything: `_row` int64 and `rules` list<string>.

    `violators` holds, per rule id, the `_row`s that violate it, each once; the answer is ordered by `_row`, rules in
    the order of `rules`.
    """
    held = [violators.get(rule.id, np.empty(0, np.int64)) for rule in rules]
    rows = np.concatenate([*held, np.empty(0, np.int64)])
    which = np.repeat(np.arange(len(held), dtype=np.int32), [len(one) for one in held])
    order = np.lexsort((which, rows))
    rows, which = rows[order], which[order]
    first = np.flatnonzero(np.r_[len(rows) > 0, rows[1:] != rows[:-1]][: len(rows)])
    names = pa.array([rule.id for rule in rules], pa.string()).take(pa.array(which))
    offsets = pa.array(np.r_[first, len(rows)].astype(np.int32))
    return pa.table({ROW: pa.array(rows[first]), "rules": pa.ListArray.from_arrays(offsets, names)})


def for_quarantine(rules: Sequence[Rule], violators: Mapping[str, Rows]) -> pa.Array:
    """The `_row`s (int64, ordered) that violate an error rule without violating the rule that forgives it."""
    nobody = np.empty(0, np.int64)
    held = [nobody]
    for rule in rules:
        if rule.severity != "error":
            continue
        rows = violators.get(rule.id, nobody)
        if rule.forgiven_by is not None:
            forgiven = violators.get(rule.forgiven_by, nobody)
            rows = rows[np.isin(rows, forgiven, assume_unique=True, invert=True)]
        held.append(rows)
    together = np.sort(np.concatenate(held))  # once: union1d, rule by rule, takes longer than all rules
    first = np.ones(len(together), dtype=np.bool_)
    first[1:] = together[1:] != together[:-1]
    return pa.array(together[first], pa.int64())
