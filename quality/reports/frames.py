"""A report as pandas tables, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from quality.reports.values import Language, Report

if TYPE_CHECKING:
    import pandas as pd

_COUNTS = ("before", "before_evaluated", "a", "b")


def frames(report: Report, lang: Language = "zh") -> Mapping[str, pd.DataFrame]:
    """Tables by name: flow, dimensions, indicators, rules, departments, checks, trend, orders, failing.

    Counts are whole numbers, missing where they are not known; texts that exist in both languages are in `lang`;
    `failing` has one row per failing row and value shown.
    """
    import pandas as pd

    made = {"flow": pd.DataFrame([{"rows": report.rows, **asdict(report.flow)}]).astype("Int64")}
    for name in ("dimensions", "indicators", "rules", "departments", "checks", "trend", "orders"):
        made[name] = _frame([_flat(asdict(one), lang) for one in getattr(report, name)])
    made["failing"] = _frame(
        [
            {
                "resource": sample.resource, "rule": sample.rule, "run": row.run, "batch": row.batch, "row": row.row,
                "key": row.key, "rules": ",".join(row.rules), "field": cell.field, "shown": cell.shown, "how": cell.how,
            }
            for sample in report.samples
            for row in sample.rows
            for cell in row.cells
        ]
    )  # fmt: skip
    return made


def _flat(told: Mapping[str, Any], lang: Language) -> dict[str, Any]:
    return {name: value[lang] if isinstance(value, dict) else value for name, value in told.items()}


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    made = pd.DataFrame(rows)
    return made.astype({name: "Int64" for name in _COUNTS if name in made.columns})
