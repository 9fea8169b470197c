"""Commands for analysts: which rules were violated, by which rows, and better or worse than the run before."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from quality.reports.values import Language
from quality.reports.words import say, why
from runs.holds_store import Holds
from runs.resources import Resource
from schemas.validators.scalar import valid
from sharing.grants import PERSONAL_LEVEL
from shutong.session import Session, command
from shutong.wiring import Wired, open_deployment, today

CONTENT = {"received", "standardised", "detail"}


@click.command("show", help="各资源最近一次检查：规则、行数、与上次相比 | the newest check of each resource")
@click.argument("resources", nargs=-1)
@click.option("--rows", "row_limit", type=int, default=0, help="同时列出隔离的前几行 | also the first quarantined rows")
@click.option("--clear", is_flag=True, help="显示原文（含个人信息） | show the content, personal data included")
@click.option("--export", type=click.Path(dir_okay=False, path_type=Path), help="隔离行导出为 CSV | quarantine as CSV")
@command
def show_command(
    session: Session, resources: tuple[str, ...], row_limit: int, export: Path | None, *, clear: bool
) -> None:
    """Print per rule the violating rows and the run before. Quarantined rows keep their content to themselves unless
    --clear: a shifted row may hold a person's data in any column.
    """
    with open_deployment(session.settings) as wired:
        chosen = [wired.deployment.resource(name) for name in resources] or list(wired.deployment.resources)
        told = [_told(wired, one, row_limit, clear=clear) for one in chosen]
        if export is not None:
            _export(wired, chosen, export, clear=clear)
    if session.voice.as_json:
        session.voice.answer({"resources": told})
        return
    for one in told:
        _show(session, one)
    if export is not None:
        session.voice.line(f"\n隔离行已导出到 {export}", f"\nQuarantined rows are in {export}")


def _told(wired: Wired, resource: Resource, row_limit: int, *, clear: bool) -> dict[str, object]:
    latest = wired.quality.latest(resource.id)
    if latest is None:
        return {"resource": resource.id, "zh": resource.zh, "en": resource.en, "checked_at": None, "rules": []}
    before = {one.rule: one for one in wired.quality.compare(resource.id)}
    rules = [
        {
            "rule": one.rule,
            "severity": one.severity,
            "indicator": one.indicator,
            "zh": one.zh,
            "en": one.en,
            "rows": one.rows,
            "evaluated": one.evaluated,
            "before": before[one.rule].before if one.rule in before else None,
            "error": one.error,
        }
        for one in wired.quality.rules(resource.id, latest.run)
    ]
    return {
        "resource": resource.id,
        "zh": resource.zh,
        "en": resource.en,
        "checked_at": latest.checked_at,
        "run": latest.run,
        "rows": latest.rows,
        "quarantined": latest.quarantined,
        "decision": latest.decision,
        "reason_zh": latest.reason_zh,
        "reason_en": latest.reason_en,
        "rules": rules,
        "quarantine": quarantine(wired, resource, row_limit, clear=clear) if row_limit else [],
    }


def quarantine(
    wired: Wired, resource: Resource, limit: int | None = None, *, clear: bool = False
) -> list[dict[str, object]]:
    """Quarantined rows of a resource with all their reasons: those of held batches, then those landed, newest first.

    Rows that came back are left out. `clear` adds the content as received and as standardised, what the reader said of
    it, and personal keys.
    """
    found = _of_held(wired, resource, limit)
    snapshot = wired.state.released(resource.quarantine)
    if snapshot is not None and (limit is None or len(found) < limit):
        rows = wired.tables.read(resource.quarantine, snapshot)
        rows = rows.sort_by([("landed_at", "descending"), ("_row", "ascending")])
        back = {(one.origin, one.row) for one in Holds(wired.state.engine).returned(resource.id)}
        if back:
            there = zip(rows["_batch"].to_pylist(), rows["_row"].to_pylist(), strict=True)
            rows = rows.filter([one not in back for one in there])
        found += (rows if limit is None else rows.slice(0, limit - len(found))).to_pylist()
    if clear:
        return found
    return [
        {
            name: _public(resource, value) if name == "key" else value
            for name, value in row.items()
            if name not in CONTENT
        }
        for row in found
    ]


def _of_held(wired: Wired, resource: Resource, limit: int | None) -> list[dict[str, object]]:
    """What the held batches of a resource would put into quarantine, the newest batch first."""
    from runs.holds import held_batches
    from runs.holds_rows import LOOKED_AT, failing_rows

    found: list[dict[str, object]] = []
    for batch in reversed(held_batches(wired, resource)):
        left = LOOKED_AT if limit is None else limit - len(found)
        if left > 0:
            found += failing_rows(wired.store, batch, resource.standard.key, left)
    return found


def _public(resource: Resource, key: object) -> object:
    """A key that is certain to name a firm; anything else, as in a shifted row, may be a person's number."""
    field = resource.standard.field(resource.standard.key[0])
    certain = field.level < PERSONAL_LEVEL and field.type == "uscc" and valid("uscc", str(key), today())
    return key if certain else None


def _export(wired: Wired, chosen: list[Resource], path: Path, *, clear: bool) -> None:
    columns = ("resource", "_batch", "_run", "_row", "key", "rules", "detail", "received", "standardised", "landed_at")
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for resource in chosen:
            for row in quarantine(wired, resource, clear=clear):
                told = {**row, "resource": resource.id, "rules": ";".join(map(str, row["rules"]))}  # type: ignore[call-overload]
                writer.writerow([_inert(told.get(name)) for name in columns])


def _inert(value: object) -> str:
    """A cell that a spreadsheet takes as text, never as a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _show(session: Session, one: dict[str, object]) -> None:
    voice = session.voice
    if one["checked_at"] is None:
        voice.line(
            f"\n{one['zh']}（{one['resource']}）：还没有检查过", f"\n{one['en']} ({one['resource']}): not checked yet"
        )
        return
    title = (
        f"{one['zh']}（{one['resource']}），{one['checked_at']}：{one['reason_zh']}",
        f"{one['en']} ({one['resource']}), {one['checked_at']}: {one['reason_en']}",
    )
    lang: Language = "en" if voice.lang == "en" else "zh"
    rules = one["rules"]
    assert isinstance(rules, list)  # noqa: S101 - made by _told
    shown = [rule for rule in rules if rule["rows"] or rule["before"] or rule["error"]]
    heads = [
        ("规则", "rule"),
        ("级别", "severity"),
        ("指标", "indicator"),
        ("行数", "rows"),
        ("上次", "before"),
        ("说明", "what"),
    ]
    voice.table(
        title,
        heads,
        [
            [rule["rule"], say(rule["severity"], lang), rule["indicator"], rule["rows"], rule["before"],
             why(rule["error"], lang) or rule[lang]]
            for rule in shown
        ],
    )  # fmt: skip
    rows = one["quarantine"]
    if isinstance(rows, list) and rows:
        voice.table(
            ("隔离的行", "Quarantined rows"),
            [
                ("批次", "batch"),
                ("行", "row"),
                ("键", "key"),
                ("原因", "rules"),
                ("说明", "detail"),
                ("收到的内容", "as received"),
            ],
            [
                [
                    row["_batch"],
                    row["_row"],
                    row.get("key"),
                    ", ".join(row["rules"]),
                    row.get("detail"),
                    row.get("received", "***"),
                ]
                for row in rows
            ],
        )
