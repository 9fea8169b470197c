"""Unpack what departments pack: gzip of one or many parts, and zip with Chinese member names."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import BinaryIO, cast

from connectors.errors import SourceError, SourceRefused, listed
from connectors.files.place import decoded
from connectors.files.taken import HashedFile

ZIP = ".zip"
BUFFER = 1 << 16
_GZIP = b"\x1f\x8b\x08"  # how gzip begins, whatever the file is called; no text begins so
_UTF8_NAME, _ENCRYPTED = 0x800, 0x1  # flag bits of a zip member
# Beyond these a packed file is taken for a bomb: real tables seldom shrink to less than a fiftieth.
BOMB_RATIO, BOMB_BYTES = 200, 1 << 30
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, zipfile.BadZipFile, NotImplementedError)


@dataclass(frozen=True, slots=True)
class Member:
    """A packed file: its name as a person sees it, its size unpacked, and a number that stands for its content."""

    name: str
    size: int
    crc: int
    entry: zipfile.ZipInfo


class Unpacked(io.RawIOBase):
    """Unpacked bytes, forwards; damage, and far more bytes than were packed, are errors that name the file."""

    def __init__(
        self,
        packed: io.BufferedIOBase,
        where: str,
        taken: Callable[[], int],
        broken: Callable[[str, Exception], SourceError],
    ) -> None:
        self._packed, self._where, self._taken, self._broken = packed, where, taken, broken
        self._given = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer protocol
        """Unpack into `buffer`."""
        try:
            count = self._packed.readinto(buffer) or 0
        except _BROKEN as error:
            raise self._broken(self._where, error) from error
        self._given += count
        if self._given > BOMB_BYTES and self._given > BOMB_RATIO * self._taken():
            raise _bomb(self._where)
        return count

    def close(self) -> None:
        """Close what unpacks; the packed file stays open."""
        self._packed.close()
        super().close()


class _Lent(io.RawIOBase):
    """A file that stays open when who reads it, or nobody any more, closes this."""

    def __init__(self, file: HashedFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer protocol
        return self._file.readinto(buffer)


def plain(file: HashedFile, name: str) -> BinaryIO:
    """The bytes of a file, unpacked where they are gzip by content or by the name's ending."""
    raw = io.BufferedReader(_Lent(file), BUFFER)
    if not name.lower().endswith(".gz") and not raw.peek(len(_GZIP)).startswith(_GZIP):
        return cast("BinaryIO", raw)
    if not raw.peek(1):
        raise _torn_gzip(file.where, EOFError("the file has no bytes"))  # gzip itself takes it for an empty text
    unpacked = Unpacked(gzip.GzipFile(fileobj=raw, mode="rb"), file.where, lambda: file.passed, _torn_gzip)
    return cast("BinaryIO", io.BufferedReader(unpacked, BUFFER))


@dataclass(frozen=True, slots=True)
class Part:
    """A file to read records from; `key` is how it is remembered, and `mark` its state, when it lies in a zip."""

    name: str
    size: int
    open: Callable[[], HashedFile]
    key: str | None = None
    mark: int = 0


@contextmanager
def parts(file: HashedFile, name: str, size: int, patterns: Sequence[str]) -> Iterator[list[Part]]:
    """The file itself, or the members that fit `patterns` if it is a zip; what was unpacked goes on leaving."""
    if not name.lower().endswith(ZIP):
        yield [Part(name, size, lambda: file)]
        return
    with tempfile.TemporaryFile(prefix="shutong-") as spool:
        whole = cast("BinaryIO", file.raw if file.raw.seekable() else spool)
        # What only comes forwards is put on disk: a zip is read from its end.
        _through(file, cast("BinaryIO", spool))
        whole.seek(0)
        try:
            packed = zipfile.ZipFile(whole)
        except _BROKEN as error:
            raise _torn_zip(file.where, error) from error
        with packed:
            yield [
                Part(
                    one.name,
                    one.size,
                    partial(_open, packed, one, f"{file.where}!{one.name}"),
                    f"{name}!{one.name}",
                    one.crc,
                )
                for one in members(packed, file.where, patterns, file.passed)
            ]


