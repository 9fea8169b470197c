"""Put generations in force, drop what nobody needs any more, and find what is damaged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import lmdb

from warehouse.serving import open_view
from warehouse.serving_build import BUILDING
from warehouse.serving_file import (
    CURRENT,
    SEAL,
    SUFFIX,
    DamagedFileError,
    Generation,
    current,
    damage,
    generation_file,
    seal_of,
    sync,
)

KEEP = 2  # generations: the one in force and the one before it, for readers about to switch


def switch(folder: Path, library: str, generation: int) -> None:
    """Put a built generation in force: readers see the old one or this one, never a mixture; then drop older ones."""
    home = Path(folder) / library
    before = current(home)
    fresh = home / (CURRENT + BUILDING)
    fresh.write_text(f"{generation}\n", "ascii")
    sync(fresh)
    fresh.replace(home / CURRENT)
    sync(home)
    sweep(folder, library, keep=(before,) if before != generation else ())


def sweep(folder: Path, library: str, keep: Sequence[int] = ()) -> list[str]:
    """Remove what was half built or never put in force, and all but the newest KEEP with the files they build on.

    Returns the names removed. Call it with the library's lock held: somebody else's work in progress looks like an
    orphan.
    """
    home = Path(folder) / library
    now = current(home)
    older = [one for one in generations(home) if one < now]
    numbers = {now, *keep, *older[: KEEP - 1]}
    numbers |= {_base(home, one) for one in numbers}
    needed = {generation_file(home, one).with_suffix(suffix) for one in numbers for suffix in (SUFFIX, SEAL)}
    removed = []
    for path in (*home.glob("*" + SUFFIX), *home.glob("*" + SEAL), *home.glob("*" + BUILDING)):
        if path in needed:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path.name)
    return removed


def generations(home: Path) -> list[int]:
    """The numbers of the generations a library's folder has, newest first."""
    return sorted((int(path.stem) for path in home.glob("*" + SUFFIX) if path.stem.isdigit()), reverse=True)


def published(folder: Path, library: str) -> Generation | None:
    """What is in force, read from the file itself; None when nothing is, or what is named cannot be opened."""
    home = Path(folder) / library
    number = current(home)
    try:
        return open_view(home, number).info if number else None
    except (OSError, lmdb.Error, DamagedFileError):
        return None


def damages(folder: Path, library: str) -> dict[str, str]:
    """Of the files in force those that are not what was sealed, and why; it reads every byte of them."""
    home = Path(folder) / library
    number = current(home)
    if not number:
        return {CURRENT: "missing"}
    files = [generation_file(home, one) for one in sorted({number, _base(home, number)}) if one]
    return {path.name: why for path in files if (why := damage(path)) is not None}


def _base(home: Path, number: int) -> int:
    try:
        sealed = seal_of(generation_file(home, number))
    except DamagedFileError:
        return 0
    return sealed.base if sealed else 0
