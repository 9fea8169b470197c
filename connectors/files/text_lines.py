"""Take a text file apart into lines with their numbers, for formats in which each line is a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from connectors.files.encoding import pieces
from connectors.rows import Reject

SHOWN = 1_000  # bytes kept of a line too long to be held


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Some lines without their ends, in `codec`; `number` is that of the first, counted from 1.

    `long` are the bytes of lines too long to be held, by place: only their beginning is in `lines`. `torn`: the file
    ends without an end of line behind the last of them.
    """

    number: int
    lines: list[bytes]
    codec: str
    long: dict[int, int] = field(default_factory=dict)
    torn: bool = False


def line_blocks(file: BinaryIO, encoding: str, longest: int) -> Iterator[LineBlock]:
    """All lines of a file, ended by LF or CR LF, empty ones too."""
    number, held, cut, codec = 1, b"", 0, "utf-8"
    for piece in pieces(file, encoding, longest):
        codec = piece.codec
        lines = (held + piece.data).split(b"\n")
        held, long = lines.pop(), {}
        if lines and cut:
            long[0] = cut + len(lines[0])
            lines[0], cut = lines[0][:SHOWN], 0
        for at, line in enumerate(lines) if len(piece.data) > longest else ():
            if len(line) > longest:
                long[at], lines[at] = len(line), line[:SHOWN]
        if lines:
            yield LineBlock(number, [line.removesuffix(b"\r") for line in lines], codec, long)
            number += len(lines)
        if len(held) > longest:
            cut, held = cut + len(held) - SHOWN, held[:SHOWN]
    if held:
        yield LineBlock(number, [held], codec, {0: cut + len(held)} if cut else {}, torn=True)


def too_long(size: int, longest: int, number: int, line: str) -> Reject:
    """The reject of a line that was too long to be held."""
    zh = f"第 {number} 行：{size} 字节，超过 max_field_bytes（{longest}）"
    en = f"line {number}: {size} bytes are more than max_field_bytes ({longest})"
    return Reject("field_size", f"{zh} | {en}", f"{line} …")
