"""Find out how the text of a file is encoded, and hand its bytes on in pieces that end where a line ends."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from connectors.options import Options, wrong
from connectors.rows import ESCAPE
from schemas.values import Check

AUTO = "auto"
ESCAPED = "escaped"  # UTF-8, but an undecodable byte b is written as the lone surrogate U+DC00 + b
# Whatever a department calls it: Python's gbk, gb2312 and cp936 fail on 𠮷, 㛃 and €, which its gb18030 decodes.
ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8", "utf-8-sig", "utf-8-bom"), "utf-8"),
    **dict.fromkeys(("gb18030", "gbk", "gb2312", "cp936"), "gb18030"),
    **dict.fromkeys(("utf-16", "utf16"), "utf-16"),
    **dict.fromkeys(("utf-16-le", "utf-16le"), "utf-16-le"),
    **dict.fromkeys(("utf-16-be", "utf-16be"), "utf-16-be"),
    AUTO: AUTO,
}
PIECE = 4 << 20  # bytes taken from a file at once
_SHOWN = {"utf-8": "UTF-8", "gb18030": "GB18030", "utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "utf-16": "UTF-16"}
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_PADDING = b"\n\n\n"  # behind a text no character is short of bytes, so that each bad byte stands by itself
_WIDE = re.compile(rb"[\x80-\xff]")
_SAMPLE = 1 << 16  # bytes looked at to tell encodings apart
_FEW = 0.1  # UTF-8 with some bad bytes has few of them; GB18030 taken for UTF-8 is bad nearly everywhere
_ZEROS, _ONE_SIDED = 0.02, 0.9  # the share of zero bytes in UTF-16, and of those that stand on one side
_NARROW = re.compile("[\u0080-\u07ff]+")  # what two bytes of UTF-8 can say
_CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A codec and why the bytes are thought to be written in it."""

    codec: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a file in `codec` (utf-8, gb18030 or ESCAPED).

    `whole`: they end where a line, or the file, ends; otherwise inside a line too long to be held.
    """

    data: bytes
    codec: str
    whole: bool


def shown(codec: str) -> str:
    """The usual name of a codec."""
    return _SHOWN.get(codec, codec)


def encoding_option(options: Options, default: str = "utf-8") -> str:
    """The codec that the option `encoding` means, or AUTO."""
    name = options.text("encoding", default)
    if name.lower() not in ENCODINGS:
        raise wrong("source.encoding", f"不能是 {name}", f"cannot be {name}", tuple(ENCODINGS))
    return ENCODINGS[name.lower()]


def detect(head: bytes) -> Found | None:
    """The encoding that the beginning of a file shows; None while all of it is ASCII, which says nothing."""
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Found(codec, "文件以该编码的 BOM 标记开头", "the file begins with its byte order mark")
    sample = head[:_SAMPLE]
    zeros = sample.count(0)
    if zeros and zeros >= len(sample) * _ZEROS:
        for codec, side in (("utf-16-le", 1), ("utf-16-be", 0)):
            if sample[side::2].count(0) >= zeros * _ONE_SIDED:
                return Found(
                    codec, "没有 BOM，但零字节都在同一侧", "no byte order mark, but its zero bytes are on one side"
                )
    return _wide(head)


def _wide(data: bytes) -> Found | None:
    """UTF-8 or GB18030, by the first bytes that are not ASCII."""
    first = _WIDE.search(data)
    if first is None:
        return None
    sample = data[first.start() : first.start() + _SAMPLE]
    beyond = len(_WIDE.findall(sample))
    text = codecs.getincrementaldecoder("utf-8")(ESCAPE).decode(sample)
    bad = sum("\udc80" <= char <= "\udcff" for char in text)
    if bad > beyond * _FEW:
        zh, en = (
            f"{beyond} 个非 ASCII 字节中有 {bad} 个不合 UTF-8",
            f"{bad} of {beyond} bytes beyond ASCII do not fit UTF-8",
        )
        return Found("gb18030", zh, en)
    if bad:
        return Found("utf-8", f"只有 {bad} 个字节不合 UTF-8", f"only {bad} bytes do not fit UTF-8")
    if _NARROW.sub("", text).isascii() and _all_chinese(sample):
        return Found("gb18030", "按 GB18030 解码全是汉字", "decoded as GB18030 it is Chinese throughout")
    return Found("utf-8", "非 ASCII 字节都符合 UTF-8", "its bytes beyond ASCII fit UTF-8")


def _all_chinese(sample: bytes) -> bool:
    # A few characters of GB18030 can be valid UTF-8: 一 is the two bytes of ӻ.
    text = codecs.getincrementaldecoder("gb18030")(ESCAPE).decode(sample)
    return _CHINESE.sub("", text).isascii()


def encoding_checks(option: str, head: bytes) -> list[Check]:
    """Which encoding is used and why; not ok when the bytes look like another one than the resource says."""
    found = detect(head)
    if option == AUTO:
        zh, en = "编码：开头全是 ASCII，遇到其他字节时再判定", "encoding: ASCII so far, decided where other bytes come"
        if found is not None:
            zh, en = (
                f"编码：{shown(found.codec)}，因为{found.zh}",
                f"encoding: {shown(found.codec)}, because {found.en}",
            )
        return [Check("encoding", ok=True, zh=zh, en=en)]
    if found is None or found.codec.startswith(option) or _decodes(head, option, found):
        zh, en = f"编码：{shown(option)}，按资源文件", f"encoding: {shown(option)}, as the resource says"
        return [Check("encoding", ok=True, zh=zh, en=en)]
    zh = f"编码：资源文件写 {shown(option)}，看来却是 {shown(found.codec)}，因为{found.zh}"
    zh += f"；请改为 encoding: {found.codec}"
    en = (
        f"encoding: the resource says {shown(option)}, but it looks like {shown(found.codec)}, because {found.en}. "
        f"Write encoding: {found.codec}"
    )
    return [Check("encoding", ok=False, zh=zh, en=en)]


def _decodes(head: bytes, option: str, found: Found) -> bool:
    """True when only the guess between UTF-8 and GB18030 is against what is written, and every byte is for it."""
    if found.codec.startswith("utf-16") or option.startswith("utf-16") or option == "gb18030":
        return False
    try:
        codecs.getincrementaldecoder(option)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def likely(option: str, data: bytes, written: str = "encoding: ") -> tuple[str, str]:
    """What to add (zh, en) to a message about bytes that `option` cannot decode: the encoding they look like.

    `written` is how whoever reads the message says which encoding it is.
    """
    found = detect(data)
    if found is None or found.codec.startswith(option):
        return "", ""
    name = shown(found.codec)
    said = f"{written}{found.codec}"
    return f"；看来是 {name}，可写 {said}", f"; it looks like {name}: write {said}"


def text_of(data: bytes, codec: str) -> str:
    """Bytes of a Piece as text, undecodable bytes as the lone surrogates that `rows.visible` shows."""
    if codec == ESCAPED:
        return data.decode("utf-8", "surrogatepass")
    return (data + _PADDING).decode(codec, ESCAPE)[: -len(_PADDING)]


def escaped(data: bytes, codec: str) -> bytes:
    """Bytes of a Piece as ESCAPED."""
    return data if codec == ESCAPED else text_of(data, codec).encode("utf-8", "surrogatepass")


def pieces(file: BinaryIO, option: str, longest: int) -> Iterator[Piece]:
    """The bytes of one file, each piece ending where a line ends; a mark of the encoding at its beginning is left out.

    UTF-16 comes as ESCAPED, UTF-8 and GB18030 as they are. A line longer than `longest` bytes comes in several pieces.
    With AUTO the codec is decided by the first bytes that are not ASCII; what came before reads alike in both.
    """
    first = _taken(file)
    codec = _start(option, first)
    held: list[bytes] = []
    weight = 0
    for data in _unmarked(_read(file, first, codec), codec):
        cut = _line_end(data)
        held.append(data[:cut] if cut else data)
        weight += len(data)
        if cut or weight > longest:
            piece = b"".join(held)
            codec = _decided(codec, piece)
            yield Piece(piece, _of(codec), whole=bool(cut))
            held, weight = ([data[cut:]], len(data) - cut) if cut and cut < len(data) else ([], 0)
    if held:
        piece = b"".join(held)
        yield Piece(piece, _of(_decided(codec, piece)), whole=True)


def _start(option: str, first: bytes) -> str:
    """The codec to begin with: what the option says, or what a mark or zero bytes say where it leaves that open."""
    found = detect(first) if option in {AUTO, "utf-16"} else None
    if found is not None and (found.codec.startswith("utf-16") or first.startswith(codecs.BOM_UTF8)):
        return found.codec if option == AUTO or found.codec.startswith(option) else "utf-16-le"
    return "utf-16-le" if option == "utf-16" else option  # what Windows programs write without a mark


def _taken(file: BinaryIO) -> bytes:
    """PIECE bytes, less only at the end of the file: a network file may give fewer at a time."""
    held: list[bytes] = []
    left = PIECE
    while left and (data := file.read(left)):
        held.append(data)
        left -= len(data)
    return b"".join(held)


def blocks(file: BinaryIO, option: str) -> Iterator[bytes]:
    """The text of one file as ESCAPED, ended anywhere between two characters; AUTO is decided by the first block."""
    first = _taken(file)
    codec = _start(option, first)
    if codec == AUTO:
        found = _wide(first)
        codec = "utf-8" if found is None else found.codec
    decoder = codecs.getincrementaldecoder(codec)(ESCAPE)
    text = decoder.decode(first).removeprefix("\ufeff")
    while first:
        yield text.encode("utf-8", "surrogatepass")
        first = _taken(file)
        text = decoder.decode(first, final=not first)
    yield text.encode("utf-8", "surrogatepass")


def _of(codec: str) -> str:
    return ESCAPED if codec.startswith("utf-16") else "utf-8" if codec == AUTO else codec


def _decided(codec: str, piece: bytes) -> str:
    found = _wide(piece) if codec == AUTO else None
    return codec if found is None else found.codec


def _read(file: BinaryIO, first: bytes, codec: str) -> Iterator[bytes]:
    """What is in the file, UTF-16 as ESCAPED."""
    if not codec.startswith("utf-16"):
        while first:
            yield first
            first = _taken(file)
        return
    decoder = codecs.getincrementaldecoder(codec)(ESCAPE)
    while first:
        yield decoder.decode(first).encode("utf-8", "surrogatepass")
        first = _taken(file)
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")


def _unmarked(blocks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    """The same without a mark of the encoding at the very beginning: it is no part of the first column's name."""
    marks = [codecs.BOM_UTF8] if codec != "gb18030" else []
    marks += ["\ufeff".encode("gb18030")] if codec in {"gb18030", AUTO} else []
    for data in filter(None, blocks):
        mark = next((mark for mark in marks if data.startswith(mark)), b"")
        marks = []
        if rest := data[len(mark) :]:
            yield rest


def _line_end(data: bytes) -> int:
    """Behind the last end of a line in `data`; 0 when there is none."""
    # A carriage return at the very end may be half of an end, so it only counts when something else follows.
    return data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, len(data) - 1) + 1
