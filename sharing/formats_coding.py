"""Compress an answer on its way out, as the caller accepts it; its receipt covers what is there before."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sharing.problems import Answer

LEAST: Final = 1024  # bytes: below it compressing gains nothing
MUCH: Final = 64 << 10  # bytes: from here on it is done in a thread, and no other call waits for it
_GZIP: Final = 31  # window bits with gzip's own header, which holds no time
_VARY: Final = (b"vary", b"Accept-Encoding")
_FAST: Final = 3  # of zstd
_QUICK: Final = 5  # of gzip


async def coded(answer: Answer, headers: Sequence[tuple[bytes, bytes]]) -> Answer:
    """The answer in the coding the caller likes best, zstd before gzip; itself where that is none, or it is short.

    The receipt, the ledger's size and the ETag are those of the body before: any HTTP client undoes the coding, and a
    proxy may.
    """
    if len(answer.body) < LEAST or any(name == b"content-encoding" for name, _ in answer.headers):
        return answer
    name = coding_of(headers)
    if name is None:
        return answer.headed(*_VARY)
    code = _CODES[name]
    body = await asyncio.to_thread(code, answer.body) if len(answer.body) >= MUCH else code(answer.body)
    return replace(answer, body=body, headers=(*answer.headers, (b"content-encoding", name.encode()), _VARY))


def coding_of(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """`zstd` or `gzip`, whichever Accept-Encoding prefers; None for neither (RFC 9110, 12.5.3)."""
    said = b",".join(value for name, value in headers if name == b"accept-encoding").decode("latin-1").lower()
    likes: dict[str, float] = {}
    for one in said.split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            likes[name] = float(quality)
        except ValueError:
            likes[name] = 0.0
    found = [(likes.get(name, likes.get("*", 0.0)), name) for name in _CODES]
    best = max(found, key=lambda one: one[0])
    return best[1] if best[0] > 0 else None


def _zstd(body: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=_FAST).compress(body)


def _gzip(body: bytes) -> bytes:
    made = zlib.compressobj(_QUICK, wbits=_GZIP)
    return made.compress(body) + made.flush()


_CODES: Final[Mapping[str, Callable[[bytes], bytes]]] = {"zstd": _zstd, "gzip": _gzip}
