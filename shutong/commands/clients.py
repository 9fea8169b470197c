"""Commands for applications (clients) of departments: from where they call, how they prove themselves, their keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from schemas.errors import ShutongError
from shutong.layout import SetupError
from shutong.session import FAILED, Session, command
from shutong.wiring import open_deployment

if TYPE_CHECKING:
    from sharing.clients import Client, Clients
    from sharing.keys import Keys

Act = TypeVar("Act", bound=Callable[..., object])
WAYS = ("key", "signature", "token", "certificate")


def how_options(act: Act) -> Act:
    """--from, --proof and --certificate."""
    for option in (
        click.option("--certificate", "certificates", multiple=True, type=click.Path(path_type=Path, exists=True),
                     help="客户端证书，PEM | a client certificate, PEM"),
        click.option("--proof", "proofs", multiple=True, type=click.Choice(WAYS),
                     help="只可这样证明身份 | the only ways to prove itself"),
        click.option("--from", "networks", multiple=True, metavar="CIDR",
                     help="只可从此网段调用 | called from this network only"),
    ):  # fmt: skip
        act = option(act)
    return act


def length(_context: click.Context, _option: click.Parameter, value: str) -> timedelta:
    """`7d` or `12h`."""
    from sharing.grant_terms import span

    try:
        return span(value)
    except ValueError:
        raise click.BadParameter("7d | 12h") from None


@click.command("add", help="登记部门的应用 | register an application of a department")
@click.argument("name")
@click.option("--as", "department", required=True, metavar="DEPARTMENT", help="哪个部门的 | of which department")
@how_options
@command
def add_command(  # noqa: PLR0917 - click names them
    session: Session, name: str, department: str, networks: tuple[str, ...], proofs: tuple[str, ...],
    certificates: tuple[Path, ...],
) -> None:  # fmt: skip
    """Register an application; keys are issued for it by `key issue --client`."""
    from sharing.clients import PROOFS, Clients

    marks = [_mark(one) for one in certificates]
    with open_deployment(session.settings) as wired:
        wired.deployment.department(department)
        clients = Clients(wired.state.engine)
        try:
            made = clients.add(department, name, networks, proofs or PROOFS)
        except ValueError as error:
            raise _network(str(error)) from error
        if made is None:
            raise SetupError(
                "SYS-CLIENT-EXISTS",
                zh=f"{department} 已有名为“{name}”的应用",
                en=f"{department} has an application named '{name}' already",
                fix_zh="换一个名称，或用 shutong client change 修改",
                fix_en="Take another name, or alter it with shutong client change",
            )
        _pin(clients, made, marks)
        _tell(session, clients, made.id)


@click.command("change", help="修改网段、证明方式、证书 | change networks, proofs, certificates")
@click.argument("number", type=int)
@how_options
@click.option("--anywhere", is_flag=True, help="可从任何地址调用 | called from anywhere")
@click.option("--without", "gone", multiple=True, metavar="SHA256", help="不再接受的证书 | a certificate no more taken")
@command
def change_command(  # noqa: PLR0917 - click names them
    session: Session, number: int, networks: tuple[str, ...], proofs: tuple[str, ...],
    certificates: tuple[Path, ...], anywhere: bool, gone: tuple[str, ...],  # noqa: FBT001 - click names it
) -> None:  # fmt: skip
    """What is not said stays as it is; networks and proofs that are said take the place of those before."""
    from sharing.clients import Clients

    marks = [_mark(one) for one in certificates]
    with open_deployment(session.settings) as wired:
        clients = Clients(wired.state.engine)
        client = clients.get(number)
        if client is None:
            raise _unknown(str(number))
        held = () if anywhere else tuple(str(one) for one in client.networks)
        try:
            clients.change(number, networks or held, proofs or client.proofs)
        except ValueError as error:
            raise _network(str(error)) from error
        _pin(clients, client, marks)
        for mark in gone:
            clients.unpin(number, mark.replace(":", "").lower())
        _tell(session, clients, number)


@click.command("disable", help="停用：其密钥、令牌、证书一秒内失效 | shut off, within a second")
@click.argument("number", type=int)
@command
def disable_command(session: Session, number: int) -> None:
    """Shut an application off."""
    _switch(session, number, on=False)


@click.command("enable", help="恢复停用的应用 | let it call again")
@click.argument("number", type=int)
@command
def enable_command(session: Session, number: int) -> None:
    """Let an application call again."""
    _switch(session, number, on=True)


@click.command("list", help="列出应用 | list applications")
@command
def list_command(session: Session) -> None:
    """Print one line per application."""
    from sharing.clients import Clients

    with open_deployment(session.settings) as wired:
        clients = Clients(wired.state.engine)
        marks = clients.certificates()
        found = [(one, marks.get(one.id, ())) for one in clients.list()]
    if session.voice.as_json:
        session.voice.answer({"clients": [_told(*one) for one in found]})
        return
    heads = [
        ("编号", "id"), ("部门", "department"), ("名称", "name"), ("网段", "networks"), ("证明方式", "proofs"),
        ("证书", "certificates"), ("停用", "disabled"),
    ]  # fmt: skip
    rows = [
        [one.id, one.department, one.name, ", ".join(map(str, one.networks)), ", ".join(one.proofs), len(of),
         one.disabled_at]
        for one, of in found
    ]  # fmt: skip
    none = ("还没有应用；用 shutong client add 登记", "No applications yet; register one with shutong client add")
    session.voice.table(("应用", "Applications"), heads, rows, none)


@click.command("rotate", help="换发密钥，旧密钥再用一段时间 | a new key; the old one works for a while")
@click.argument("key_id", type=int)
@click.option("--overlap", default="7d", show_default=True, callback=length, metavar="7d|12h",
              help="旧密钥还可用多久 | how long the old key still works")  # fmt: skip
@click.option("--days", "life", default=365, show_default=True, type=click.IntRange(1, 3650))
@command
def rotate_command(session: Session, key_id: int, overlap: timedelta, life: int) -> int:
    """Issue a key in place of another, for the same department and application."""
    from sharing.keys import Keys

    with open_deployment(session.settings) as wired:
        keys = Keys(wired.state.engine)
        key = keys.rotate(key_id, overlap, timedelta(days=life))
        if key is not None:
            tell_key(session, keys, key)
    if key is None:
        if session.voice.as_json:
            session.voice.answer({"key": None})
        else:
            session.voice.line("没有此密钥，或已吊销、已过期", "no such key, or it is revoked or past its end")
        return FAILED
    return 0


def tell_key(session: Session, keys: Keys, key: str) -> None:
    """Show a key that was made, its number and what calls are signed with: this once."""
    from sharing.keys import digest
    from sharing.signed import signing_secret
    from shutong.trusting import sharing_secret

    found = keys.find(digest(key))
    if found is None:
        return
    secret = signing_secret(sharing_secret(session.settings), digest(key))
    if session.voice.as_json:
        session.voice.answer(
            {"department": found.department, "key": key, "id": found.id, "client": found.client,
             "signing_secret": secret}
        )  # fmt: skip
        return
    session.voice.line(f"{key}\n请立即保存：之后不再显示", f"{key}\nKeep it now: it is not shown again")
    if found.client is not None:
        session.voice.line(
            f"应用编号 {found.client}（OAuth2 的 client_id），密钥编号 {found.id}（X-Key-Id），签名密钥 {secret}",
            f"application {found.client} (client_id of OAuth2), key {found.id} (X-Key-Id), signing secret {secret}",
        )


def client_of(clients: Clients, department: str, name: str) -> Client:
    """The department's application of that name. Raises SetupError (SYS-CLIENT)."""
    found = clients.named(department, name)
    if found is None:
        raise _unknown(name)
    return found