def members(packed: zipfile.ZipFile, where: str, patterns: Sequence[str], packed_bytes: int) -> list[Member]:
    """The members that fit `patterns`, capitals and folders aside, by name; errors say which member cannot be read."""
    entries = [(_name(entry), entry) for entry in packed.infolist() if not entry.is_dir()]
    chosen = [
        Member(name, entry.file_size, entry.CRC, entry)
        for name, entry in entries
        if any(fnmatchcase(name.casefold().rpartition("/")[2], pattern.casefold()) for pattern in patterns)
        and not name.rpartition("/")[2].startswith((".", "~$"))
        and not name.startswith("__MACOSX/")
    ]
    if not chosen:
        raise SourceError(
            "SRC-FILE-ZIP",
            zh=f"{where} 中没有符合 {listed(patterns)} 的文件，现有：{listed([name for name, _ in entries])}",
            en=f"{where} holds no file that fits {listed(patterns)}; it holds: {listed([name for name, _ in entries])}",
            fix_zh='请用 source.member 写明压缩包中的文件，如 member: "*.txt"',
            fix_en='Say which files of the zip are meant with source.member, such as member: "*.txt".',
        )
    locked = [member.name for member in chosen if member.entry.flag_bits & _ENCRYPTED]
    if locked:
        raise SourceRefused(
            "SRC-FILE-LOCKED",
            zh=f"{where} 中的 {listed(locked)} 设有密码",
            en=f"{listed(locked)} in {where} is protected by a password",
            fix_zh="请来源部门投放不设密码的压缩包；传输保密请用 SFTP",
            fix_en="Ask the department for a zip without a password; SFTP keeps the transfer secret.",
        )
    refuse_bomb(packed, where, packed_bytes)
    return sorted(chosen, key=lambda member: member.name)


def _open(packed: zipfile.ZipFile, member: Member, where: str) -> HashedFile:
    try:
        file = packed.open(member.entry)
    except (*_BROKEN, RuntimeError) as error:
        raise _torn_zip(where, error) from error
    unpacked = Unpacked(cast("io.BufferedIOBase", file), where, lambda: member.entry.compress_size, _torn_zip)
    return HashedFile(unpacked, where)


def refuse_bomb(packed: zipfile.ZipFile, where: str, packed_bytes: int) -> None:
    """SRC-FILE-BOMB where the members together are far larger than real tables would be, or lie over one another."""
    size = sum(entry.file_size for entry in packed.infolist())
    overlapping = sum(entry.compress_size for entry in packed.infolist()) > packed_bytes
    if overlapping or (size > BOMB_BYTES and size > BOMB_RATIO * packed_bytes):
        raise _bomb(where)


def _name(entry: zipfile.ZipInfo) -> str:
    """The member's name; where the zip does not say it is UTF-8, what Chinese Windows and old tools meant."""
    if entry.flag_bits & _UTF8_NAME:
        return entry.filename
    try:
        return decoded(entry.filename.encode("cp437"))
    except UnicodeEncodeError:
        return entry.filename


def _through(file: HashedFile, spool: BinaryIO) -> None:
    if file.raw.seekable():
        file.drain()
        return
    try:
        shutil.copyfileobj(file, spool, BUFFER)
    except OSError as error:
        raise unspooled(file.where, error) from error


def unspooled(where: str, error: OSError) -> SourceError:
    """SRC-FILE-SPOOL: a file that is read from its end found no room on our disk."""
    return SourceError(
        "SRC-FILE-SPOOL",
        zh=f"{where} 无法暂存到 {tempfile.gettempdir()}：{error.strerror or error}",
        en=f"{where} cannot be put in {tempfile.gettempdir()}, to be read from its end: {error.strerror or error}",
        fix_zh="请清理该磁盘，或用环境变量 TMPDIR 指定空间足够的文件夹",
        fix_en="Free space on that disk, or name a folder with enough of it in the environment variable TMPDIR.",
    )


def _torn_gzip(where: str, error: Exception) -> SourceError:
    return SourceError(
        "SRC-FILE-GZIP",
        zh=f"{where} 的压缩数据不完整或已损坏：{error}",
        en=f"the gzip data of {where} is incomplete or damaged: {error}",
        fix_zh="本次不采集；请来源部门重新投放该文件",
        fix_en="Nothing was taken; ask the department to drop the file again.",
    )


def _torn_zip(where: str, error: Exception) -> SourceError:
    return SourceError(
        "SRC-FILE-ZIP",
        zh=f"{where} 不是完整的 zip 文件，或使用了不支持的压缩方式：{error}",
        en=f"{where} is not a whole zip file, or is packed in a way that is not supported: {error}",
        fix_zh="请来源部门用普通 zip（Deflate）重新打包并投放",
        fix_en="Ask the department to pack it again as an ordinary zip (Deflate) and drop it again.",
    )


def _bomb(where: str) -> SourceError:
    return SourceError(
        "SRC-FILE-BOMB",
        zh=f"{where} 解压后超过 {BOMB_BYTES >> 30} GiB 且膨胀 {BOMB_RATIO} 倍以上，疑似压缩炸弹，未读取",
        en=f"{where} unpacks to more than {BOMB_BYTES >> 30} GiB and {BOMB_RATIO} times its size, which looks like a"
        " zip bomb; it was not read",
        fix_zh="请向来源部门核实该文件；确需采集时请不压缩或拆分后投放",
        fix_en="Ask the department about the file; if it is real, have it dropped unpacked or in parts.",
    )
