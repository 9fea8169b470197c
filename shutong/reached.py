"""Measure libraries: departments that agree, calls that were answered, records that can be asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from quality.scores import Scope
from quality.scores_values import Period, Sum
from sharing.ledger import Ledger
from shutong.wiring import Wired
from warehouse.merge import agreeing, base_table
from warehouse.serving import NotPublishedError, ServingStore

OUR_FAULT = 500  # HTTP status from which it was not the caller's
_SIZES = {"day": len("2026-01-01"), "month": len("2026-01")}


def reached(wired: Wired, scope: Scope, by: Period | None) -> list[Sum]:
    """`0601/calls` and, of now, `0401/departments` and `0602/records` of each library that has any.

    Two departments agree where they say the same about a field of a record. A call counts as answered unless the fault
    was ours (status 500 and above); one that never came to us, or that could not be recorded, is in neither. Empty
    where it is asked for a resource or department: calls are of libraries.
    """
    if scope.resource is not None or scope.department is not None:
        return []
    known = {one.standard.library for one in wired.deployment.resources if one.standard.library}
    wanted = sorted(known & {scope.library} if scope.library else known)
    found = list(_calls(wired, wanted, scope, by))
    if by is None and scope.since is None and scope.until is None:
        found += _of_now(wired, wanted)
    return found


def _calls(wired: Wired, libraries: list[str], scope: Scope, by: Period | None) -> Iterator[Sum]:
    every, good, last = Counter[tuple[str, str]](), Counter[tuple[str, str]](), dict[tuple[str, str], str]()
    for one in Ledger(wired.deployment.home / "meter").totals(since=scope.since):
        if one.library not in libraries or (scope.until is not None and one.day > scope.until):
            continue
        key = (one.library, one.day[: _SIZES[by]] if by else "")
        every[key] += one.calls
        good[key] += one.calls if one.status < OUR_FAULT else 0
        last[key] = max(last.get(key, ""), one.day[: _SIZES[by or "day"]])
    for (library, period), calls in every.items():
        met = good[library, period]
        yield Sum(library, period, "", "0601/calls", "", met, calls, 0, 0, last[library, period])


def _of_now(wired: Wired, libraries: list[str]) -> Iterator[Sum]:
    for library in libraries:
        name = base_table(library)
        released = wired.state.released(name)
        rows = 0 if released is None else wired.tables.row_count(name, released)
        same = agreeing(wired.tables, library) if rows else None
        if same is not None and same[1]:
            yield Sum(library, "", "", "0401/departments", "", *same, 0, 0, "")
        try:
            served = ServingStore(wired.parts.serving, library).info().rows
        except NotPublishedError:
            served = 0
        if rows:
            yield Sum(library, "", "", "0602/records", "", min(served, rows), rows, 0, 0, "")
