"""Commands on bundles: this deployment's card, the bundles made and taken, and what one of them says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from shutong.bundles import FILE, SECRET, agreed, keys
from shutong.deployment import DeploymentSecrets, load, vault
from shutong.layout import SetupError
from shutong.session import Session, command
from shutong.wiring import open_deployment
from warehouse.bundle_file import Bundle, reading
from warehouse.bundle_keys import Keys
from warehouse.bundle_state import BundleState, origin

_SAID = {
    "signer": ("签名方", "signer"),
    "id": ("编号", "id"),
    "library": ("基础库（发送方的名称）", "library, as its sender calls it"),
    "standard": ("标准", "standard"),
    "previous": ("接在其后", "follows"),
    "merged_at": ("归并于", "merged"),
    "made_at": ("导出于", "made"),
    "by": ("发送方自称", "the sender calls itself"),
    "encrypted": ("加密", "encrypted"),
    "bytes": ("字节", "bytes"),
}


@click.command(
    "keys", help="本部署的名片与指纹，首次执行时生成密钥 | this deployment's card; makes the keys the first time"
)
@click.option("--new", is_flag=True, help="换新密钥；合作方须改登记新名片 | new keys: every partner needs the new card")
@click.option("--yes", is_flag=True, help="不再询问 | do not ask")
@command
def keys_command(session: Session, *, new: bool, yes: bool) -> None:
    """Show the card to be given to partners; the private keys stay among the encrypted secrets."""
    settings, made = session.settings, False
    load(settings)
    try:
        own = keys(DeploymentSecrets(settings))
    except SetupError as error:
        if error.code != "SYS-BUNDLE-KEYS":
            raise
        own, made = Keys.new(), True
    if new and not made:
        if not yes:
            click.confirm(
                "合作方将不再认识旧密钥的签名。继续？ | Signatures of the old keys will count no more?",
                abort=True,
                err=True,
            )
        own, made = Keys.new(), True
    if made:
        vault(settings).put(SECRET, own.text)
    name = agreed(settings.home).name
    if session.voice.as_json:
        session.voice.answer({"name": name, "card": own.card.text, "fingerprint": own.card.fingerprint, "made": made})
        return
    session.voice.line(f"名片（写入合作方的 {FILE}）：", f"The card, for the {FILE} of partners:")
    click.echo(own.card.text)
    session.voice.line(
        f"指纹（电话核对）：{own.card.fingerprint}", f"Fingerprint, to be compared by telephone: {own.card.fingerprint}"
    )


@click.command("list", help="导出过的与导入的数据包 | bundles that were made, and those that came")
@command
def list_command(session: Session) -> None:
    """List bundles made, newest first, and the bundle each received library stands at."""
    with open_deployment(session.settings) as wired:
        sent = BundleState(wired.state.engine).sent()
        came = {name: origin(wired.state, name) for name in sorted(wired.deployment.received)}
    voice = session.voice
    if voice.as_json:
        told = [{name: value for name, value in asdict(one).items() if name != "done"} for one in sent]
        voice.answer({"sent": told, "received": {name: asdict(one) for name, one in came.items() if one}})
        return
    heads = [
        ("数据包", "bundle"),
        ("合作方", "partner"),
        ("接在其后", "follows"),
        ("归并于", "merged"),
        ("导出", "made"),
    ]
    rows = [[one.id, one.partner, one.previous, one.merged_at[:19], f"{one.at[:19]} {one.who}"] for one in sent]
    voice.table(("导出的数据包", "Bundles made"), heads, rows)
    heads = [("基础库", "library"), ("数据包", "bundle"), ("来自", "from"), ("归并于", "merged"), ("导入", "imported")]
    found = [[name, one.bundle, one.sender, one.merged_at[:19], one.taken_at[:19]] for name, one in came.items() if one]
    voice.table(("导入的基础库", "Libraries received"), heads, found)


@click.command("show", help="核对一个数据包并显示其清单 | verify a bundle and show what it says")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@command
def show_command(session: Session, file: Path) -> None:
    """Verify signature and digests, and show what the bundle holds; nothing is decrypted or imported."""
    load(session.settings)
    trusted = agreed(session.settings.home).cards()
    own = DeploymentSecrets(session.settings)
    try:
        trusted["(本部署 | this deployment)"] = keys(own).card
    except SetupError as error:
        if error.code != "SYS-BUNDLE-KEYS":
            raise
    with reading(file, trusted) as got:
        got.verify()
    if session.voice.as_json:
        session.voice.answer({"signer": got.signer, **shown(got.bundle)})
        return
    voice = session.voice
    told = {"signer": got.signer, **shown(got.bundle)}
    told["encrypted"] = voice.say("是", "yes") if got.bundle.receiver is not None else voice.say("否", "no")
    rows = [[voice.say(zh, en), told[name]] for name, (zh, en) in _SAID.items()]
    voice.table(("数据包", "Bundle"), [("项", "what"), ("值", "value")], rows)
    parts = [[one.table, f"{one.rows:,}", "✓" if one.whole else ""] for one in got.bundle.parts]
    voice.table(("各表", "Tables"), [("表", "table"), ("行数", "rows"), ("全量", "whole")], parts)


def shown(bundle: Bundle) -> dict[str, object]:
    """What a bundle says of itself, for people."""
    names = ("id", "library", "standard", "previous", "merged_at", "made_at", "by")
    told: dict[str, object] = {name: getattr(bundle, name) for name in names}
    told["encrypted"] = bundle.receiver is not None
    told["bytes"] = sum(one.size for one in bundle.members)
    told["rows"] = {one.table: one.rows for one in bundle.parts}
    return told
