"""From the rows that violate each rule to the rules that each row violates, and to the rows for quarantine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.standard import Rule
from schemas.values import ROW

Rows = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32] | npt.NDArray[np.int16]
SPARSE = 64  # a list of row numbers is taken apart by sorting where fewer than one number in so many is in it
_WINDOW = 1 << 21  # row numbers that are looked at together: what is known of each stays in the caches
_NOBODY: Rows = np.empty(0, np.int64)


def by_row(rules: Sequence[Rule], violators: Mapping[str, Rows]) -> pa.Table:
    """One row per record that violates anything: `_row` int64 and `rules` list<dictionary<int16 or int32, string>>.

    `violators` holds, per rule id, the `_row`s that violate it, ordered and each once; the answer is ordered by `_row`,
    rules in the order of `rules`.
    """
    held = {place: rows for place, rule in enumerate(rules) if len(rows := violators.get(rule.id, _NOBODY))}
    narrow = len(rules) <= np.iinfo(np.int16).max
    every, counts, which = (
        np.concatenate(one) for one in zip(*(_some(one, narrow=narrow) for one in _windows(held)), strict=True)
    )
    offsets = np.zeros(len(every) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    names = pa.DictionaryArray.from_arrays(which, pa.array([rule.id for rule in rules], pa.string()))
    return pa.table({ROW: pa.array(every, pa.int64()), "rules": pa.ListArray.from_arrays(offsets, names)})


def _windows(held: Mapping[int, Rows]) -> Iterator[dict[int, Rows]]:
    """The rows in one piece after the other, where numbers lie close together."""
    some = list(held.values())
    low, high = (min(int(rows[0]) for rows in some), max(int(rows[-1]) for rows in some)) if some else (0, 0)
    if high - low < _WINDOW or high - low > SPARSE * sum(map(len, some)):
        yield dict(held)
        return
    edges = np.arange(low, high + 1, _WINDOW)
    cuts = {number: [*np.searchsorted(rows, edges).tolist(), len(rows)] for number, rows in held.items()}
    for begun in range(len(edges)):
        inside = {number: rows[cuts[number][begun] : cuts[number][begun + 1]] for number, rows in held.items()}
        yield {number: rows for number, rows in inside.items() if len(rows)}


def _some(held: Mapping[int, Rows], *, narrow: bool) -> tuple[Rows, Counts, Counts]:
    """All rows, each once, how many rules each violates, and the numbers of those, row after row."""
    every, place_of = _together(list(held.values()))
    counts = np.zeros(len(every), np.int32)
    for rows in held.values():
        counts[place_of(rows)] += 1
    free = np.cumsum(counts, dtype=np.int32) - counts
    which: Counts = np.empty(counts.sum(), np.int16 if narrow else np.int32)
    for number, rows in held.items():
        places = place_of(rows)
        which[free[places]] = number
        free[places] += 1
    return every, counts, which


def _together(held: Sequence[Rows]) -> tuple[Rows, Callable[[Rows], npt.NDArray[np.int64]]]:
    """All rows, each once and ordered, and what tells the places of some of them."""
    if not held:
        return _NOBODY, lambda rows: rows
    low, high = min(int(rows.min()) for rows in held), max(int(rows.max()) for rows in held)
    if high - low > SPARSE * sum(map(len, held)):
        every = np.unique(np.concatenate(held))
        return every, lambda rows: np.searchsorted(every, rows)
    there = np.zeros(high - low + 1, np.bool_)  # numbers as batches have them: sorting takes longer and more room
    for rows in held:
        there[rows - low] = True
    place = np.cumsum(there, dtype=np.int32) - 1
    return np.flatnonzero(there) + low, lambda rows: place[rows - low]


def for_quarantine(rules: Sequence[Rule], violators: Mapping[str, Rows]) -> pa.Array:
    """The `_row`s (int64, ordered) that violate an error rule without violating the rule that forgives it."""
    held = [_NOBODY]
    for rule in rules:
        if rule.severity != "error":
            continue
        rows = violators.get(rule.id, _NOBODY)
        if rule.forgiven_by is not None:
            forgiven = violators.get(rule.forgiven_by, _NOBODY)
            rows = rows[np.isin(rows, forgiven, assume_unique=True, invert=True)]
        held.append(rows)
    together = np.sort(np.concatenate(held))  # once: union1d, rule by rule, takes longer than all rules
    first = np.ones(len(together), dtype=np.bool_)
    first[1:] = together[1:] != together[:-1]
    return pa.array(together[first], pa.int64())
