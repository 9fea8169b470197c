"""Back up what says which files count (state and catalog, and a list of those files), and restore the two together."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from schemas.points import reached
from schemas.values import Manifest, Position
from warehouse import backup_dump, expiry
from warehouse.clock import now, now_text
from warehouse.durable import sync
from warehouse.errors import WarehouseError
from warehouse.site import Site, size_of
from warehouse.state import State
from warehouse.store import ObjectStore
from warehouse.tables import Tables

KEEP = 7
RESTORED = "restored"  # trigger of runs whose raw batches were found beside a restored state
_SAID, _FILES = "backup.json", "files.txt.gz"
_SHOWN = 3  # missing files that are named
PUT_AWAY = "meter."  # tables of what is put away for good, a commit of which counts at once


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup: its name, when its state stood so (ISO 8601), the newest release in it, how many files that needs.

    `digests` are the SHA-256 of its own files by name.
    """

    name: str
    at: str
    release: int | None
    files: int
    digests: dict[str, str]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to: the backup, and how many later raw batches wait to land again."""

    backup: Backup
    batches: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where backups lie and which databases they are of; the same URL twice where one database is both."""

    folder: Path
    state_url: str
    catalog_url: str

    def databases(self) -> dict[str, str]:
        """The URL of each database by the name of its dump."""
        both = {"state": self.state_url} | ({"catalog": self.catalog_url} if self.catalog_url != self.state_url else {})
        return {f"{name}{backup_dump.suffix(url)}": url for name, url in both.items()}


def create(place: Place, state: State, tables: Tables, *, keep: int = KEEP) -> Backup:
    """Make a backup and drop all but the newest `keep`; others go on working meanwhile.

    The state is copied before the catalog: what the one says is released the other knows. A backup appears when it is
    whole; what a killed process left of one is removed by the next.
    """
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tables.lock("backup"):
        for left in place.folder.glob("*.part"):
            shutil.rmtree(left)
        moment = now()
        part = place.folder / f"{moment:%Y%m%dT%H%M%S.%f}.part"
        part.mkdir(mode=0o700)
        release, at = state.release(), now_text()
        for name, url in place.databases().items():
            backup_dump.dump(url, part / name)
        reached("backup.dumped")
        files = sorted({file for name in tables.names() for file in expiry.used(tables.loaded(name))})
        with gzip.open(part / _FILES, "wt", encoding="utf-8") as listed:
            listed.writelines(f"{file}\n" for file in files)
        digests = {one.name: _digest(one) for one in sorted(part.iterdir())}
        made = Backup(part.stem, at, release.id if release else None, len(files), digests)
        (part / _SAID).write_text(json.dumps(asdict(made), indent=2))
        for one in part.iterdir():
            sync(one)
        reached("backup.written")
        part.rename(place.folder / made.name)
        for old in backups(place)[max(keep, 1) :]:
            shutil.rmtree(place.folder / old.name)
        return made


def backups(place: Place) -> list[Backup]:
    """The whole backups, newest first."""
    found = [one for one in place.folder.glob(f"*/{_SAID}") if one.parent.suffix != ".part"]
    return sorted((Backup(**json.loads(one.read_text())) for one in found), key=lambda one: one.at, reverse=True)


def spared(place: Place) -> set[str]:
    """The table files that backups need: no sweep may remove them."""
    return {file for one in backups(place) for file in _listed(place, one)}


def chosen(place: Place, at: str | None = None) -> Backup:
    """The newest backup, or the newest not later than an instant (ISO 8601 with offset). Raises WH-BACKUP-NONE."""
    for one in backups(place):
        if at is None or one.at <= at:
            return one
    raise WarehouseError(
        "WH-BACKUP-NONE",
        zh=f"{place.folder} 中没有{f'不晚于 {at} 的' if at else ''}备份",
        en=f"there is no backup{f' from before {at}' if at else ''} in {place.folder}",
        fix_zh="用 shutong backup list 查看现有备份",
        fix_en="See which there are: shutong backup list",
    )


def restore(place: Place, one: Backup, site: Site) -> None:
    """Make state and catalog what they were; nobody else may be working. The table files stay where they are.

    Raises WH-BACKUP-DAMAGED or WH-BACKUP-FILES, having changed nothing, when the backup or a file it needs is not there
    any more. Killed half way it is called again.
    """
    home = place.folder / one.name
    for name, digest in one.digests.items():
        if not (home / name).exists() or _digest(home / name) != digest or not backup_dump.sound(home / name):
            raise WarehouseError(
                "WH-BACKUP-DAMAGED",
                zh=f"备份 {one.name} 的 {name} 不完好",
                en=f"{name} of backup {one.name} is damaged",
                fix_zh="改用另一份备份：shutong backup list",
                fix_en="Choose another backup: shutong backup list",
            )
    missing = [file for file in _listed(place, one) if not size_of(site, file)]
    if missing:
        shown = ", ".join(missing[:_SHOWN])
        raise WarehouseError(
            "WH-BACKUP-FILES",
            zh=f"备份 {one.name} 需要的 {len(missing)} 个表文件已不存在，例如 {shown}",
            en=f"{len(missing)} table files that backup {one.name} needs are gone, for example {shown}",
            fix_zh="先从存储的副本恢复这些文件，或改用另一份备份",
            fix_en="Bring these files back from a copy of the store, or choose another backup",
        )
    for name, url in sorted(place.databases().items()):  # the catalog first: it may know more than is released
        backup_dump.load(url, home / name)
        reached("restore.loaded")


def settle(state: State, store: ObjectStore, tables: Tables, one: Backup) -> Restored:
    """After a restore: tables go back to what is released, and raw batches pulled later count again.

    These are found by the manifests beside them; the next ingest of their resource checks and lands them.
    """
    for name in tables.names():
        if not name.startswith(PUT_AWAY):  # no release names those tables: they are as the backup has them
            tables.rollback_to(name, state.released(name))
    later = []
    for folder in store.folders("land"):
        if store.exists(f"{folder}/manifest.json"):
            manifest = _manifest(store.get(f"{folder}/manifest.json"))
            if manifest.pulled_at >= one.at and not state.manifests(manifest.resource, batch=manifest.batch):
                later.append(manifest)
    for manifest in sorted(later, key=lambda found: found.pulled_at):
        state.start_run(manifest.run, manifest.resource, trigger=RESTORED)
        state.commit_pull(manifest, complete=True)
    return Restored(one, len(later))


def _manifest(content: bytes) -> Manifest:
    said = json.loads(content)
    said = {name: value for name, value in said.items() if name not in ("content_sha256", "file_sha256")}
    lists = {name: tuple(cast("Sequence[str]", said[name])) for name in ("files", "columns")}
    return Manifest(**{**said, **lists, "position": Position(said["position"]["cursor"])})


def _listed(place: Place, one: Backup) -> list[str]:
    with gzip.open(place.folder / one.name / _FILES, "rt", encoding="utf-8") as listed:
        return listed.read().splitlines()


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
