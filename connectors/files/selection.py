"""Choose the files of a place that a resource means, and those of them that are whole and may be taken now."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from connectors.errors import SourceError, listed
from connectors.files.place import Found, Place
from connectors.files.place_choice import open_place
from connectors.files.taken_seal import SUFFIX, SUFFIXES, names_of, read_seal
from connectors.options import Options, Secrets, wrong
from schemas.values import Check, Json

OPTIONS = ("path", "folder", "pattern", "manifest", "seal", "settle")
# How programs call a file while they still write it; it gets its own name by renaming.
UNFINISHED = (".tmp", ".temp", ".part", ".partial", ".filepart", ".uploading", ".crdownload", ".download", ".swp", "~")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Look:
    """What lies there at one moment: `present` by name, and why some of it must `wait` (name → zh, en)."""

    present: tuple[Found, ...]
    wait: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def ready(self) -> list[Found]:
        """The files that may be taken now."""
        return [found for found in self.present if found.name not in self.wait]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of `place` a resource means: one `file`, or whatever fits `patterns`.

    `seal` is how the control file beside a file ends; with `sealed` a file counts only once it has one. A file changed
    less than `settle` seconds ago may still be growing and waits.
    """

    place: Place
    patterns: tuple[str, ...]
    file: str | None
    sealed: bool
    seal: str
    settle: float

    @property
    def shown(self) -> str:
        """The files meant, as a person would write them."""
        return self.place.path(self.file or " | ".join(self.patterns))

    def look(self) -> Look:
        """What lies there now; SRC-FILE-MISSING when the file or folder does not exist."""
        if self.file is not None:
            found = self.place.stat(self.file)
            if found is None:
                raise self.place.absent(self.file)
            seals = [self.place.stat(name) for name in names_of(self.file, self.seal)] if self.sealed else []
            beside = {seal.name: seal for seal in seals if seal is not None}
            return Look((found,), self._waiting((found,), beside))
        lying: dict[str, Found] = {}
        for folder, deep in dict.fromkeys(map(_start, self.patterns)):
            lying |= {found.name: found for found in self.place.listing(folder, deep=deep)}
        chosen = [found for name, found in lying.items() if self._means(name, lying)]
        present = tuple(sorted(chosen, key=lambda found: found.name))
        return Look(present, self._waiting(present, lying))

    def _means(self, name: str, lying: Mapping[str, Found]) -> bool:
        parts = name.split("/")
        if not any(_fits(parts, pattern.split("/")) for pattern in self.patterns):
            return False
        last = parts[-1].casefold()
        if last.startswith((".", "~$")) or last.endswith(UNFINISHED):
            return False
        controls = (self.seal.casefold(), *SUFFIXES)
        # A control file is one that stands beside the file it is about; `.ok` never is anything else.
        return not last.endswith((SUFFIX, self.seal.casefold())) and not any(
            last.endswith(end) and name[: -len(end)] in lying for end in controls
        )

    def _waiting(self, present: Sequence[Found], beside: Mapping[str, Found]) -> dict[str, tuple[str, str]]:
        wait: dict[str, tuple[str, str]] = {}
        now = time.time()
        for found in present:
            seals = [beside[name] for name in names_of(found.name, self.seal) if name in beside]
            if self.sealed and not seals:
                wait[found.name] = (f"没有 {self.seal} 文件", f"its {self.seal} file is missing")
            elif self.sealed and all(seal.mtime_ns < found.mtime_ns for seal in seals) and self._silent(found):
                wait[found.name] = (
                    f"{self.seal} 文件早于该文件，可能正在重写",
                    f"its {self.seal} file is older, it may be written anew",
                )
            # A clock that runs ahead over there must not make a file wait for ever.
            elif abs(now - found.mtime_ns / 1e9) < self.settle:
                wait[found.name] = (
                    f"{self.settle:g} 秒内有改动，可能还在写入",
                    f"changed less than {self.settle:g} seconds ago, it may still be written",
                )
        return wait

    def _silent(self, found: Found) -> bool:
        """True when the control file of a file says nothing that its content could be held against."""
        try:
            return not read_seal(self.place, found.name, self.seal)
        except SourceError:
            return False  # told when the file is taken

    def checks(self) -> list[Check]:
        """Whether the place can be reached, what lies there, and which files wait and for what."""
        lines: list[Check] = []
        try:
            lines += self.place.check()
            # A login that was refused is not tried again at once: accounts get locked so.
            if not all(line.ok for line in lines):
                return lines
            look = self.look()
        except SourceError as error:
            return [*lines, failed("files", error)]
        names = [found.name for found in look.present]
        lines.append(Check("files", bool(names), f"{self.shown}：{listed(names)}", f"{self.shown}: {listed(names)}"))
        by_reason: dict[tuple[str, str], list[str]] = {}
        for name, why in look.wait.items():
            by_reason.setdefault(why, []).append(name)
        for (zh, en), waiting in by_reason.items():
            ask_zh = f"；请来源部门在传完后生成 <文件名>{self.seal}" if self.sealed else ""
            ask_en = f"; ask the department to write <file>{self.seal} last" if self.sealed else ""
            said_zh = f"尚未采集（{zh}）：{listed(waiting)}{ask_zh}"
            lines.append(Check("manifest", ok=False, zh=said_zh, en=f"not taken, {en}: {listed(waiting)}{ask_en}"))
        return lines


def failed(name: str, error: SourceError) -> Check:
    """The line of a connection test that an error makes."""
    return Check(name, ok=False, zh=f"{error.zh}；{error.fix_zh}", en=f"{error.en}. {error.fix_en}")


def select(options: Options, connection: Mapping[str, Json], patterns: tuple[str, ...], secrets: Secrets) -> Selection:
    """Read OPTIONS; relative paths start at the connection's folder. `patterns` stand where none is written."""
    if options.has("path") == options.has("folder"):
        zh, en = ("与 source.folder 须写且只写一个", "or source.folder must be written, and only one of them")
        raise wrong("source.path", zh, en, OPTIONS)
    seal = options.text("seal", SUFFIX)
    if not seal.startswith(".") or "/" in seal:
        raise wrong("source.seal", "须为后缀，如 .ok、.md5、.done", "must be an ending such as .ok, .md5 or .done")
    sealed = options.choice("manifest", "ok" if options.has("seal") else "optional", ("ok", "optional")) == "ok"
    settle = options.span("settle", "0s").total_seconds()
    if options.has("path"):
        path = PurePosixPath(options.text("path"))
        place = open_place(connection, str(path.parent), secrets)
        return Selection(place, (path.name,), path.name, sealed, seal, settle)
    pattern = options.maybe("pattern")
    if pattern is not None and (pattern.startswith("/") or ".." in pattern.split("/")):
        raise wrong("source.pattern", "须在 folder 之内", "must stay inside folder")
    place = open_place(connection, options.text("folder"), secrets)
    return Selection(place, (pattern,) if pattern else patterns, None, sealed, seal, settle)


def _start(pattern: str) -> tuple[str, bool]:
    """The folder a pattern's files lie under, and whether in folders below it."""
    parts = pattern.split("/")
    fixed = next((at for at, part in enumerate(parts) if _GLOB.search(part)), len(parts) - 1)
    return "/".join(parts[:fixed]), fixed < len(parts) - 1 or parts[-1] == "**"


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """True when the path fits the pattern, capitals aside: departments drop DATA.CSV too."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_fits(parts[at:], pattern[1:] or ["*"]) for at in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0].casefold(), pattern[0].casefold()) and _fits(parts[1:], pattern[1:])
