"""A place where a department drops files, whatever protocol reaches it, and what can be wrong with a file in it."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from connectors.errors import SourceError, SourceRefused, SourceUnavailable, listed, nearest
from schemas.values import Check


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it lies there: `name` is its path under the place with forward slashes, `size` in bytes."""

    name: str
    size: int
    mtime_ns: int  # nanoseconds since 1970 by the clock of the place


class Place(Protocol):
    """A tree of files reached by one protocol. Every method may raise a SourceError; nothing waits without limit."""

    def path(self, name: str) -> str:
        """Where the file or folder called `name` lies, as a person would write it; never with a secret in it."""
        ...

    def listing(self, folder: str, *, deep: bool) -> Iterator[Found]:
        """The regular files in `folder`, with `deep` those in its subfolders too; SRC-FILE-MISSING without folder."""
        ...

    def stat(self, name: str) -> Found | None:
        """The file called `name`; None when there is no such file."""
        ...

    def absent(self, name: str) -> SourceError:
        """SRC-FILE-MISSING for a file that is not there, with the nearest names that are."""
        ...

    def open(self, name: str) -> io.RawIOBase:
        """The file's bytes, forwards; `seekable()` says whether they can be read in another order too."""
        ...

    def check(self) -> list[Check]:
        """Whether the place can be reached and logged in to; empty where there is nothing to log in to."""
        ...

    def close(self) -> None:
        """Give back connections; may be called twice."""
        ...


def decoded(raw: bytes) -> str:
    r"""A file's name: UTF-8, else GB18030 as old Windows and FTP servers wrote it, else with its bytes as \xNN."""
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("ascii", "backslashreplace")


def missing(wanted: str, parent: str, names: list[str]) -> SourceError:
    """SRC-FILE-MISSING: `wanted` is not there; `names` are what `parent`, the nearest folder that exists, holds."""
    last = wanted.removeprefix(parent).strip("/").split("/")[0]
    close = nearest(last, names) or sorted(names)
    return SourceError(
        "SRC-FILE-MISSING",
        zh=f"找不到 {wanted}；{parent} 中最接近的是：{listed(close)}",
        en=f"{wanted} does not exist; nearest in {parent}: {listed(close)}",
        fix_zh="请更正路径，或请来源部门重新投放文件",
        fix_en="Correct the path, or ask the department to drop the file again.",
    )


def no_file(path: str) -> SourceError:
    """SRC-FILE-FOLDER: a folder stands where the resource names a file."""
    return SourceError(
        "SRC-FILE-FOLDER",
        zh=f"{path} 是文件夹，不是文件",
        en=f"{path} is a folder, not a file",
        fix_zh="如需读取其中的文件，请将 source.path 改为 source.folder",
        fix_en="To read the files in it, write source.folder instead of source.path.",
    )


def no_folder(path: str) -> SourceError:
    """SRC-FILE-FOLDER: a file stands where the resource names a folder."""
    return SourceError(
        "SRC-FILE-FOLDER",
        zh=f"{path} 是文件，不是文件夹",
        en=f"{path} is a file, not a folder",
        fix_zh="如只读取该文件，请将 source.folder 改为 source.path",
        fix_en="To read that file alone, write source.path instead of source.folder.",
    )


def gone(path: str) -> SourceUnavailable:
    """SRC-FILE-CHANGING: a file that was seen a moment ago is no longer there."""
    return SourceUnavailable(
        "SRC-FILE-CHANGING",
        zh=f"{path} 在采集过程中被移走或删除",
        en=f"{path} was moved away or removed while files were taken",
        fix_zh="本次不采集该文件；下次采集会重新列出现有文件",
        fix_en="It was not taken; the next pull lists anew what is there.",
    )


def changing(path: str) -> SourceUnavailable:
    """SRC-FILE-CHANGING: a file is not as it was when it was planned."""
    return SourceUnavailable(
        "SRC-FILE-CHANGING",
        zh=f"{path} 在读取过程中被修改",
        en=f"{path} was changed while it was read",
        fix_zh="本次不采集；可请来源部门传完后再生成 .ok 文件，或设置 settle",
        fix_en="Nothing was taken; ask the department to write a .ok file once the file is complete, or set settle.",
    )


def unreadable(path: str, error: OSError) -> SourceError:
    """The right error for what the operating system, or a server in its words, said about `path`."""
    if isinstance(error, PermissionError):
        return SourceRefused(
            "SRC-FILE-REFUSED",
            zh=f"无权读取 {path}：{error.strerror or error}",
            en=f"reading {path} is not permitted: {error.strerror or error}",
            fix_zh="请来源部门授予该文件和文件夹的读取权限",
            fix_en="Ask the department to permit reading of the file and its folder.",
        )
    if isinstance(error, FileNotFoundError):
        return gone(path)
    stale = error.errno == errno.ESTALE
    return SourceUnavailable(
        "SRC-FILE-UNREADABLE",
        zh=f"无法读取 {path}：{'网络挂载已失效' if stale else error.strerror or error}",
        en=f"{path} cannot be read: {'the network mount has gone stale' if stale else error.strerror or error}",
        fix_zh="请检查磁盘和网络挂载；恢复后重新运行，已采集的文件不会重复采集",
        fix_en="Check the disk and the network mount, then run again; files taken already are not taken twice.",
    )
