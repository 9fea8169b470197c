"""Commands on backups of state and catalog: make one, list them, and go back to one."""

from __future__ import annotations

import click

from runs.nightly import Nightly
from schemas.errors import ShutongError
from shutong.commands.warehouse import backups_of
from shutong.session import Session, command
from shutong.wiring import open_deployment
from warehouse import backup
from warehouse.history import instant


@click.command("create", help="备份状态库与表目录 | back up the state database and the catalog")
@command
def create_command(session: Session) -> None:
    """Make a backup now; work goes on meanwhile."""
    place, _ = backups_of(session.settings)
    with open_deployment(session.settings) as wired:
        made = Nightly(wired.parts, place).back_up()
    if session.voice.as_json:
        session.voice.answer(_told(made))
        return
    session.voice.line(
        f"{place.folder / made.name}：第 {made.release or 0} 次发布，{made.files:,} 个表文件",
        f"{place.folder / made.name}: release {made.release or 0}, {made.files:,} table files",
    )


@click.command("list", help="列出备份，最新的在前 | list backups, the newest first")
@command
def list_command(session: Session) -> None:
    """List what can be gone back to."""
    found = backup.backups(backups_of(session.settings)[0])
    if session.voice.as_json:
        session.voice.answer({"backups": [_told(one) for one in found]})
        return
    columns = [("备份", "backup"), ("时间", "at"), ("发布", "release"), ("表文件", "table files")]
    rows = [[one.name, one.at, one.release or "", one.files] for one in found]
    session.voice.table(("备份", "backups"), columns, rows)


@click.command(
    "restore", help="回到某一备份；其后的原始批次重新入库 | go back to a backup; later raw batches land again"
)
@click.option("--at", help="不晚于此时的最新备份，缺省为最新 | the newest one not later than that")
@click.option("--yes", is_flag=True, help="不再询问 | do not ask")
@command
def restore_command(session: Session, at: str | None, *, yes: bool) -> None:
    """Go back to a backup, all services being stopped; what stands now is backed up before, if it can be."""
    place, where = backups_of(session.settings)
    one = backup.chosen(place, instant(at) if at else None)
    if not yes:
        said = f"状态将回到 {one.at}（请先停止各项服务）。继续？ | Go back to {one.at}, all services being stopped?"
        click.confirm(said, abort=True, err=True)
    before, why = _kept(session, place)
    backup.restore(place, one, where.site())
    with open_deployment(session.settings) as wired:
        done = backup.settle(wired.state, wired.store, wired.tables, one)
    if session.voice.as_json:
        reason = {"before_error": why.as_dict()} if why else {}
        session.voice.answer({**_told(one), "batches": done.batches, "before": before, **reason})
        return
    session.voice.line(
        f"已回到 {one.at}；其后收到的 {done.batches} 个原始批次将随各资源的下一次接入重新入库",
        f"Back at {one.at}; {done.batches} raw batches received since land again with the next ingest of each resource",
    )


def _kept(session: Session, place: backup.Place) -> tuple[str | None, ShutongError | None]:
    """Back up what stands now: the backup's name, or why it cannot be, which is told and keeps nobody from going on."""
    try:
        with open_deployment(session.settings) as wired:
            made = backup.create(place, wired.state, wired.tables, keep=len(backup.backups(place)) + 1)
    except ShutongError as error:
        session.voice.progress(
            f"恢复前的状态未能备份（{error.code}：{error.zh}），恢复后无法再回到它",
            f"what stands now could not be backed up ({error.code}: {error.en}); after the restore there is no way back"
            " to it",
        )
        return None, error
    session.voice.progress(f"恢复前的状态已备份为 {made.name}", f"what stood before is backed up as {made.name}")
    return made.name, None


def _told(one: backup.Backup) -> dict[str, object]:
    return {"name": one.name, "at": one.at, "release": one.release, "files": one.files}
