"""Commands on statements 对账单: make those of a month, and hold one against its sums and one's own receipts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, cast

import click
import orjson

from quality.reports.values import Language
from sharing.receipt_refusals import ReceiptError
from sharing.receipts import PublicKeys, Receipt, check
from sharing.statement_check import Difference, adds_up, against_receipts
from sharing.statement_forms import Format, form
from sharing.statement_refusals import not_over
from sharing.statement_shelf import Shelf
from sharing.statement_values import Statement
from sharing.statements import make, read, read_month, signed
from shutong.accounts import Accounts, accounts
from shutong.printing import Voice
from shutong.session import FAILED, Session, command


@click.command("make", help="出具一个月的对账单 | make the statements of a month")
@click.argument("month", metavar="2026-01")
@click.option("--consumer", help="只要这个使用部门的 | of this consumer only")
@click.option("--provider", help="只要这个提供部门的 | of this provider only")
@click.option("--so-far", is_flag=True, help="未结束的月份，截至目前 | a month that goes on, as it stands")
@click.option("--format", "form_", type=click.Choice(["json", "csv", "xlsx", "pdf"]), default="json", show_default=True)
@click.option("--lang", type=click.Choice(["zh", "en"]), help="对账单的语言 | language of the files")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="写到哪个文件夹 | folder to write to"
)
@command
def make_command(  # noqa: PLR0917 - one parameter per option
    session: Session,
    month: str,
    consumer: str | None,
    provider: str | None,
    form_: str,
    lang: str | None,
    output: Path | None,
    *,
    so_far: bool,
) -> None:
    """Issue the final statements of a month, for GET /v1/statements; write copies with -o."""
    language = cast("Language", lang or session.voice.lang)
    with accounts(session.settings) as books:
        made = [
            one
            for one in make(books.books(), read_month(month))
            if consumer in {None, one.consumer} and provider in {None, one.provider}
        ]
        if not so_far and not all(one.final for one in made):
            raise not_over(month)
        signer, shelf = books.keys.signer(), Shelf(books.folder)
        issued = [not so_far and shelf.issue(one, signer) for one in made]
        for one in made if output is not None else ():
            _write(books, one, form_, language, cast("Path", output))
    _told(session.voice, made, issued)
    if made and output is not None:
        session.voice.line(f"已写入 {output}：{len(made)} 个文件", f"Written to {output}: {len(made)} files")


def _write(books: Accounts, one: Statement, form_: str, lang: Language, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shelved = Shelf(books.folder).path(one.month, one.consumer, one.provider)
    if form_ != "json":
        content = form(one, cast("Format", form_), lang, books.named)
    elif one.final:
        content = shelved.read_bytes()  # the issued one, byte for byte
    else:
        content = signed(one, books.keys.signer())
    (folder / f"{one.month}-{shelved.stem}.{form_}").write_bytes(content)


def _told(voice: Voice, made: Sequence[Statement], issued: Sequence[bool]) -> None:
    if voice.as_json:
        told = [asdict(one) | {"issued_now": now} for one, now in zip(made, issued, strict=True)]
        voice.answer({"statements": told})
        return
    heads = [("使用部门", "consumer"), ("提供部门", "provider"), ("次数", "calls"), ("分项", "parts"),
             ("重发", "repeats"), ("计量", "units"), ("金额", "amount"), ("正式", "final")]  # fmt: skip
    platform, yes, no = voice.say("平台", "the platform"), voice.say("是", "yes"), voice.say("否", "no")
    rows = [[one.consumer, one.provider or platform, one.calls, one.parts, one.repeats, one.units, one.amount,
             yes if one.final else no] for one in made]  # fmt: skip
    voice.table(("对账单", "Statements"), heads, rows, ("这个月没有调用", "There were no calls in that month"))


@click.command(
    "check", help="核对一份对账单：签名、合计、自己的回执 | check a statement, with your receipts if you like"
)
@click.argument("statement", type=click.File("rb"), metavar="FILE")
@click.option(
    "--receipts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="回执所在文件夹，文件中每行一张 | folder of files with a receipt on each line",
)
@click.option(
    "--keys",
    type=click.File("rb"),
    help="GET /v1/receipt-keys 给出的公钥；缺省为本部署的 | public keys from GET /v1/receipt-keys; this deployment's",
)
@command
def check_command(session: Session, statement: BinaryIO, receipts: Path | None, keys: BinaryIO | None) -> int:
    """Check signature and sums; with --receipts work the statement out again from them. Exit 1 when it is wrong."""
    if keys is not None:
        public = cast("PublicKeys", orjson.loads(keys.read()))
    else:
        with accounts(session.settings) as books:
            public = books.keys.public()
    found = read(statement.read(), public)
    wrong, lacking, bad = list(adds_up(found)), list[Difference](), list[str]()
    proven = 0
    if receipts is not None:
        beside = against_receipts(found, _receipts(receipts, public, bad))
        proven = beside.proven
        wrong += [one for one in beside.differences if one.kind != "unreceived"]
        lacking += [one for one in beside.differences if one.kind == "unreceived"]
    voice, sound = session.voice, not wrong and not bad
    if voice.as_json:
        voice.answer({"sound": sound, "calls": found.calls, "proven": proven, "wrong": [asdict(one) for one in wrong],
                      "without_receipt": [asdict(one) for one in lacking], "bad_receipts": bad})  # fmt: skip
        return 0 if sound else FAILED
    for one in wrong:
        voice.line(one.zh, one.en)
    if lacking:
        voice.line("没有回执的调用（应答可能没有送达，不算差错）：",
                   "Calls without a receipt here (their answers may have been lost; that is no error):")  # fmt: skip
    for one in lacking:
        voice.line(f"  {one.zh}", f"  {one.en}")
    for place in bad:
        voice.line(f"{place}：不是平台签署的回执", f"{place}: no receipt that the platform signed")
    voice.line(
        f"{found.month} {found.consumer} → {found.provider or '平台'}：{found.calls} 次调用，"
        + ("对账单有误" if not sound else f"回执证明了 {proven} 次，无误" if receipts else "签名与合计无误"),
        f"{found.month} {found.consumer} → {found.provider or 'the platform'}: {found.calls} calls, "
        + ("the statement is wrong" if not sound else f"{proven} proven by receipts, nothing is wrong" if receipts
           else "signature and sums are right"),
    )  # fmt: skip
    return 0 if sound else FAILED


def _receipts(folder: Path, keys: PublicKeys, bad: list[str]) -> Iterator[Receipt]:
    for path in sorted(one for one in folder.iterdir() if one.is_file()):
        for number, line in enumerate(path.read_text("ascii", "replace").splitlines(), 1):
            if not line.strip():
                continue
            try:
                yield check(line, keys)
            except ReceiptError as error:
                bad.append(f"{path.name}:{number} {error.code}")
