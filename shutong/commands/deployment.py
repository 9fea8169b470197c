"""Commands for whoever runs a deployment: lay it out, start it, examine it, see the demo."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from schemas.errors import ShutongError
from schemas.values import Check
from shutong.deployment import load, vault
from shutong.layout import init, read_secrets
from shutong.session import FAILED, Session, command
from shutong.settings import SETTINGS, Settings


@click.command("init", help="按示例建立部署目录 | lay out a deployment from an example")
@click.option("--example", default="enterprises", show_default=True, help="enterprises | zhejiang")
@click.option("--force", is_flag=True, help="覆盖已有配置文件（不动数据） | overwrite settings files, not data")
@command
def init_command(session: Session, example: str, *, force: bool) -> None:
    """Copy the example's files into SHUTONG_HOME and make its secrets."""
    written = init(session.settings.home, example, force=force)
    if session.voice.as_json:
        session.voice.answer({"home": str(session.settings.home), "example": example, "written": written})
        return
    home = session.settings.home
    session.voice.line(f"部署目录 {home}：写入 {len(written)} 个文件", f"{home}: wrote {len(written)} files")
    session.voice.line(
        "下一步：shutong resource check <资源>，shutong ingest <资源>",
        "Next: shutong resource check <resource>, then shutong ingest <resource>",
    )


@click.command("demo", help="演示：部门系统 → 检查 → 数仓 → 共享接口 | watch data travel the whole way")
@click.option("--once", is_flag=True, help="与台账逐项核对后退出（0 或 1） | compare with the ledger, then exit")
@click.option("--firms", default=3000, show_default=True, type=click.IntRange(50))
@click.option("--persons", default=5000, show_default=True, type=click.IntRange(50))
@command
def demo_command(session: Session, *, once: bool, firms: int, persons: int) -> int:
    """Run the demo in SHUTONG_HOME/demo."""
    from shutong.demo.run import run

    return run(session.settings, session.voice, once=once, firms=firms, persons=persons)


@click.command("up", help="启动调度器与共享接口，直到 Ctrl-C | run the scheduler and the sharing API")
@command
def up_command(session: Session) -> None:
    """Start Airflow and the API of the deployment and stay until stopped."""
    from shutong.running import running

    alarms = _alarms(session.settings)
    if alarms.warns:
        session.voice.progress(f"! {alarms.zh}", f"! {alarms.en}")
    with running(session.settings, session.voice) as now:
        told = {"airflow": now.airflow.url, "user": "shutong", "password_file": f"{now.airflow.home}/passwords.json",
                "api": now.api_url, "alarms": alarms.en}  # fmt: skip
        if session.voice.as_json:
            session.voice.answer(told)
        else:
            session.voice.line(
                f"Airflow {told['airflow']}（用户 shutong，口令见 {told['password_file']}）\n"
                f"共享接口 {told['api']}\nCtrl-C 停止",
                f"Airflow {told['airflow']} (user shutong, password in {told['password_file']})\n"
                f"sharing API {told['api']}\nCtrl-C stops",
            )
        wait_for_stop(now.look_after)


def wait_for_stop(check: Callable[[], None]) -> None:
    """Wait for SIGINT or SIGTERM, looking every second that nothing has died."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(1.0):
        check()


@click.command(
    "doctor", help="检查本机与部署：版本、目录、配置、密钥、数据库 | examine this machine and the deployment"
)
@command
def doctor_command(session: Session) -> int:
    """Print one line per check; exit 1 when one fails."""
    lines = list(_examine(session.settings))
    if session.voice.as_json:
        told = [
            {"check": one.name, "ok": one.ok, "warns": one.warns, "detail": one.zh if one.zh == one.en else _both(one)}
            for one in lines
        ]
        session.voice.answer({"ok": all(one["ok"] for one in told), "checks": told})
    else:
        session.voice.table(
            ("体检", "Doctor"),
            [("项目", "check"), ("", ""), ("结果", "result")],
            [
                [one.name, "✗" if not one.ok else "!" if one.warns else "✓", session.voice.say(one.zh, one.en)]
                for one in lines
            ],
        )
    return 0 if all(one.ok for one in lines) else FAILED


def _both(one: Check) -> str:
    return f"{one.zh} | {one.en}"


def _plain(name: str, said: str, *, ok: bool = True) -> Check:
    return Check(name, ok=ok, zh=said, en=said)


def _examine(settings: Settings) -> Iterator[Check]:
    yield _plain("Python", sys.version.split()[0], ok=(3, 11) <= sys.version_info[:2] <= (3, 13))
    yield _plain("SQLite", sqlite3.sqlite_version, ok=sqlite3.sqlite_version_info >= (3, 35))
    for one in SETTINGS:
        if one.name in ("SHUTONG_HOME", "SHUTONG_SHARED"):
            folder: Path = settings.home if one.name == "SHUTONG_HOME" else settings.shared
            yield _plain(one.name, str(folder), ok=folder.is_dir() or one.name == "SHUTONG_SHARED")
    checks: tuple[tuple[str, Callable[[], str | Check]], ...] = (
        ("departments · resources · connections", lambda: _folder(settings)),
        ("secrets", lambda: _secrets(settings)),
        ("grants.yaml", lambda: _grants(settings)),
        ("state", lambda: _state(settings)),
        ("alarms", lambda: _alarms(settings)),
    )
    for name, check in checks:
        try:
            said = check()
        except ShutongError as error:
            yield Check(name, ok=False, zh=error.zh, en=error.en)
        else:
            yield said if isinstance(said, Check) else _plain(name, said)


def _folder(settings: Settings) -> str:
    found = load(settings)
    for resource in found.resources:
        found.connection(resource)
        found.department(resource.department)
    return f"{len(found.departments)} · {len(found.resources)} · {len(found.connections)}"


def _secrets(settings: Settings) -> str:
    """How many there are in the encrypted file, each of which its key must open, and in secrets.yaml."""
    kept = vault(settings)
    names = kept.names()
    for name in names:
        kept.find(name)
    return f"{len(names)} encrypted · {len(read_secrets(settings.home))} in secrets.yaml"


def _grants(settings: Settings) -> str:
    from sharing.grant_file import read as read_grants

    standards = {one.id: one.standard for one in load(settings).resources}
    libraries = {one.library: one for one in standards.values() if one.library}
    return f"{len(read_grants(settings.home / 'grants.yaml', libraries, standards))} grants"


def _state(settings: Settings) -> str:
    from shutong.wiring import open_deployment

    with open_deployment(settings) as wired:
        state = wired.parts.state  # with everything beside it opened once
        return f"{len(state.runs(limit=1000))} runs, {len(state.releases(limit=1000))} releases"


def _alarms(settings: Settings) -> Check:
    from shutong.watching import told

    return told(load(settings))
