"""Commands that report on quality: of a run or of a department's period, for people, spreadsheets and printers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from shlex import quote
from typing import cast

import click
import orjson

from quality.reports.gather import Context, checks_of_period, checks_of_run, gather_period, gather_run
from quality.reports.history import base
from quality.reports.plain import as_json
from quality.reports.render import FORMATS, render
from quality.reports.values import CheckLine, Flow, Language, Report, Words, number
from quality.scores_profile import DEFAULT
from runs.errors import RunError
from schemas.standard import Rule
from shutong.commands.quality_report_reader import Readers, readers
from shutong.commands.quality_report_rows import export, samples
from shutong.session import Session, command
from shutong.watching import now
from shutong.wiring import Wired, open_deployment, today
from warehouse.errors import WarehouseError
from warehouse.state import Run

EVERY = 10**9
SAMPLE = 10  # failing rows shown per rule
_SPAN = re.compile(r"(\d{4})(?:-(?:(\d{1,2})|Q([1-4])))?|(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")


@click.command("report", help="质量报告：一次运行，或一个部门的一段时间 | report on a run, or on a department's period")
@click.argument("resource", required=False)
@click.option("--run", "run", help="运行（默认最近一次） | the run; the newest if not said")
@click.option("--before", default="", help="与哪次运行对比（默认前一次） | the run to compare with")
@click.option("--department", help="部门报告：部门 | report on a department")
@click.option("--period", help="2026-10、2026-Q3、2026 或 2026-10-01..2026-10-15（默认本月） | the period; this month")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="html", show_default=True)
@click.option("--lang", type=click.Choice(["zh", "en"]), help="报告的语言 | language of the report")
@click.option(
    "--profile", "indicators", default=DEFAULT, show_default=True, help="评价指标体系 | the indicators of scores"
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="写到哪个文件 | where to write")
@click.option("--as", "reader", help="按该部门的授权脱敏 | masked as that department's grants say")
@click.option(
    "--clear", is_flag=True, help="出错的行显示原文（含个人信息） | failing rows in the clear, personal data too"
)
@click.option(
    "--sample", type=click.IntRange(0, 1000), default=SAMPLE, show_default=True, help="每条规则列几行 | per rule"
)
@click.option("--rule", "rules", multiple=True, help="只导出违反这些规则的行 | only rows that violate these rules")
@click.option(
    "--rows-file", type=click.Path(dir_okay=False, path_type=Path), help="写出全部出错的行 | all failing rows"
)
@command
def report_command(  # noqa: PLR0917 - one parameter per option
    session: Session,
    resource: str | None,
    run: str | None,
    before: str,
    department: str | None,
    period: str | None,
    form: str,
    lang: Language | None,
    indicators: str,
    output: Path | None,
    reader: str | None,
    sample: int,
    rules: tuple[str, ...],
    rows_file: Path | None,
    *,
    clear: bool,
) -> None:
    """Write a report, or with --rows-file every failing row; both for the file's owner alone."""
    if (resource is None) == (department is None):
        raise _one_subject()
    language = lang or cast("Language", session.voice.lang)
    voice = session.voice
    with open_deployment(session.settings) as wired:
        seen = readers(wired.deployment, reader, today(), everything=clear)
        engine, days = wired.state.engine, read_period(period)
        if resource is not None:
            subject = wired.deployment.resource(resource).id
        else:
            subject = wired.deployment.department(str(department)).id
        if rows_file is not None:
            found = checks_of_run(engine, subject, run) if resource else checks_of_period(engine, subject, *days)
            _export(session, wired, seen, found, rules, rows_file, language)
            return
        voice.progress("汇总检查、工单与出错的行", "putting checks, orders and failing rows together")
        if resource is not None:
            about = replace(context(wired, seen, sample), profile=indicators)
            made = gather_run(engine, subject, about, run, before)
        else:
            span = f"--department {subject} --period {days[0]}..{days[1]}"
            about = replace(context(wired, seen, sample, span), profile=indicators)
            made = gather_period(engine, subject, *days, about)
    _write(session, made, form, language, output)


def _export(  # noqa: PLR0917 - which rows, for whom, where
    session: Session,
    wired: Wired,
    seen: Readers,
    found: Sequence[CheckLine],
    rules: Sequence[str],
    path: Path,
    lang: Language,
) -> None:
    voice = session.voice

    def progress(count: int) -> None:
        voice.progress(f"已写 {count:,} 行", f"{count:,} rows written")

    counts = export(wired, seen, found, rules or None, path, lang, progress)
    _say_rows(session, path, dict(counts))


def _write(session: Session, report: Report, form: str, lang: Language, output: Path | None) -> None:
    voice = session.voice
    if voice.as_json and output is None:
        voice.answer(orjson.loads(as_json(report)))
        return
    voice.progress(f"生成 {form.upper()}", f"making the {form.upper()}")
    path = output or Path(f"quality-{report.subject}-{_safe(report.run or report.first)}.{form}")
    written = render(report, form, lang)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(written)
    if voice.as_json:
        voice.answer({"file": str(path), "bytes": len(written)})
    voice.line(
        f"{report.name.zh}：检查 {report.rows:,} 行，隔离 {report.quarantined:,} 行，"
        f"{len(report.failed)} 条规则被违反，{len(report.unevaluated)} 条无法执行\n报告在 {path}",
        f"{report.name.en}: {report.rows:,} rows checked, {report.quarantined:,} for quarantine, {len(report.failed)} "
        f"rules violated, {len(report.unevaluated)} not evaluated\nthe report is in {path}",
    )