def _mark(path: Path) -> str:
    from sharing.certificates import fingerprint

    try:
        return fingerprint(path.read_text(encoding="utf-8", errors="replace"), datetime.now(UTC))
    except ShutongError as error:
        raise SetupError(
            "SYS-CERTIFICATE",
            zh=f"{path} 不是有效期内的 PEM 证书",
            en=f"{path} is no PEM certificate that is in its time",
            fix_zh="导出客户端证书（不含私钥）为 PEM",
            fix_en="Export the client certificate, without its private key, as PEM",
        ) from error


def _pin(clients: Clients, client: Client, marks: list[str]) -> None:
    for mark in marks:
        held = clients.showing(mark)
        if held is not None and held.id == client.id:
            continue
        if not clients.pin(client.id, mark):
            raise SetupError(
                "SYS-CERTIFICATE-TAKEN",
                zh=f"证书 {mark[:16]}… 已登记给其他应用",
                en=f"the certificate {mark[:16]}… belongs to another application",
                fix_zh="每个应用使用自己的证书",
                fix_en="Give each application a certificate of its own",
            )


def _switch(session: Session, number: int, *, on: bool) -> None:
    from sharing.clients import Clients

    with open_deployment(session.settings) as wired:
        clients = Clients(wired.state.engine)
        if not (clients.enable(number) if on else clients.disable(number)):
            raise _unknown(str(number))
        _tell(session, clients, number)


def _tell(session: Session, clients: Clients, number: int) -> None:
    client = clients.get(number)
    if client is None:
        raise _unknown(str(number))
    told = _told(client, clients.certificates().get(number, ()))
    if session.voice.as_json:
        session.voice.answer({"client": told})
        return
    session.voice.table(
        (f"应用 {client.name}", f"Application {client.name}"), [("项目", "item"), ("内容", "value")],
        [[name, ", ".join(value) if isinstance(value, list) else value] for name, value in told.items()],
    )  # fmt: skip


def _told(client: Client, certificates: tuple[str, ...]) -> dict[str, object]:
    return {
        "id": client.id,
        "department": client.department,
        "name": client.name,
        "networks": [str(one) for one in client.networks],
        "proofs": list(client.proofs),
        "certificates": list(certificates),
        "created_at": client.created_at,
        "disabled_at": client.disabled_at,
    }


def _unknown(name: str) -> SetupError:
    return SetupError(
        "SYS-CLIENT",
        zh=f"没有应用“{name}”",
        en=f"there is no application '{name}'",
        fix_zh="用 shutong client list 查看",
        fix_en="See them with shutong client list",
    )


def _network(said: str) -> SetupError:
    return SetupError(
        "SYS-NETWORK",
        zh=f"网段写法有误：{said}",
        en=f"a network is written wrongly: {said}",
        fix_zh="例如 --from 10.2.0.0/16 或 --from 10.2.3.4",
        fix_en="For example --from 10.2.0.0/16 or --from 10.2.3.4",
    )
