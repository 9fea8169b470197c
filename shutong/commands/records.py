"""Commands for departments: ask a library under a grant, see one's usage, and manage API keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TextIO

import click

from shutong import asking
from shutong.commands.query_sql import Wanted, answer_sql, is_sql, sql_options
from shutong.layout import SetupError
from shutong.session import FAILED, Session, command
from shutong.wiring import open_deployment

AS = click.option(
    "--as", "department", required=True, metavar="DEPARTMENT", help="以哪个部门的授权 | as which department"
)


@click.command(
    "query", help="按键查询基础库，或对数仓写 SQL | look records up in a library, or ask the warehouse by SQL"
)
@click.argument("library", metavar="[LIBRARY | SQL]", required=False)
@click.argument("keys", nargs=-1, required=False)
@click.option("--as", "department", metavar="DEPARTMENT", help="以哪个部门的授权 | as which department")
@click.option("--fields", help="逗号分隔的字段 | comma-separated fields")
@click.option("--grant", help="使用哪一项授权 | which grant")
@click.option(
    "--keys-from", type=click.File("r"), help="从文件逐行读取键（- 为标准输入） | keys from a file, one a line"
)
@command
@sql_options
def query_command(  # noqa: PLR0917 - click names them
    session: Session,
    sql: Wanted,
    library: str | None,
    keys: tuple[str, ...],
    department: str | None,
    fields: str | None,
    grant: str | None,
    keys_from: TextIO | None,
) -> int:
    """Ask for records; exit 1 when a key has none. Person keys are better given on standard input than as arguments.

    A first word with blanks in it is SQL.
    """
    if is_sql(sql):
        return answer_sql(session, sql)
    if library is None or department is None:
        raise click.UsageError('LIBRARY … --as DEPARTMENT, or: "SELECT …"')
    wanted = [*keys, *(line.strip() for line in keys_from or () if line.strip())]
    if not wanted:
        raise SetupError(
            "SYS-NO-KEY",
            zh="没有给出要查询的键",
            en="no key was given",
            fix_zh="例如 shutong query legal_person 91330106MA2XXXXXXX --as swj",
            fix_en="For example: shutong query legal_person 91330106MA2XXXXXXX --as swj",
        )
    chosen = [name.strip() for name in fields.split(",")] if fields else None
    answer = asking.ask(session.settings, library, wanted, department=department, fields=chosen, grant=grant)
    missing = sum(not line["found"] for line in answer["data"])
    if session.voice.as_json:
        session.voice.answer(answer)
        return FAILED if missing else 0
    for line in answer["data"]:
        if not line["found"]:
            session.voice.line(f"\n{line['key']}：没有记录", f"\n{line['key']}: no record")
            continue
        session.voice.table(
            (line["key"], line["key"]),
            [("字段", "field"), ("值", "value")],
            [[name, value] for name, value in line["record"].items()],
        )
    masked = "、".join(answer["masked"]) or "-"
    session.voice.line(
        f"\n授权 {answer['grant']}，已脱敏：{masked}，数据发布于 {answer['published_at']}，"
        f"请求编号 {answer['request_id']}",
        f"\ngrant {answer['grant']}, masked: {masked}, published {answer['published_at']}, "
        f"request {answer['request_id']}",
    )
    return FAILED if missing else 0


@click.command("usage", help="本部门的调用与剩余配额 | a department's calls and quotas")
@AS
@click.option("--days", type=click.IntRange(1, 366), help="缺省 31；按时 7，按分 1 | 31; by hour 7, by minute 1")
@click.option("--by", type=click.Choice(["day", "hour", "minute"]), default="day", show_default=True)
@command
def usage_command(session: Session, department: str, days: int | None, by: str) -> None:
    """Print calls by time, library, grant and status, and what is left of each quota."""
    told = asking.usage(session.settings, department, days or {"day": 31, "hour": 7, "minute": 1}[by], by)
    if session.voice.as_json:
        session.voice.answer(told)
        return
    calls = [
        [one[by], one["library"] or one["resource"], *(one[name] for name in ("grant", "status", "calls", "units"))]
        for one in told["calls"]
    ]
    heads = [
        ("时间", by),
        ("库", "library"),
        ("授权", "grant"),
        ("状态", "status"),
        ("次数", "calls"),
        ("计量", "units"),
    ]
    session.voice.table((f"{department} 的调用", f"Calls of {department}"), heads, calls, ("没有调用", "No calls"))
    quotas = [
        [one[name] for name in ("grant", "subject", "per_day", "per_month", "used", "left", "until")]
        for one in told["quotas"]
    ]
    heads = [
        ("授权", "grant"),
        ("对象", "subject"),
        ("每日", "per day"),
        ("每月", "per month"),
        ("今日已用", "used today"),
        ("剩余", "left"),
        ("到期", "until"),
    ]
    none = ("没有授权；用 shutong application file 申请", "No grants; ask for one with shutong application file")
    session.voice.table(("配额", "Quotas"), heads, quotas, none)


@click.command("issue", help="签发密钥（只显示一次） | issue a key, shown once")
@AS
@click.option("--label", default="", help="用途说明 | what it is for")
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 3650))
@click.option("--client", help="部门的哪个应用 | for which application of the department")
@command
def issue_command(session: Session, department: str, label: str, days: int, client: str | None) -> None:
    """Issue a key for a department of the deployment, or for an application of it."""
    from sharing.clients import Clients
    from sharing.keys import Keys
    from shutong.commands.clients import client_of, tell_key

    with open_deployment(session.settings) as wired:
        wired.deployment.department(department)
        keys = Keys(wired.state.engine)
        of = client_of(Clients(wired.state.engine), department, client) if client is not None else None
        name = label or (of.name if of is not None else "")
        tell_key(session, keys, keys.issue(department, name, timedelta(days=days), of.id if of is not None else None))


@click.command("list", help="列出密钥（不含内容） | list keys, without their content")
@command
def keys_command(session: Session) -> None:
    """List every key ever issued."""
    from sharing.keys import Keys

    with open_deployment(session.settings) as wired:
        found = Keys(wired.state.engine).list()
    now = datetime.now(UTC)
    rows = [
        [one.id, one.department, one.client, one.label, one.created_at, one.expires_at, one.revoked_at, one.last_used,
         one.ends_soon(now)]
        for one in found
    ]  # fmt: skip
    names = ("id", "department", "client", "label", "created_at", "expires_at", "revoked_at", "last_used", "ends_soon")
    if session.voice.as_json:
        session.voice.answer({"keys": [dict(zip(names, row, strict=True)) for row in rows]})
        return
    heads = [
        ("编号", "id"),
        ("部门", "department"),
        ("应用", "application"),
        ("说明", "label"),
        ("签发", "created"),
        ("到期", "expires"),
        ("吊销", "revoked"),
        ("最近使用", "last used"),
        ("将到期", "ends soon"),
    ]
    none = ("还没有密钥；用 shutong key issue 签发", "No keys yet; issue one with shutong key issue")
    session.voice.table(("密钥", "Keys"), heads, rows, none)


@click.command("revoke", help="吊销密钥 | revoke a key")
@click.argument("key_id", type=int)
@command
def revoke_command(session: Session, key_id: int) -> int:
    """Revoke a key from now on."""
    from sharing.keys import Keys

    with open_deployment(session.settings) as wired:
        done = Keys(wired.state.engine).revoke(key_id)
    if session.voice.as_json:
        session.voice.answer({"key": key_id, "revoked": done})
    else:
        session.voice.line(
            "已吊销" if done else "没有此密钥或早已吊销", "revoked" if done else "no such key, or revoked before"
        )
    return 0 if done else FAILED
