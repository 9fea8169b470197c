"""How often the data of each entry of the directory was asked for, from the record of calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from sharing.calls import Call
from sharing.ledger import Total

_ANSWERED = frozenset({200, 304})  # in whole, or as what the caller has already


def used(totals: Iterable[Total], subject_of: Callable[[str, str], str | None]) -> Mapping[str, tuple[int, int]]:
    """Calls and units by library, or by what the grant is about where records of a resource were asked for."""
    calls: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for one in totals:
        subject = one.library or (subject_of(one.department or "", one.grant) if one.grant else None)
        if one.status in _ANSWERED and subject:
            calls[subject] += one.calls
            units[subject] += one.units
    return {name: (count, units[name]) for name, count in calls.items()}


def used_in(records: Iterable[Call]) -> Mapping[str, tuple[int, int]]:
    """The same of single calls that a grant answered."""
    calls: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for one in records:
        subject = one.library or one.resource
        if one.status in _ANSWERED and subject and one.grant:
            calls[subject] += 1
            units[subject] += one.units
    return {name: (count, units[name]) for name, count in calls.items()}
