"""Commands on the ledger: check every call record, hold a receipt against it, and show or change the signing keys."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from datetime import datetime
from typing import BinaryIO, TextIO

import click

from sharing.archive import KEPT_DAYS, LEAST_DAYS, Archive
from sharing.looked import FILE as DELAYS
from sharing.looked import WhoLooked, read_delays
from sharing.receipt_check import confirm
from sharing.receipts import check
from sharing.statement_check import adds_up, against_ledger
from sharing.statements import read
from shutong.accounts import Accounts, accounts, accounts_of, put_away
from shutong.printing import Voice
from shutong.session import FAILED, Session, command
from shutong.watching import person
from shutong.wiring import open_deployment


@click.command("verify", help="核对全部调用记录：改动、缺失、截断 | check every call record, and find what was changed")
@click.option("--statement", type=click.File("rb"), help="只重算这份对账单 | only work this statement out again")
@command
def verify_command(session: Session, statement: BinaryIO | None) -> int:
    """Check every checksum, chain, witness and seal; exit 1 when a record was changed or is gone."""
    with accounts(session.settings) as books:
        if statement is not None:
            return _verify_statement(session.voice, books, statement.read())
        audit = books.ledger.verify()
        audit = replace(audit, findings=(*audit.findings, *books.seals.verify()))
    if session.voice.as_json:
        session.voice.answer({"sound": audit.sound, **asdict(audit)})
        return 0 if audit.sound else FAILED
    for one in audit.findings:
        session.voice.line(f"{one.segment}：{one.zh}", f"{one.segment}: {one.en}")
    session.voice.line(
        f"{audit.segments} 个文件，{audit.calls} 次调用：" + ("记录完好" if audit.sound else "记录被改动或缺失"),
        f"{audit.segments} files, {audit.calls} calls: "
        + ("every record is whole" if audit.sound else "records were changed, or are gone"),
    )
    return 0 if audit.sound else FAILED


def _verify_statement(voice: Voice, books: Accounts, content: bytes) -> int:
    found = read(content, books.keys.public())
    differences = [*adds_up(found), *against_ledger(found, books.books())]
    if voice.as_json:
        voice.answer({"sound": not differences, "differences": [asdict(one) for one in differences]})
        return FAILED if differences else 0
    for one in differences:
        voice.line(one.zh, one.en)
    agree = not differences
    voice.line(
        f"{found.month} {found.consumer} → {found.provider or '平台'}："
        + ("与调用记录一致" if agree else "与调用记录不符"),
        f"{found.month} {found.consumer} → {found.provider or 'the platform'}: "
        + ("the records agree" if agree else "the records say otherwise"),
    )
    return FAILED if differences else 0


@click.command("seal", help="封存已结束的各日：签名的默克尔根 | seal the days that are over: a signed Merkle root each")
@command
def seal_command(session: Session) -> None:
    """Seal every day that is over and has no seal yet; once more changes nothing."""
    with accounts(session.settings) as books:
        made = books.seals.seal()
    if session.voice.as_json:
        session.voice.answer({"sealed": [asdict(one) for one in made]})
        return
    for one in made:
        session.voice.line(f"{one.day}：{one.calls} 次调用，{one.root}", f"{one.day}: {one.calls} calls, {one.root}")
    if not made:
        session.voice.line("没有需要封存的日期", "No day is to be sealed")


@click.command(
    "archive", help="把已封存各日的记录归档到数据仓库 | put the records of sealed days away in the warehouse"
)
@click.option(
    "--keep-days",
    type=click.IntRange(min=LEAST_DAYS),
    default=KEPT_DAYS,
    show_default=True,
    help="文件保留多少天 | for how long the files stay",
)
@command
def archive_command(session: Session, keep_days: int) -> None:
    """Put away what was sealed; files older than --keep-days go once the warehouse has the same."""
    with open_deployment(session.settings) as wired:
        books = accounts_of(session.settings, Archive(wired.tables))
        done, removed = put_away(books, wired.tables, keep_days)
    if session.voice.as_json:
        session.voice.answer({"put_away": [asdict(one) for one in done], "files_removed": removed})
        return
    for one in done:
        session.voice.line(f"{one.day}：{one.calls} 次调用", f"{one.day}: {one.calls} calls")
    session.voice.line(
        f"归档 {len(done)} 日，删除 {removed} 个旧文件", f"{len(done)} days put away, {removed} old files removed"
    )


@click.command("verify-receipt", help="核对一张回执：签名与调用记录 | check a receipt: its signature, and the records")
@click.argument("receipt", type=click.File("r"), metavar="FILE")
@click.option("--answer", type=click.File("rb"), help="收到的应答正文 | the body of the answer, as it came")
@command
def verify_receipt_command(session: Session, receipt: TextIO, answer: BinaryIO | None) -> None:
    """Check the receipt in a file (- is standard input): who signed it, and that the ledger has the call just so."""
    with accounts(session.settings) as books:
        content = answer.read() if answer is not None else None
        found = check(receipt.read(), books.keys.public(), answer=content)
        confirm(found, books.ledger, books.secret)
    told = {name: value for name, value in asdict(found).items() if value is not None}
    if session.voice.as_json:
        session.voice.answer({"sound": True, "receipt": told})
        return
    rows = [[name, str(value)] for name, value in told.items()]
    session.voice.table(("回执", "Receipt"), [("项目", "item"), ("内容", "value")], rows)
    session.voice.line("签名有效，与调用记录一致", "The signature holds, and the records agree")


@click.command(
    "keys", help="回执的公钥；--new 增加一个，一天后启用 | keys of receipts; --new adds one, used a day later"
)
@click.option("--new", is_flag=True, help="更换密钥 | change the key")
@command
def keys_command(session: Session, *, new: bool) -> None:
    """Print the public keys that receipts are checked with, those that were replaced too."""
    keys = accounts_of(session.settings).keys
    if new:
        keys.rotate()
    told = keys.public()["keys"]
    if session.voice.as_json:
        session.voice.answer({"keys": told})
        return
    heads = [("密钥", "key"), ("启用", "from"), ("停用", "until")]
    rows = [[one["kid"], one["from"], one.get("until", "")] for one in told]
    session.voice.table(("回执密钥", "Keys of receipts"), heads, rows)


@click.command("looked", help="谁查过我：某人或某企业被谁查询 | who got answers about a person or a firm")
@click.argument("key", metavar="KEY|-")
@click.option("--by", required=True, help="谁在查看（people.yaml 中的编号） | who looks, of people.yaml")
@click.option("--why", required=True, help="事由 | the reason")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="从哪一天起，缺省一年 | since which day; a year back")
@command
def looked_command(session: Session, key: str, by: str, why: str, since: datetime | None) -> None:
    """List who looked, but for calls looked.yaml shows later; a person's key is better given on standard input (-).

    The look itself is recorded, with who and why, before anything is told.
    """
    asked = sys.stdin.readline().strip() if key == "-" else key
    with accounts(session.settings) as books:
        who = person(books.deployment, by).id
        delays = read_delays(books.deployment.home / DELAYS)
        first = since.date().isoformat() if since is not None else None
        found = WhoLooked(books.folder, books.ledger, books.secret, delays).look(asked, who, why, first)
        named = {one.department: books.named(one.department) for one in found if one.department is not None}
    voice = session.voice
    if voice.as_json:
        voice.answer({"looks": [asdict(one) for one in found]})
        return
    heads = [("时间", "at"), ("谁", "who"), ("应用", "application"), ("数据", "data"), ("事项", "matter"),
             ("办件", "case"), ("所见", "told")]  # fmt: skip
    platform, nothing = voice.say("平台", "the platform"), voice.say("无记录", "no record")
    rows = [
        [one.at[:19].replace("T", " "), named.get(one.department or "", platform), one.app, one.subject,
         one.matter or one.basis, one.case, ", ".join(one.fields) or ("" if one.found else nothing)]
        for one in found
    ]  # fmt: skip
    none = ("所查期间没有可以显示的查询", "There is nothing to show for that time")
    voice.table(("谁查过我", "Who looked"), heads, rows, none)
