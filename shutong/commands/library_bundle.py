"""Commands that carry a library to another deployment and take one from it: export and import."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from pathlib import Path

import click

from runs.bundle import hand_over, take_over
from runs.errors import unknown_library
from shutong.bundles import agreed, keys
from shutong.commands.bundle import shown
from shutong.deployment import DeploymentSecrets
from shutong.printing import Voice
from shutong.session import Session, command
from shutong.wiring import open_deployment
from warehouse.bundle_errors import not_agreed
from warehouse.bundle_export import LAST, Order
from warehouse.bundle_file import reading
from warehouse.bundle_keys import Card

_EVERY = 2.0  # seconds between two lines about what is done


@click.command("export", help="导出为签名并加密的数据包 | a library, or what changed in it, as one signed file")
@click.argument("library")
@click.option("--to", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="文件 | the file")
@click.option("--for", "partner", required=True, help="合作方（bundles.yaml） | a partner of bundles.yaml")
@click.option(
    "--since", help=f"只含此数据包之后的变化；{LAST} 为最近一个 | only what changed since; {LAST}: the newest"
)
@click.option("--plain", is_flag=True, help="不加密（含个人信息，慎用） | not encrypted, personal data in the clear")
@command
def export_command(session: Session, library: str, file: Path, partner: str, *, since: str | None, plain: bool) -> None:
    """Write the library as it is released now; it is encrypted to the partner unless --plain says otherwise."""
    voice, secrets = session.voice, DeploymentSecrets(session.settings)
    said = agreed(session.settings.home)
    to = said.partner(partner)
    if library not in to.receives:
        raise not_agreed(library, partner, sending=True)
    receiver = None if plain else Card.read(to.card, partner)
    with open_deployment(session.settings) as wired:
        known = wired.deployment.libraries
        if library not in known:
            raise unknown_library(library, sorted(known))
        standard = known[library]
        order = Order(library, standard, partner, receiver, said.name, _account(), since)
        told = _often(voice, lambda rows: (f"已写 {rows:,} 行", f"{rows:,} rows written"))
        bundle = hand_over(wired.parts, order, keys(secrets), file, told)
    if voice.as_json:
        voice.answer({"file": str(file), **shown(bundle)})
        return
    size = file.stat().st_size / 1e6
    voice.line(
        f"{file}：{bundle.id}，{size:,.1f} MB，" + ("未加密！" if plain else f"只有 {partner} 能打开"),
        f"{file}: {bundle.id}, {size:,.1f} MB, " + ("NOT encrypted" if plain else f"only {partner} can open it"),
    )


@click.command("import", help="导入合作方的数据包 | take a library from a partner's file")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@command
def import_command(session: Session, file: Path) -> None:
    """Verify the bundle, then release it as a whole; the same bundle again changes nothing."""
    voice, said = session.voice, agreed(session.settings.home)
    with open_deployment(session.settings) as wired, reading(file, said.cards()) as got:
        ours = next(
            (name for name, one in said.partner(got.signer).sends.items() if one.theirs == got.bundle.library), None
        )
        if ours is None:
            raise not_agreed(got.bundle.library, got.signer, sending=False)
        whole = max(2 * sum(one.size for one in got.bundle.members), 1)
        told = _often(voice, lambda done: (f"已完成 {done / whole:.0%}", f"{done / whole:.0%} done"))
        taken = take_over(wired.parts, got, ours, keys(DeploymentSecrets(session.settings)), told)
    if voice.as_json:
        voice.answer({"library": ours, "sender": taken.sender, "changed": taken.changed, "records": taken.records,
                      "bundle": taken.bundle.id})  # fmt: skip
    elif not taken.changed:
        voice.line(
            f"数据包 {taken.bundle.id} 已导入过，未作改动", f"{taken.bundle.id} was imported before; nothing changed"
        )
    else:
        voice.line(
            f"{ours}：{taken.records:,} 条记录，来自 {taken.sender} 的 {taken.bundle.id}；"
            f"发布：shutong library publish {ours}",
            f"{ours}: {taken.records:,} records from {taken.sender}'s {taken.bundle.id}; publish it with: shutong"
            f" library publish {ours}",
        )


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "?"


def _often(voice: Voice, said: Callable[[int], tuple[str, str]]) -> Callable[[int], None]:
    """Say how far it came, every few seconds."""
    last = [time.monotonic()]

    def told(done: int) -> None:
        if time.monotonic() - last[0] >= _EVERY:
            last[0] = time.monotonic()
            voice.progress(*said(done))

    return told
