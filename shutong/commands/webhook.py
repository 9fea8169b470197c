"""Commands on departments' webhooks: register, list, try, switch on again and remove them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from shutong.layout import SetupError
from shutong.session import FAILED, Session, command
from shutong.wiring import open_deployment

if TYPE_CHECKING:
    from sharing.webhook_store import Hook
    from shutong.settings import Settings

NUMBER = click.argument("number", type=int)


@click.command("add", help="登记部门的变更通知地址（密钥只显示一次） | where a department is told of changes")
@click.argument("url")
@click.option("--as", "department", required=True, metavar="DEPARTMENT", help="哪个部门 | which department")
@click.option("--library", help="基础库 | a library")
@click.option("--resource", help="提供查询的资源 | a served resource")
@click.option("--grant", help="哪一项授权 | which grant")
@command
def add_command(  # noqa: PLR0917 - click names them
    session: Session, url: str, department: str, library: str | None, resource: str | None, grant: str | None
) -> None:
    """Register an address; what it is told holds a cursor and counts, and no data."""
    from sharing.proxies import networks_of
    from sharing.webhook_address import Reachable
    from sharing.webhook_letters import shown_secret
    from sharing.webhook_refusals import TooManyWebhooksError
    from sharing.webhook_store import MOST, HookStore, marked
    from shutong.trusting import sharing_secret

    if (library is None) == (resource is None):
        raise click.UsageError("写且只写一个 | name either: --library | --resource")
    Reachable(networks_of(session.settings.webhook_networks)).read(url)
    subject = ("libraries", library) if library is not None else ("resources", resource or "")
    with open_deployment(session.settings) as wired:
        wired.deployment.department(department)
        _granted(session.settings, department, subject[1], grant)
        hook = HookStore(wired.state.engine).add(department, None, url, subject, grant)
        if hook is None:
            raise TooManyWebhooksError.of(MOST)
        marked(wired.deployment.home)
    secret = shown_secret(sharing_secret(session.settings), hook)
    if session.voice.as_json:
        session.voice.answer({"webhook": hook.told(), "secret": secret})
        return
    session.voice.line(
        f"通知地址 {hook.id}，签名密钥 {secret}\n请立即保存：之后不再显示",
        f"webhook {hook.id}, signing secret {secret}\nKeep it now: it is not shown again",
    )


@click.command("list", help="列出通知地址 | webhooks, and since when they fail")
@command
def list_command(session: Session) -> None:
    """Print every webhook."""
    from sharing.webhook_store import HookStore

    with open_deployment(session.settings) as wired:
        found = HookStore(wired.state.engine).of()
    if session.voice.as_json:
        session.voice.answer({"webhooks": [one.told() | {"department": one.department} for one in found]})
        return
    heads = [
        ("编号", "id"), ("部门", "department"), ("对象", "subject"), ("地址", "url"), ("失败自", "failing since"),
        ("停用", "disabled"),
    ]  # fmt: skip
    rows = [
        [one.id, one.department, one.subject, one.url.partition("?")[0], one.failing_since, one.disabled_at]
        for one in found
    ]
    empty = ("还没有通知地址；用 shutong webhook add 登记", "No webhooks yet; register one with shutong webhook add")
    session.voice.table(("通知地址", "Webhooks"), heads, rows, empty)


@click.command("test", help="发送一条测试通知 | send a test; shutong job run delivers it")
@NUMBER
@command
def test_command(session: Session, number: int) -> None:
    """Put a test message on its way."""
    from sharing.webhook_letters import trial_body
    from sharing.webhook_store import HookStore

    with open_deployment(session.settings) as wired:
        store = HookStore(wired.state.engine)
        message = store.post(number, trial_body(_one(store.get(number), number)))
    if session.voice.as_json:
        session.voice.answer({"message": message})
        return
    session.voice.line(f"已排队：{message}", f"on its way: {message}")


@click.command("enable", help="恢复停用的通知地址，从现在起通知 | tell one again that was switched off, from now on")
@NUMBER
@command
def enable_command(session: Session, number: int) -> int:
    """Switch a webhook on again."""
    from sharing.webhook_store import HookStore

    with open_deployment(session.settings) as wired:
        return _done(session, on=HookStore(wired.state.engine).enable(number))


@click.command("remove", help="删除一个通知地址 | remove one, and what waits for it")
@NUMBER
@command
def remove_command(session: Session, number: int) -> int:
    """Remove a webhook with its messages."""
    from sharing.webhook_store import HookStore

    with open_deployment(session.settings) as wired:
        return _done(session, on=HookStore(wired.state.engine).remove(number))


def _granted(settings: Settings, department: str, subject: str, grant: str | None) -> None:
    """NoGrantError where the department could not read the changes it would be told of."""
    from sharing.desk import Desk
    from shutong.api import config_of
    from shutong.asking import SEGMENT_BYTES

    config = config_of(settings)
    desk = Desk(replace(config, segment_bytes=SEGMENT_BYTES))
    try:
        desk.grants.follow()
        desk.grants.plan(department, subject, grant, channel="feed")
    finally:
        desk.close()
        config.engine.dispose()


def _done(session: Session, *, on: bool) -> int:
    if session.voice.as_json:
        session.voice.answer({"done": on})
    else:
        session.voice.line("完成" if on else "没有这个通知地址", "done" if on else "there is no such webhook")
    return 0 if on else FAILED


def _one(hook: Hook | None, number: int) -> Hook:
    if hook is None:
        raise SetupError(
            "SYS-WEBHOOK",
            zh=f"没有通知地址 {number}",
            en=f"there is no webhook {number}",
            fix_zh="用 shutong webhook list 查看",
            fix_en="See them with shutong webhook list",
        )
    return hook
