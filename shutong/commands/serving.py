"""Commands on what is published: follow a library as its resources land, and verify the files that answer."""

from __future__ import annotations

import signal
from types import FrameType
from typing import TYPE_CHECKING

import click

from shutong.printing import Voice
from shutong.session import FAILED, Session, command
from shutong.wiring import new_run_id, open_deployment
from warehouse.serving import ServingStore
from warehouse.serving_care import damages

if TYPE_CHECKING:
    from runs.library_follow import LibraryNews


@click.command("follow", help="资源一落库就合并并发布 | merge and publish whenever a resource has landed")
@click.argument("library")
@command
def follow_command(session: Session, library: str) -> None:
    """Follow a library until SIGTERM or Ctrl-C; what is being published then is finished."""
    from runs.library_follow import LibraryFollower

    with open_deployment(session.settings) as wired:
        follower = LibraryFollower(
            wired.parts, library, tell=lambda news: _tell(session.voice, library, news), new_run=new_run_id
        )

        def leave(number: int, _frame: FrameType | None) -> None:
            follower.stop.set()
            signal.signal(number, signal.SIG_DFL)  # asked again, it ends at once; nothing is lost by that

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, leave)
        session.voice.line(f"跟踪基础库 {library}", f"following library {library}")
        follower.follow()
    session.voice.line("已停止", "Stopped")


def _tell(voice: Voice, library: str, news: LibraryNews) -> None:
    if voice.as_json:
        told = {"what": news.what, "library": library, "seconds": round(news.seconds, 3)}
        told |= {"report": news.report.as_dict()} if news.report else {}
        voice.answer(told | ({"error": news.error.as_dict()} if news.error else {}))
    elif news.error is not None:
        voice.line(
            f"{news.error.code} {news.error.zh}；{news.seconds:.0f} 秒后重试",
            f"{news.error.code} {news.error.en}; again in {news.seconds:.0f} s",
        )
    elif news.report is not None:
        one = news.report
        voice.line(
            f"{library}：第 {one.generation} 版，{one.records:,} 条记录（{news.seconds:.1f} 秒）",
            f"{library}: generation {one.generation}, {one.records:,} records ({news.seconds:.1f} s)",
        )


@click.command("verify", help="逐字节核对发布文件 | compare the published files with their seals, byte by byte")
@click.argument("library")
@command
def verify_command(session: Session, library: str) -> int:
    """Read every byte that answers; exit 1 when one is not what was published."""
    folder = session.settings.home / "serving"
    found = damages(folder, library)
    if session.voice.as_json:
        session.voice.answer({"library": library, "damaged": found})
        return FAILED if found else 0
    if found:
        for name, why in found.items():
            session.voice.line(f"✗ {name}：{why}", f"✗ {name}: {why}")
        session.voice.line(
            f"请重新发布：shutong library publish {library} --rebuild；完成前由上一版应答",
            f"Publish it again: shutong library publish {library} --rebuild; the generation before answers until then",
        )
        return FAILED
    info = ServingStore(folder, library).info()
    session.voice.line(
        f"{library}：第 {info.id} 版完好，{info.rows:,} 条记录，其中 {info.changed:,} 条为其后的变更",
        f"{library}: generation {info.id} is sound, {info.rows:,} records, {info.changed:,} of them changed since",
    )
    return 0
