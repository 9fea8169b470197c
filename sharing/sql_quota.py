"""What a query in SQL costs: of each grant it is answered by a unit for each row of the answer, and one at least.

Rows that are longer than a KiB on average count as several, for one text or list may hold the records of a library.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa

from sharing.calls import today
from sharing.errors import QuotaSpentError
from sharing.grant_file import Grant
from sharing.grant_pace import Months
from sharing.grant_refusals import month_spent
from sharing.quota import Quota

ROW: Final = 1024  # bytes of an answer, for a unit


def cost(rows: pa.Table) -> int:
    """The units of an answer."""
    taken: int = max(1, rows.num_rows, -(-rows.nbytes // ROW))
    return taken


class Bill:
    """What one query has taken so far of the quotas that its grants share with the API; nothing without a `quota`.

    `months` knows what a grant has left of its month. All of it is of the day the query was asked on; `units` is what
    each of its grants was charged.
    """

    def __init__(self, quota: Quota | None, months: Months | None = None) -> None:
        self._quota, self._months, self._day = quota, months or Months(), today()
        self.units = 0
        self._taken: list[tuple[Grant, int]] = []

    def take(self, grants: Iterable[Grant], units: int) -> None:
        """Take so many units of each grant. Raises QuotaSpentError, and what was taken before is to be given back."""
        quota = self._quota
        if quota is None or units < 1:
            return
        for one in {one.id: one for one in grants}.values():
            grant = self._months.limited(one, self._day)
            if grant.per_day is None:
                continue
            if quota.take(grant.department, grant.id, grant.per_day, units, self._day) is None:
                left = max(0, grant.per_day - quota.used(grant.department, grant.id, self._day))
                if one.per_month is not None and grant.per_day != one.per_day:
                    raise month_spent(one.id, one.per_month, left)
                raise QuotaSpentError.of(grant.id, grant.per_day, left)
            self._taken.append((grant, units))
        self.units += units

    def give_back(self) -> None:
        """Undo all of it: the query was not answered."""
        taken, self._taken, self.units = self._taken, [], 0
        for grant, units in taken:
            if self._quota is not None:
                self._quota.give_back(grant.department, grant.id, units, self._day)
