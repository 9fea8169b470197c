"""A small index of the deployment's resources, so that the scheduler parses no YAML: rebuilt when a file changes."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.errors import StandardError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What scheduling needs to know of a resource; `resource` is its id, `followed` those that are never pulled."""

    resource: str
    department: str
    name: str
    zh: str
    en: str
    schedule: str | None
    library: str | None
    followed: bool = False


def read_index(home: Path) -> list[IndexEntry]:
    """The deployment's resources by id. A file that cannot be read keeps its last good entry and is logged."""
    files = {str(path.relative_to(home)): path.stat().st_mtime_ns for path in sorted(_files(home))}
    path = home / "state" / "index.json"
    before: dict[str, dict[str, str | bool | None]] = {}
    if path.exists():
        kept = json.loads(path.read_text())
        before = kept["entries"]
        if kept["files"] == files:
            return [IndexEntry(**entry) for entry in before.values()]  # type: ignore[arg-type]
    entries = {name: entry for name in files if (entry := _entry(home, name, before.get(name)))}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"files": files, "entries": {k: asdict(v) for k, v in entries.items()}}))
    draft.replace(path)
    return sorted(entries.values(), key=lambda entry: entry.resource)


def _files(home: Path) -> list[Path]:
    return list((home / "resources").glob("*/*.yaml"))


def _entry(home: Path, name: str, before: dict[str, str | bool | None] | None) -> IndexEntry | None:
    from runs.resources import load_resource

    try:
        found = load_resource(home / name, (home / "standards",))
    except StandardError as error:
        LOG.error("%s", error)  # noqa: TRY400 - the message says it all, a stack trace would bury it
        return IndexEntry(**before) if before else None  # type: ignore[arg-type]
    return IndexEntry(
        found.id,
        found.department,
        found.name,
        found.zh,
        found.en,
        found.schedule,
        found.standard.library,
        found.reading.mode == "cdc",
    )
