"""Rows of the state database as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.values import Json


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one resource (or library): how far it came and what became of its rows.

    `status` is running, done, failed, held, rejected, or undone: something it landed was taken back. Times are ISO 8601
    text with offset; counts are None until known.
    """

    run_id: str
    resource: str
    batch: str | None
    step: str
    status: str
    started_at: str
    finished_at: str | None
    pulled: int | None
    landed: int | None
    quarantined: int | None
    superseded: int | None
    deleted: int | None
    decision: str | None
    error: Mapping[str, Json] | None
    trigger: str


@dataclass(frozen=True, slots=True)
class Pin:
    """One table at one snapshot: the snapshot's id and the metadata file that knew it when it was released."""

    snapshot: int
    metadata_location: str


@dataclass(frozen=True, slots=True)
class Release:
    """What readers see: every released table with its snapshot.

    `tables` is complete (tables this release did not touch keep their earlier pin), `changed` names those it moved.
    `kind` is land, merge, compact or rollback; land-undone-7 is a landing that the rollback of release 7 took back.
    `batch` and `counts` are those of the landing that made the release, where there was one; a rollback counts
    `to`, the release it went back to.
    """

    id: int
    created_at: str
    run: str
    tables: Mapping[str, Pin]
    kind: str
    changed: tuple[str, ...] = ()
    batch: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publication:
    """One generation of a library's serving store: which release it was built from, and how many rows it holds."""

    library: str
    generation: int
    release: int
    rows: int
    published_at: str
