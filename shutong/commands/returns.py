"""Commands that bring rows back from quarantine: release them, correct them, judge them again."""

from __future__ import annotations

from dataclasses import asdict

import click

from runs.holds_store import Holds
from runs.recheck import Back, correct, recheck, release
from shutong.session import Session, command
from shutong.spreading import buckets_option, shared_check, where_option
from shutong.watching import now, person
from shutong.wiring import Wired, new_run_id, open_deployment

ROW = click.IntRange(1, 2**63 - 1)


@click.command("release", help="放行隔离的行，按原样入库 | land quarantined rows as they are")
@click.argument("resource")
@click.option("--batch", required=True, help="批次 | the batch they came in")
@click.option("--row", "rows", type=ROW, multiple=True, required=True, help="行号，可重复 | row number, repeatable")
@click.option("--by", required=True, help="数据管理员 | a data manager")
@click.option("--why", required=True, help="理由 | the reason")
@command
def release_command(session: Session, resource: str, batch: str, rows: tuple[int, ...], by: str, why: str) -> None:  # noqa: PLR0917
    """Release rows, the rules they violate accepted for them."""
    with open_deployment(session.settings) as wired:
        chosen, who = wired.deployment.resource(resource), person(wired.deployment, by).actor
        run = f"release-{new_run_id()}"
        back = release(wired.steps, wired.parts, chosen.id, batch, rows, who, why, now(), run)
        _merge(wired, back)
    _tell(session, back)


@click.command("correct", help="更正隔离的一行后入库 | land a quarantined row with other values")
@click.argument("resource")
@click.option("--batch", required=True, help="批次 | the batch it came in")
@click.option("--row", type=ROW, required=True, help="行号 | row number")
@click.option(
    "--set", "changes", multiple=True, required=True, metavar="FIELD=VALUE", help="更正的值 | the right value"
)
@click.option("--by", required=True, help="数据管理员 | a data manager")
@click.option("--why", required=True, help="依据 | on what grounds")
@command
def correct_command(  # noqa: PLR0917 - the options
    session: Session, resource: str, batch: str, row: int, changes: tuple[str, ...], by: str, why: str
) -> None:
    """Correct a row; it is standardised, checked and landed like any other."""
    said = {}
    for one in changes:
        name, sign, value = one.partition("=")
        if not sign:
            raise click.BadParameter(f"{one}: FIELD=VALUE")
        said[name] = value
    with open_deployment(session.settings) as wired:
        chosen, who = wired.deployment.resource(resource), person(wired.deployment, by).actor
        run = f"correction-{new_run_id()}"
        back = correct(wired.steps, wired.parts, chosen.id, batch, row, said, who, why, now(), run)
        _merge(wired, back)
    _tell(session, back)


@click.command("recheck", help="按现行规则重新检查隔离的行 | judge quarantined rows by the rules of today")
@click.argument("resource")
@click.option("--by", default="system", help="办理人 | who does this")
@buckets_option
@where_option
@command
def recheck_command(session: Session, resource: str, by: str, *, buckets: int | None, where: str) -> None:
    """Land the rows that pass now; newer records of the same key stay."""
    with open_deployment(session.settings) as wired, shared_check(wired.parts, where, buckets) as judging:
        chosen = wired.deployment.resource(resource)
        who = by if by == "system" else person(wired.deployment, by).actor.id
        back = recheck(wired.steps, wired.parts, chosen.id, who, now(), f"recheck-{new_run_id()}", judging)
        _merge(wired, back)
    _tell(session, back)


@click.command("returned", help="从隔离区取回的行：谁、何时、为何 | rows that came back: who, when, why")
@click.argument("resource")
@command
def returned_command(session: Session, resource: str) -> None:
    """Print every row that came back, the oldest first."""
    with open_deployment(session.settings) as wired:
        found = Holds(wired.state.engine).returned(wired.deployment.resource(resource).id)
    if session.voice.as_json:
        session.voice.answer({"returned": [asdict(one) for one in found]})
        return
    heads = [
        ("时间", "at"),
        ("方式", "kind"),
        ("批次", "batch"),
        ("行", "row"),
        ("运行", "run"),
        ("人员", "who"),
        ("理由", "why"),
    ]
    rows = [[one.at[:16], one.kind, one.origin, one.row, one.run, one.who, one.why] for one in found]
    session.voice.table(("取回的行", "Rows that came back"), heads, rows)


def _merge(wired: Wired, back: Back) -> None:
    library = wired.deployment.resource(back.resource).standard.library
    if library and back.landed:
        wired.steps.merge(library, f"{back.runs[-1]}-{library}")
        wired.steps.publish(library, f"{back.runs[-1]}-{library}")


def _tell(session: Session, back: Back) -> None:
    if session.voice.as_json:
        session.voice.answer(asdict(back))
        return
    session.voice.line(
        f"{back.resource}：查看 {back.looked_at:,} 行，{back.passed:,} 行可入库；入库 {back.landed:,}，"
        f"已有更新记录 {back.superseded:,}",
        f"{back.resource}: looked at {back.looked_at:,} rows, {back.passed:,} can land; {back.landed:,} landed,"
        f" {back.superseded:,} have newer records",
    )
