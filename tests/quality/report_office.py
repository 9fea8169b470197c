"""Two departments with checks, orders and failing rows whose values are hard to show: what tests of reports arrange."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pyarrow as pa
from orders_office import RULES, Office, at
from orders_office import verdict as plain_verdict

from quality.reports.gather import Context
from quality.reports.values import Cell, FailingRow, Flow, Sample, Words
from quality.scores import keep
from quality.scores_values import Facts

FIRMS, TAXES = "scjg.firms", "swj.taxes"
NAME = "𠮷田㐂商店 <b>&'\"=1+1"
CITIZEN = "330***********002X"
LONG = "913301067000000012"  # 18 digits: more than a spreadsheet's numbers have
RESOURCES = {FIRMS: Words("企业登记", "Registrations"), TAXES: Words("纳税人", "Taxpayers")}
DEPARTMENTS = {"scjg": Words("市场监管局", "Market Regulation"), "swj": Words("税务局", "Tax Service")}


def verdict(rows: int, **found):
    """What a check found; the rows that violate an error rule are for quarantine."""
    wrong = max(found.get("code", 0), found.get("name", 0))
    return replace(plain_verdict(rows=rows, **found), quarantine=pa.array(range(wrong), pa.int64()))


VERDICTS = {
    "r1": (at(1), verdict(rows=1000, code=40, name=5)),
    "r2": (at(2), verdict(rows=1200, code=12, case=300)),
    "r3": (at(3), verdict(rows=1_300, code=7, name=2, case=0)),
    "r3#2": (at(3, 10), verdict(rows=34_567, code=1_234, errors=("name",))),
    "r4": (at(20, month=8), verdict(rows=10, case=1)),
}


def filled(url: str, *, migrated: bool = False) -> Office:
    """Six checks of two departments in 2026, one with a rule that could not be evaluated."""
    office = Office(url, migrated=migrated)
    for run, (when, found) in VERDICTS.items():
        office.check(run, when, found)
    other = verdict(rows=50)
    office.record("t1", at(3, 11), other, TAXES)
    rules = list(RULES.values())
    with office.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE quality_run SET department = 'swj' WHERE resource = 'swj.taxes'")
        for table in ("quality_sums", "quality_scored"):  # what was measured just now was measured then
            connection.exec_driver_sql(f"DELETE FROM {table}")
        for run, (when, found) in VERDICTS.items():
            keep(connection, FIRMS, "scjg", run, when.isoformat(), rules, found, Facts())
        keep(connection, TAXES, "swj", "t1", at(3, 11).isoformat(), rules, other, Facts())
    return office


def context(office: Office, when: datetime | None = None) -> Context:
    """What the commands would say: names, fates of r3, two failing rows of the code rule."""

    def flow(runs):
        known = Flow(received=35_867, landed=34_620, quarantined=1_241, superseded=6, deleted=0, held=0)
        return [known for _, run in runs if run == "r3"]

    def samples(lines, checks):
        cells = (
            Cell("ent_name", Words("企业名称", "Name"), NAME, "clear"),
            Cell("rep_id", Words("法定代表人证件号", "Representative's id"), CITIZEN, "masked"),
            Cell("reg_no", Words("注册号", "Registration number"), LONG, "clear"),
        )
        row = FailingRow(checks[0].run, checks[0].batch, 17, LONG, ("code", "name"), cells)
        return [
            Sample(
                one.resource, one.rule, (row, replace(row, row=18, key="")), f"shutong quality report {one.resource}"
            )
            for one in lines
            if one.rule == "code"
        ]

    return Context(
        orders=office.orders,
        at=when or at(25).replace(microsecond=123),
        resources=RESOURCES,
        departments=DEPARTMENTS,
        fixes={(FIRMS, "code"): Words("请与证照核对", "Compare it with the licence")},
        flow=flow,
        samples=samples,
    )
