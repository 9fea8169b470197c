"""Know which dropped files were already taken, by name and content, and whether a file was delivered whole."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.errors import SourceError, SourceRefused, SourceUnavailable, listed, nearest
from connectors.options import Options, wrong
from schemas.values import Batch, Check, Json, Position, Split

FILE_OPTIONS = ("path", "folder", "pattern", "manifest")
SEALS = ("rows", "bytes", "sha256", "md5")  # what a `.ok` file may say about the file beside it
SEAL_SUFFIX = ".ok"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a resource lie: one `file`, or whatever fits `patterns` in `folder`.

    `sealed`: a file counts only once `<file>.ok` exists beside it. What a `.ok` says is verified in either case.
    """

    folder: Path
    patterns: tuple[str, ...]
    file: Path | None
    sealed: bool

    @property
    def shown(self) -> str:
        """The place as a person would write it."""
        return str(self.file or self.folder / " | ".join(self.patterns))

    def name(self, path: Path) -> str:
        """How a file is known: its path under the folder, with forward slashes."""
        return path.relative_to(self.folder).as_posix()

    def present(self) -> list[Path]:
        """The files that lie there, sealed or not, by name; SRC-FILE-MISSING when the file or folder does not exist."""
        if self.file is not None:
            if not self.file.is_file():
                raise missing(self.file)
            return [self.file]
        if not self.folder.is_dir():
            raise missing(self.folder)
        found = {path for pattern in self.patterns for path in self.folder.glob(pattern) if _counts(path)}
        return sorted(found, key=self.name)

    def ready(self) -> list[Path]:
        """The files that may be taken now."""
        return [path for path in self.present() if not self.sealed or seal_of(path).is_file()]


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix != SEAL_SUFFIX and not path.name.startswith((".", "~$"))


def place(options: Options, connection: Mapping[str, Json], patterns: tuple[str, ...]) -> Place:
    """Read FILE_OPTIONS; relative paths start at the connection's `folder` when it has one."""
    root = Path(str(connection.get("folder") or "."))
    sealed = options.choice("manifest", "optional", ("ok", "optional")) == "ok"
    if options.has("path") == options.has("folder"):
        zh, en = ("与 source.folder 须写且只写一个", "or source.folder must be written, and only one of them")
        raise wrong("source.path", zh, en, FILE_OPTIONS)
    if options.has("path"):
        file = root / options.text("path")
        return Place(file.parent, (file.name,), file, sealed)
    pattern = options.maybe("pattern")
    if pattern is not None and (Path(pattern).is_absolute() or ".." in Path(pattern).parts):
        raise wrong("source.pattern", "须在 folder 之内", "must stay inside folder")
    return Place(root / options.text("folder"), (pattern,) if pattern else patterns, None, sealed)


def seal_of(path: Path) -> Path:
    """The `.ok` file that says `path` was delivered whole."""
    return path.with_name(path.name + SEAL_SUFFIX)


def missing(path: Path) -> SourceError:
    """SRC-FILE-MISSING, naming the path and the nearest names that do exist."""
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    wanted = path.relative_to(parent).parts[0] if path != parent else path.name
    names = sorted(entry.name for entry in parent.iterdir()) if parent.is_dir() else []
    close = nearest(wanted, names) or names
    return SourceError(
        "SRC-FILE-MISSING",
        zh=f"找不到 {path}；{parent} 中最接近的是：{listed(close)}",
        en=f"{path} does not exist; nearest in {parent}: {listed(close)}",
        fix_zh="请更正路径，或请来源部门重新投放文件",
        fix_en="Correct the path, or ask the department to drop the file again.",
    )


def unreadable(path: Path, error: OSError) -> SourceError:
    """The right error for what the operating system said about `path`."""
    if isinstance(error, FileNotFoundError):
        return missing(path)
    refused = isinstance(error, PermissionError)
    kind = SourceRefused if refused else SourceUnavailable
    return kind(
        "SRC-FILE-REFUSED" if refused else "SRC-FILE-UNREADABLE",
        zh=f"无法读取 {path}：{error.strerror}",
        en=f"{path} cannot be read: {error.strerror}",
        fix_zh="请检查文件权限、磁盘和网络挂载",
        fix_en="Check the file's permissions, the disk and the network mount.",
    )


