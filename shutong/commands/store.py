"""Commands on the place where the warehouse lies: look whether it is fit, and make a bucket that is."""

from __future__ import annotations

import shutil

import click

from shutong.deployment import DeploymentSecrets, load
from shutong.session import FAILED, Session, command
from shutong.storage import Places, places
from warehouse.s3_care import Finding, check, prepare

LITTLE = 1 << 30  # bytes free below which a folder is called short of room


@click.command("check", help="检查可达、时钟、密钥、存储桶与锁定 | is it reachable, permitted, fit")
@command
def check_command(session: Session) -> int:
    """Look, changing nothing."""
    where = _places(session)
    found = _folder(where) if where.bucket is None else check(where.bucket, retain_days=where.retain_days)
    return _told(session, found)


@click.command("prepare", help="建立存储桶（按需启用对象锁定）并检查 | make the bucket, then check it")
@command
def prepare_command(session: Session) -> int:
    """Make what is not there yet."""
    where = _places(session)
    if where.bucket is None:
        where.work.mkdir(parents=True, exist_ok=True)
        return _told(session, _folder(where))
    return _told(session, prepare(where.bucket, retain_days=where.retain_days))


def _places(session: Session) -> Places:
    load(session.settings)
    return places(session.settings, DeploymentSecrets(session.settings))


def _folder(where: Places) -> list[Finding]:
    there = next(one for one in (where.folder, *where.folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    return [
        Finding("folder", f"仓库在本机目录 {where.folder}", f"the warehouse lies in the folder {where.folder}"),
        Finding(
            "room",
            f"可用空间 {free / 1e9:.0f} GB{'，偏少' if free < LITTLE else ''}",
            f"{free / 1e9:.0f} GB are free{', which is little' if free < LITTLE else ''}",
        ),
    ]


def _told(session: Session, found: list[Finding]) -> int:
    failed = any(one.error for one in found)
    if session.voice.as_json:
        told = [{"name": one.name, "ok": one.error is None, "zh": one.zh, "en": one.en} for one in found]
        errors = [one.error.as_dict() for one in found if one.error]
        session.voice.answer({"ok": not failed, "findings": told, "errors": errors})
        return FAILED if failed else 0
    for one in found:
        if one.error is None:
            session.voice.line(f"✓ {one.zh}", f"✓ {one.en}")
        else:
            session.voice.error(one.error)
    return FAILED if failed else 0
