"""Take what a service answers whole or not at all: length, gzip, size, encoding, JSON."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from connectors.errors import SourceError
from connectors.rest_json import parsed
from connectors.rows import ESCAPE, ESCAPED

SHOWN = 200  # characters of an answer a message may show
FEW = 4  # bytes that cannot be decoded: a slip, or a character cut in two, whatever the encoding
_GZIP = b"\x1f\x8b"
_CHINESE = frozenset({"gbk", "gb2312", "gb18030", "cp936", "x-gbk", "hz-gb-2312"})
_LOGIN_PAGE = re.compile(rb"type\s*=\s*[\"']?password", re.IGNORECASE)


class Passing(Exception):
    """An answer or a failed call that may come out differently soon; `after` seconds if the service said so."""

    def __init__(self, said: str, after: float | None = None) -> None:
        super().__init__(said)
        self.after = after


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that came whole; `content` is unpacked."""

    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def charset(self) -> str:
        """The encoding the Content-Type names, in lower case; empty when it names none."""
        found = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", self.headers.get("Content-Type", ""), re.IGNORECASE)
        return found[1].lower() if found else ""

    @property
    def is_page(self) -> bool:
        """True for a web page where data was asked for."""
        begins = self.content[:200].removeprefix(b"\xef\xbb\xbf").lstrip()[:14].lower()
        return begins.startswith((b"<html", b"<!doctype html"))

    @property
    def is_login(self) -> bool:
        """True for a web page that asks for a password."""
        return self.is_page and _LOGIN_PAGE.search(self.content) is not None

    def shown(self, scrub: Callable[[str], str]) -> str:
        """The beginning of the answer as a message may show it: no secret, one line."""
        text = self.content[: 4 * SHOWN + 4000].decode(python_codec(self.charset), "replace")
        return " ".join(scrub(text).split())[:SHOWN]


def python_codec(charset: str) -> str:
    """The codec for a charset by its name; the Chinese ones are all read as GB18030, which holds them."""
    return "gb18030" if charset in _CHINESE else "utf-8-sig" if charset in ("", "utf-8", "utf8") else charset


def taken(response: httpx.Response, largest: int, deadline: float) -> bytes:
    """The body of a streamed response, unpacked, at most `largest` bytes, all there by `deadline` (time.monotonic).

    Raises Passing for a damaged, torn or endless answer and SourceError for one that is too large.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise Passing(f"Content-Encoding {coding} was not asked for")
    packed = coding in ("gzip", "x-gzip")
    unpack = zlib.decompressobj(wbits=31)
    parts: list[bytes] = []
    size = 0
    for part in response.iter_raw():
        if time.monotonic() > deadline:
            raise Passing("the answer took longer than timeout.total")
        if not parts and not size and part.startswith(_GZIP):
            packed = True  # some servers pack and do not say so; no JSON or XML begins with these bytes
        left = part
        while left:
            if packed and unpack.eof:  # what is packed may be several, one after the other
                unpack = zlib.decompressobj(wbits=31)
            try:
                piece = unpack.decompress(left, largest - size + 1) if packed else left
            except zlib.error as error:
                raise Passing(f"gzip is damaged: {error}") from None
            size += len(piece)
            if size > largest:
                raise _too_large(str(response.url.copy_with(query=None)), largest)
            parts.append(piece)
            left = unpack.unused_data if packed else b""
    if packed and not unpack.eof:
        raise Passing("gzip ends before its end")
    return b"".join(parts)


def decoded(reply: Reply, encoding: str, where: str) -> str:
    """The text of an answer; `encoding` is what the resource file says, or empty.

    Single bytes that cannot be decoded are carried as lone surrogates, so that their record becomes a reject;
    where most cannot, the encoding is wrong: SRC-REST-CHARSET.
    """
    content, charset = reply.content, encoding.lower() or reply.charset
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        charset = "utf-16"
    codec = python_codec(charset)
    try:
        return content.decode(codec)
    except LookupError:
        raise _wrong_charset(where, charset) from None
    except UnicodeDecodeError:
        text = content.decode(codec, ESCAPE)
    odd = sum(1 for char in text if ESCAPED <= ord(char) <= ESCAPED + 0xFF)
    if odd > FEW and 2 * odd > sum(1 for byte in content if byte > 0x7F):  # noqa: PLR2004 - beyond ASCII
        raise _wrong_charset(where, charset or "utf-8")
    return text


def json_of(text: str, reply: Reply, where: str, scrub: Callable[[str], str]) -> object:
    """The JSON value of an answer; Passing when it ends too early, SRC-REST-JSON when it is none."""
    try:
        return parsed(text)
    except (ValueError, RecursionError) as error:
        if not reply.is_page and isinstance(error, json.JSONDecodeError) and _ends_early(error):
            raise Passing(f"the JSON ends too early, after {len(reply.content)} bytes") from None
        what_zh, what_en = ("是网页而不是 JSON", "is a web page and no JSON") if reply.is_page else (
            f"不是有效的 JSON（{error}）", f"is no valid JSON ({error})")  # fmt: skip
        raise SourceError(
            "SRC-REST-JSON",
            zh=f"{where} {what_zh}：{reply.shown(scrub)}",
            en=f"{where} {what_en}: {reply.shown(scrub)}",
            fix_zh="请来源部门检查接口；本次不采集",
            fix_en="Nothing was taken; ask the department to check the interface.",
        ) from None


def _ends_early(error: json.JSONDecodeError) -> bool:
    return error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string")


def _too_large(where: str, largest: int) -> SourceError:
    return SourceError(
        "SRC-REST-TOO-LARGE",
        zh=f"{where} 的一次应答超过 {largest} 字节",
        en=f"one answer of {where} is larger than {largest} bytes",
        fix_zh="请减小 page.size，或调高选项 largest",
        fix_en="Make page.size smaller, or raise the option largest.",
    )


def _wrong_charset(where: str, charset: str) -> SourceError:
    return SourceError(
        "SRC-REST-CHARSET",
        zh=f"{where} 的应答不能按 {charset} 解码",
        en=f"the answer of {where} cannot be decoded as {charset}",
        fix_zh="请写明选项 encoding，例如 encoding: gb18030",
        fix_en="Write the option encoding, for example encoding: gb18030.",
    )