def _say_rows(session: Session, path: Path, counts: dict[str, int]) -> None:
    rows = counts.pop("", 0)
    if session.voice.as_json:
        session.voice.answer({"file": str(path), "rows": rows, "rules": counts})
        return
    session.voice.line(f"{rows:,} 行已写到 {path}", f"{rows:,} rows are in {path}")
    heads = [("规则", "rule"), ("行数", "rows")]
    lines = [[rule, number(count)] for rule, count in sorted(counts.items(), key=lambda one: -one[1])]
    session.voice.table(("规则", "Rules"), heads, lines)


def context(wired: Wired, seen: Readers, sample: int, span: str = "") -> Context:
    """What reports need besides the quality tables, from the deployment; `span` are the options of a period."""
    resources = wired.deployment.resources

    def whole(resource: str, rule: str, run: str) -> str:
        of = span or f"{resource} --run {quote(base(run))}"
        way = f" --as {seen.department}" if seen.department else ""
        return f"shutong quality report {of} --rule {quote(rule)}{way} --rows-file {quote(_safe(rule) + '.xlsx')}"

    return Context(
        orders=wired.orders,
        at=now(),
        resources={one.id: Words(one.zh, one.en) for one in resources},
        departments={one.id: Words(one.zh, one.en) for one in wired.deployment.departments},
        fixes={(one.id, rule.id): _fix(rule) for one in resources for rule in (*one.checked.rules, *one.rules)},
        flow=lambda runs: flows_of(wired, runs),
        samples=samples(wired, seen, sample, whole),
    )


def _fix(rule: Rule) -> Words:
    """What to do about a rule, and which of the rows violating it land all the same."""
    if rule.forgiven_by is None:
        return Words(rule.fix_zh, rule.fix_en)
    return Words(
        f"{rule.fix_zh}；已由 {rule.forgiven_by} 更正的行照常入库".removeprefix("；"),
        f"{rule.fix_en}. Rows put right by {rule.forgiven_by} land all the same".removeprefix(". "),
    )


def flows_of(wired: Wired, runs: Sequence[tuple[str, str]]) -> Iterator[Flow]:
    """What became of the rows of each run, given as resource and run; a run nobody knows is left out."""
    wanted = set(runs)
    if len(wanted) == 1:
        with suppress(WarehouseError):
            yield _flow(wired.state.run(runs[0][1]))
        return
    for resource in sorted({resource for resource, _ in wanted}):
        for one in wired.state.runs(resource, EVERY):
            if (resource, one.run_id) in wanted:
                yield _flow(one)


def _flow(found: Run) -> Flow:
    """What became of the rows of a run: what waits for a decision is held, unless the decision was to reject it."""
    fates: tuple[int | None, ...] = (found.landed, found.quarantined, found.superseded, found.deleted)
    decided = found.status in {"held", "rejected"}
    if found.pulled is None or (all(one is None for one in fates) and not decided):
        return Flow(found.pulled, found.landed, found.quarantined, found.superseded, found.deleted)
    left = max(0, found.pulled - sum(one or 0 for one in fates)) if decided or found.status == "done" else None
    held, rejected = (0, left) if found.status == "rejected" else (left, 0)
    landed, quarantined, superseded, deleted = (one or 0 for one in fates)
    return Flow(found.pulled, landed, quarantined, superseded, deleted, held, rejected)


def read_period(said: str | None) -> tuple[date, date]:
    """The first and last day of a period; RUN-PERIOD when it is none."""
    found = _SPAN.fullmatch(said or f"{today():%Y-%m}")
    try:
        return _span(found) if found else _no_period(str(said))
    except ValueError:
        return _no_period(str(said))


def _span(found: re.Match[str]) -> tuple[date, date]:
    year, month, quarter, first, last = found.groups()
    if first:
        days = date.fromisoformat(first), date.fromisoformat(last)
        return days if days[0] <= days[1] else _no_period(found.group())
    begin, months = (int(month), 1) if month else (3 * int(quarter) - 2, 3) if quarter else (1, 12)
    after = date(int(year) + (begin + months - 1) // 12, (begin + months - 1) % 12 + 1, 1)
    return date(int(year), begin, 1), after - timedelta(days=1)


def _no_period(said: str) -> tuple[date, date]:
    raise RunError(
        "RUN-PERIOD",
        zh=f"“{said}”不是一段时间",
        en=f"'{said}' is not a period",
        fix_zh="写成 2026-10、2026-Q3、2026 或 2026-10-01..2026-10-15",
        fix_en="Write 2026-10, 2026-Q3, 2026 or 2026-10-01..2026-10-15",
    )


def _one_subject() -> RunError:
    return RunError(
        "RUN-REPORT-SUBJECT",
        zh="报告要么针对一个资源，要么用 --department 针对一个部门",
        en="a report is on a resource, or with --department on a department",
        fix_zh="例如 shutong quality report scjg.enterprises，或 --department scjg --period 2026-10",
        fix_en="For example shutong quality report scjg.enterprises, or --department scjg --period 2026-10",
    )


def _safe(text: str) -> str:
    return re.sub(r"[^\w.-]", "_", text)
