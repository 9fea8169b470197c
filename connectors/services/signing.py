"""Sign a call with a shared secret, HMAC-SHA256 or HMAC-SM3, over a text that the gateway's manual prescribes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from connectors.errors import SourceError
from connectors.options import Options, wrong

ALGORITHMS = ("sha256", "sm3")
SIGNATURE = ("secret", "key_id", "algorithm", "text", "headers", "encoding", "timestamp")
PARTS = ("method", "path", "query", "query_plain", "timestamp", "nonce", "body", "body_hash", "key_id")
TEXT = "{method}\n{path}\n{query}\n{timestamp}\n{nonce}\n{body_hash}"
HEADERS = {
    "X-App-Id": "{key_id}",
    "X-Timestamp": "{timestamp}",
    "X-Nonce": "{nonce}",
    "X-Signature": "{signature}",
}
_ENCODINGS: Mapping[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "hex_upper": lambda digest: digest.hex().upper(),
    "base64": lambda digest: base64.b64encode(digest).decode(),
}
_CLOCKS: Mapping[str, Callable[[float], str]] = {
    "seconds": lambda now: str(int(now)),
    "milliseconds": lambda now: str(int(now * 1000)),
    "iso": lambda now: datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP call before it is sent: `path` is below the service's base, `params` go into the query."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


def digest(algorithm: str, content: bytes) -> bytes:
    """The hash of the content, by sha256 or sm3 (GB/T 32905); SRC-SM3 where this machine's OpenSSL has no SM3."""
    try:
        return hashlib.new(algorithm, content).digest()
    except ValueError:
        raise _no_sm3() from None


def sign(algorithm: str, key: bytes, content: bytes) -> bytes:
    """The HMAC (RFC 2104; with sm3 GM/T 0042) of the content; SRC-SM3 where this machine's OpenSSL has no SM3."""
    try:
        return hmac.digest(key, content, algorithm)
    except ValueError:
        raise _no_sm3() from None


def query_text(params: Mapping[str, str], *, encoded: bool = True) -> str:
    """The parameters sorted by name, `a=1&b=2`; each percent-encoded (RFC 3986) where `encoded`."""
    pairs = sorted(params.items())
    shown = ((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in pairs) if encoded else pairs
    return "&".join(f"{name}={value}" for name, value in shown)


def taken_apart(url: str) -> tuple[str, dict[str, str]]:
    """A URL that a service gave, as one without query and the parameters of it.

    A query they could not bring back as it was (a name said twice, bytes that are no UTF-8) stays in the URL instead.
    """
    parts = urlsplit(url)
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        pairs = []
    if len(dict(pairs)) == len(pairs) and (pairs or not parts.query):
        return parts._replace(query="", fragment="").geturl(), dict(pairs)
    return parts._replace(fragment="").geturl(), {}


class Signature:
    """How one gateway wants its calls signed: every call, and every repetition of it, gets its own time and nonce."""

    def __init__(self, options: Options, key: Callable[[], str]) -> None:
        self._key = key
        self._algorithm = options.choice("algorithm", "sha256", ALGORITHMS)
        self._encoded = _ENCODINGS[options.choice("encoding", "hex", tuple(_ENCODINGS))]
        self._clock = _CLOCKS[options.choice("timestamp", "seconds", tuple(_CLOCKS))]
        self._key_id = options.maybe("key_id") or ""
        self._text = options.text("text", TEXT)
        self._headers = options.texts("headers") or HEADERS
        _known(self._text, "text", PARTS)
        for template in self._headers.values():
            _known(template, "headers", (*PARTS, "signature"))
        if not any("signature" in _names(template) for template in self._headers.values()):
            raise wrong("source.auth.hmac.headers", "没有用到 {signature}", "never use {signature}")

    def signed(self, ask: Ask, path: str) -> Ask:
        """The call with its signature headers; `path` is the path as it stands in the URL."""
        parts = {
            "method": ask.method,
            "path": path,
            "query": query_text(ask.params),
            "query_plain": query_text(ask.params, encoded=False),
            "timestamp": self._clock(time.time()),
            "nonce": secrets.token_hex(16),
            "body": ask.body.decode("utf-8", "surrogateescape"),
            "body_hash": digest(self._algorithm, ask.body).hex(),
            "key_id": self._key_id,
        }
        content = self._text.format(**parts).encode("utf-8", "surrogateescape")
        parts["signature"] = self._encoded(sign(self._algorithm, self._key().encode(), content))
        made = {name: template.format(**parts) for name, template in self._headers.items()}
        return Ask(ask.method, ask.path, ask.params, {**ask.headers, **made}, ask.body)


def _names(template: str) -> list[str | None]:
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError:
        return [None]


def _known(template: str, option: str, allowed: tuple[str, ...]) -> None:
    for name in _names(template):
        if name not in allowed:
            shown = "{" + (name or "") + "}"
            raise wrong(f"source.auth.hmac.{option}", f"中没有 {shown}", f"knows no {shown}", allowed)


def _no_sm3() -> SourceError:
    return SourceError(
        "SRC-SM3",
        zh="本机的 OpenSSL 不支持国密 SM3",
        en="the OpenSSL of this machine has no SM3",
        fix_zh="请使用带有 OpenSSL 3 的 Python，用 python -c \"import hashlib; hashlib.new('sm3')\" 验证",
        fix_en="Use a Python with OpenSSL 3; try python -c \"import hashlib; hashlib.new('sm3')\".",
    )
