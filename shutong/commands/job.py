"""Commands on bulk jobs: work on them and tell departments of changes, list them, end one."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import click

from shutong.session import FAILED, Session, command
from shutong.wiring import open_deployment

if TYPE_CHECKING:
    from sharing.catalog import SharingConfig

STATES = {
    "queued": "排队", "running": "进行中", "waiting": "等待", "done": "完成", "failed": "失败", "cancelled": "已取消",
    "expired": "结果已删除",
}  # fmt: skip


@click.command("run", help="处理批量作业并发送变更通知，直到停止 | answer bulk jobs and send webhooks, until stopped")
@click.option("--once", is_flag=True, help="做完现有的即止 | end when there is nothing to do now")
@command
def run_command(session: Session, *, once: bool) -> None:
    """Work beside the server; `shutong up` starts it when there is something to do."""
    from shutong.api import config_of

    asyncio.run(_run(config_of(session.settings), once=once))


@click.command("list", help="列出批量作业 | bulk jobs and how far they are")
@command
def list_command(session: Session) -> None:
    """Print every job, the newest first; its keys and its results are not shown."""
    from sharing.bulk_store import JobStore

    with open_deployment(session.settings) as wired:
        found = JobStore(wired.state.engine).every()
    if session.voice.as_json:
        session.voice.answer({"jobs": [one.told() | {"department": one.department} for one in found]})
        return
    heads = [
        ("编号", "id"), ("部门", "department"), ("对象", "subject"), ("状态", "state"), ("键", "keys"),
        ("完成", "done"), ("原因", "code"), ("提交", "filed"),
    ]  # fmt: skip
    rows = [
        [
            one.id,
            one.department,
            one.subject,
            session.voice.say(STATES[one.state], one.state),
            one.keys,
            one.done,
            one.code,
            one.created_at[:16],
        ]
        for one in found
    ]
    empty = ("还没有作业；部门以 POST /v1/libraries/<库>/jobs 提交",
             "No jobs yet; departments hand them in with POST /v1/libraries/<library>/jobs")  # fmt: skip
    session.voice.table(("批量作业", "Bulk jobs"), heads, rows, empty)


@click.command("cancel", help="取消一个作业，已完成的部分保留 | end a job; what was answered stays")
@click.argument("job")
@command
def cancel_command(session: Session, job: str) -> int:
    """End a job that is under way."""
    from sharing.bulk_files import JobFolder
    from sharing.bulk_store import JobStore
    from sharing.bulk_work import cancel

    with open_deployment(session.settings) as wired:
        store = JobStore(wired.state.engine)
        found = store.get(job)
        done = found is not None and cancel(store, JobFolder(wired.deployment.home / "jobs", job), found)
    if session.voice.as_json:
        session.voice.answer({"cancelled": done})
    elif not done:
        session.voice.line(
            "没有这个进行中的作业；用 shutong job list 查看", "there is no such job under way; see shutong job list"
        )
    else:
        session.voice.line("已取消", "cancelled")
    return 0 if done else FAILED


async def _run(config: SharingConfig, *, once: bool) -> None:
    from sharing.bulk_store import JobStore
    from sharing.bulk_work import Worker, run
    from sharing.desk import Desk
    from sharing.webhook_address import Reachable
    from sharing.webhook_store import HookStore
    from sharing.webhook_work import Teller
    from sharing.webhook_work import run as tell

    desk, stop = Desk(config), asyncio.Event()
    jobs, hooks = JobStore(config.engine), HookStore(config.engine)
    teller = Teller(desk, hooks, Reachable(config.webhook_networks))
    try:
        if once:
            worker = Worker(desk, jobs)
            while await worker.turn():
                pass
            await teller.look()
            await teller.send()
            return
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, stop.set)
        await asyncio.gather(run(desk, jobs, stop), tell(teller, hooks, stop))
    finally:
        desk.close()