class HashedFile(io.RawIOBase):
    """A file read once from its beginning, hashed as its bytes pass."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._sha = hashlib.sha256()
        self.passed = 0

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # the buffer protocol
        """Read into `buffer` and hash what was read."""
        count = self._file.readinto(buffer) or 0
        self._sha.update(memoryview(buffer)[:count])
        self.passed += count
        return count

    def drain(self) -> None:
        """Read what is left."""
        block = bytearray(_BLOCK)
        while self.readinto(block):
            pass

    def sha256(self) -> str:
        """The SHA-256 of what has passed."""
        return self._sha.hexdigest()

    def close(self) -> None:
        """Close the file beneath."""
        self._file.close()
        super().close()


class TakenFiles:
    """The files of one place, each taken once per content.

    The position is {file name: {sha256, size, mtime_ns}} over everything that was ever taken. A file whose size and
    time are as remembered is not hashed again.
    """

    def __init__(self, where: Place) -> None:
        self.where = where
        self._known: dict[str, Json] = {}

    def plan(self, position: Position | None) -> list[Split]:
        """One split for each file that is new or has changed, by name."""
        self._known = dict(position.cursor) if position else {}
        splits = (self._split(path) for path in self.where.ready())
        return [split for split in splits if split is not None]

    def _split(self, path: Path) -> Split | None:
        name = self.where.name(path)
        known = self._known.get(name)
        before = known if isinstance(known, dict) else {}
        try:
            stat = path.stat()
            if (before.get("size"), before.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns):
                return None
            with path.open("rb") as file:
                sha = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(path, error) from error
        if before.get("sha256") == sha:
            return None
        size, time = stat.st_size, stat.st_mtime_ns
        return Split(f"{name}@{sha[:12]}", {"file": name, "sha256": sha, "size": size, "mtime_ns": time})

    def path(self, split: Split) -> Path:
        """The file of a split, once what its `.ok` says about its bytes has been verified (SRC-FILE-MANIFEST)."""
        path = self.where.folder / str(split.options["file"])
        said = seal(path)
        got = {"sha256": str(split.options["sha256"]), "bytes": str(split.options["size"])}
        try:
            if "md5" in said:
                with path.open("rb") as file:
                    got["md5"] = hashlib.file_digest(file, _md5).hexdigest()
        except OSError as error:
            raise unreadable(path, error) from error
        _compare(path, said, got)
        return path

    def finished(self, batches: Iterator[Batch], split: Split, file: HashedFile | str) -> Iterator[Batch]:
        """The same batches; the last one carries the position, if the content is what was planned and the `.ok` says.

        `file` is the file whose every byte the batches come from, or the SHA-256 of those bytes.
        """
        path = self.where.folder / str(split.options["file"])
        rows = 0
        held: Batch | None = None
        for batch in batches:
            if held is not None:
                yield held
            held = batch
            rows += batch.rows.num_rows
        if (file if isinstance(file, str) else file.sha256()) != split.options["sha256"]:
            raise _changing(path)
        _compare(path, seal(path), {"rows": str(rows)})
        if held is not None:
            facts: dict[str, Json] = {key: split.options[key] for key in ("sha256", "size", "mtime_ns")}
            self._known = {**self._known, str(split.options["file"]): facts}
            yield replace(held, position=Position(self._known))

    def checks(self) -> list[Check]:
        """Whether the place exists, what lies there, and which files wait for their `.ok`."""
        try:
            present, ready = self.where.present(), self.where.ready()
        except SourceError as error:
            return [Check("files", ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")]
        there, names = self.where.shown, [self.where.name(path) for path in present]
        found = Check("files", bool(names), f"{there}：{listed(names)}", f"{there}: {listed(names)}")
        waiting = [self.where.name(path) for path in present if path not in ready]
        if not waiting:
            return [found]
        zh = f"尚未采集（没有 {SEAL_SUFFIX} 文件）：{listed(waiting)}；请来源部门在传完后生成 <文件名>{SEAL_SUFFIX}"
        en = f"not taken, their {SEAL_SUFFIX} file is missing: {listed(waiting)}; ask the department to write it last"
        return [found, Check("manifest", ok=False, zh=zh, en=en)]


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def seal(path: Path) -> dict[str, str]:
    """What the `.ok` file beside `path` says, as {rows | bytes | sha256 | md5: text}; empty when it says nothing."""
    beside = seal_of(path)
    try:
        words = beside.read_text("utf-8-sig").split() if beside.is_file() else []
    except OSError as error:
        raise unreadable(beside, error) from error
    except UnicodeDecodeError:
        words = ["?"]
    pairs = dict(word.partition("=")[::2] for word in words)
    unknown = [key for key, value in pairs.items() if key not in SEALS or not value]
    if unknown:
        raise SourceError(
            "SRC-FILE-MANIFEST",
            zh=f"{beside} 中的 {listed(unknown)} 无法理解",
            en=f"{beside} says {listed(unknown)}, which is not understood",
            fix_zh=f"内容可为空，或写 {'、'.join(f'{key}=…' for key in SEALS)}，以空格或换行分隔",
            fix_en=f"It may be empty, or say {', '.join(f'{key}=…' for key in SEALS)} separated by spaces or lines.",
        )
    return pairs


def _compare(path: Path, said: Mapping[str, str], got: Mapping[str, str]) -> None:
    for key, value in got.items():
        expected = said.get(key, value)
        if expected.casefold() != value:
            raise SourceError(
                "SRC-FILE-MANIFEST",
                zh=f"{path} 与其 {SEAL_SUFFIX} 文件不符：{key} 应为 {expected}，实为 {value}",
                en=f"{path} differs from its {SEAL_SUFFIX} file: {key} should be {expected} and is {value}",
                fix_zh="文件可能没有传完，请来源部门重新投放",
                fix_en="The file may be incomplete: ask the department to drop it again.",
            )


def _changing(path: Path) -> SourceUnavailable:
    return SourceUnavailable(
        "SRC-FILE-CHANGING",
        zh=f"{path} 在读取过程中被修改",
        en=f"{path} was changed while it was read",
        fix_zh=f"本次不采集；可请来源部门传完后再生成 {SEAL_SUFFIX} 文件",
        fix_en=f"Nothing was taken; ask the department to write a {SEAL_SUFFIX} file once the file is complete.",
    )
