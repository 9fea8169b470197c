"""Measure libraries as their readers find them: calls that were answered, and how each library stands now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from quality.scores import Scope
from quality.scores_values import Period, Sum
from runs.reach import standing
from sharing.ledger import Ledger
from shutong.wiring import Wired

OUR_FAULT = 500  # HTTP status from which it was not the caller's
_SIZES = {"day": len("2026-01-01"), "month": len("2026-01")}


def reached(wired: Wired, scope: Scope, by: Period | None) -> list[Sum]:
    """`0601/calls` and, where it is asked how they stand now, what runs.reach measures of each library that has any.

    A call counts as answered unless the fault was ours (status 500 and above); one that never came to us, or that could
    not be recorded, is in neither. Empty where it is asked for a resource or department: calls are of libraries.
    """
    if scope.resource is not None or scope.department is not None:
        return []
    known = set(wired.deployment.libraries)
    wanted = sorted(known & {scope.library} if scope.library else known)
    found = list(_calls(wired, wanted, scope, by))
    if of_now(scope, by):
        found += [
            Sum(library, "", "", measure, "", met, base, 0, 0, "")
            for library in wanted
            for measure, met, base in standing(wired.parts, library)
        ]
    return found


def of_now(scope: Scope, by: Period | None) -> bool:
    """Whether it is asked how libraries stand now, and not how they stood day by day."""
    return by is None and scope.since is None and scope.until is None


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
