"""The command that follows a resource by the log of its database, until it is told to stop."""

from __future__ import annotations

import signal
from types import FrameType

import click

from runs.follow import Follower, News
from shutong.printing import Voice
from shutong.session import Session, command
from shutong.wiring import new_run_id, open_deployment


@click.command("follow", help="按来源日志持续跟踪一个资源（read: {mode: cdc}） | follow a resource, change by change")
@click.argument("resource")
@click.option("--full", is_flag=True, help="先完整读取一次 | read everything once more first")
@click.option("--drop-slot", is_flag=True, help="不再跟踪，删除来源的复制槽 | give up following: drop the slot")
@command
def follow_command(session: Session, resource: str, *, full: bool, drop_slot: bool) -> int:
    """Follow until SIGTERM or Ctrl-C; what is being landed then is finished."""
    with open_deployment(session.settings) as wired:
        chosen = wired.deployment.resource(resource)
        feed = wired.open_changes(chosen)
        if drop_slot:
            feed.drop()
            session.voice.line(
                "已删除复制槽，来源不再为我们保留日志", "The slot is dropped: the source keeps no log for us"
            )
            return 0
        follower = Follower(wired.parts, chosen, feed, tell=lambda news: _tell(session.voice, news), new_run=new_run_id)

        def leave(number: int, _frame: FrameType | None) -> None:
            follower.stop.set()
            signal.signal(number, signal.SIG_DFL)  # asked again, it ends at once; nothing is lost by that

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, leave)
        session.voice.line(f"跟踪 {chosen.id} {chosen.zh}", f"following {chosen.id} {chosen.en}")
        follower.follow(in_full=full)
    session.voice.line("已停止；下次从此处继续", "Stopped; the next one goes on from here")
    return 0


def _tell(voice: Voice, news: News) -> None:
    if voice.as_json:
        voice.answer(_as_dict(news))
        return
    took = f"{news.seconds:.1f}"
    if news.report is not None:
        one = news.report
        behind_zh, behind_en = _lag(news)
        zh, en = ("完整读取", "read in full") if news.what == "full" else ("变更", "changes")
        voice.line(
            f"{zh} {one.pulled:,} 行：入库 {one.landed:,}，删除 {one.deleted:,}，隔离 {one.quarantined:,}，"
            f"待定 {one.held:,}（{took} 秒{behind_zh}）",
            f"{en}: {one.pulled:,} rows, landed {one.landed:,}, deleted {one.deleted:,}, quarantined "
            f"{one.quarantined:,}, held {one.held:,} ({took} s{behind_en})",
        )
    elif news.error is not None:
        again = (
            (f"；{news.seconds:.0f} 秒后重试", f"; again in {news.seconds:.0f} s")
            if news.what == "waiting"
            else ("", "")
        )
        voice.line(f"{news.error.code} {news.error.zh}{again[0]}", f"{news.error.code} {news.error.en}{again[1]}")
    elif news.what == "merged":
        voice.line(f"已合并并发布（{took} 秒）", f"merged and published ({took} s)")
    else:
        behind_zh, behind_en = _lag(news)
        voice.line(f"来源为我们保留的日志过多{behind_zh}", f"the source keeps too much log for us{behind_en}")


def _lag(news: News) -> tuple[str, str]:
    lag = news.lag
    if lag is None:
        return "", ""
    size = "" if lag.bytes is None else f" {lag.bytes / 1e6:.1f} MB"
    late = "" if lag.seconds is None else f" {lag.seconds:.1f}"
    return (
        (f"，落后{size}" if size else "") + (f"，延迟{late} 秒" if late else ""),
        (f", behind{size}" if size else "") + (f", late by{late} s" if late else ""),
    )


def _as_dict(news: News) -> dict[str, object]:
    return {
        "what": news.what,
        "seconds": round(news.seconds, 3),
        **({"report": news.report.as_dict()} if news.report else {}),
        **({"behind_bytes": news.lag.bytes, "late_seconds": news.lag.seconds} if news.lag else {}),
        **({"error": news.error.as_dict()} if news.error else {}),
    }
