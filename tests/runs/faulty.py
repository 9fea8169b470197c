"""Bring a fault to a deployment, see what is said of it, and that the next run continues from what is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from small_deployment import SMALL_STANDARD, add_resource, landed, lay_out, opened, write_small_standard

import runs.steps
from runs.reports import Report
from schemas.errors import ShutongError
from warehouse.keep import keep_pieces

FIRMS = "scjg.firms"
PIECE = 8  # rows: a pull of any length is cut


def deployment(home: Path, source: str, *, connection: str = "", more: str = "", percent: float = 90) -> Path:
    """A deployment with one resource over the system `connection` (YAML) describes."""
    lay_out(home)
    write_small_standard(home)
    if connection:
        (home / "connections.yaml").write_text(f"connections: {{db: {connection}}}\n", encoding="utf-8")
        more = f"connection: db\n{more}"
    add_resource(home, source, standard=SMALL_STANDARD, percent=percent, more=more)
    return home


def chinese(text: str) -> bool:
    """Whether there is a Chinese character in it."""
    return any("一" <= letter <= "鿿" for letter in text)


def fails(
    home: Path, expected: str, run: str = "bad", *, meanwhile: Callable[[], None] | None = None, **secrets: str
) -> ShutongError:
    """The error of a run: said in both languages with the next step, kept on the run, without a secret.

    What was pulled until then stays, nothing of it is lost or half there; `meanwhile` happens once the run has planned.
    """
    runs.steps.keep_pieces = partial(_after, meanwhile)
    try:
        with opened(home, **secrets) as wired:
            with pytest.raises(ShutongError) as caught:
                wired.steps.ingest(FIRMS, run)
            told = wired.state.run(run)
            manifests = wired.state.manifests(FIRMS)
            assert all(wired.store.exists(path) for one in manifests for path in one.files)
    finally:
        runs.steps.keep_pieces = keep_pieces
    error = caught.value
    assert error.code == expected, str(error)
    assert (told.status, told.error["code"]) == ("failed", expected)
    for zh, en in ((error.zh, error.en), (error.fix_zh, error.fix_en)):
        assert chinese(zh)
        assert en
    assert "Traceback" not in str(error)
    for secret in secrets.values():
        assert secret not in json.dumps([str(error), error.as_dict(), told.error], ensure_ascii=False)
    return error


def _after(meanwhile: Callable[[], None] | None, *args: object) -> object:
    if meanwhile is not None:
        meanwhile()
    return keep_pieces(*args, piece_rows=PIECE)  # type: ignore[arg-type]


def lands(home: Path, run: str = "next", **secrets: str) -> tuple[Report, dict[str, str]]:
    """What the next run reports, and the firms landed by then; every row it pulled has one fate."""
    with opened(home, **secrets) as wired:
        report = wired.steps.ingest(FIRMS, run)
        assert wired.state.run(run).status == "done"
        assert report.pulled == report.landed + report.quarantined + report.superseded
        return report, landed(wired)


def kept_rows(home: Path, **secrets: str) -> int:
    """How many rows are durable as received."""
    with opened(home, **secrets) as wired:
        return sum(one.rows for one in wired.state.manifests(FIRMS))
