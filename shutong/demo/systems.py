"""Lay the departmental systems out on disk: a registry database, CSV drops, a REST service's data, workbooks.

<home>/systems/
  scjg/registry.db        市场监管: SQLite (or any SQLAlchemy URL), table e_baseinfo
  gongan/*.csv + *.csv.ok 公安: GB18030 CSV, taken only beside an `.ok` with rows= and sha256=
  swj/taxpayers.json      税务: what `python -m shutong.demo.rest_service` serves
  mzj/*.xlsx              民政: workbooks of 事业单位 and 社会组织
  ledger.json             what Shutong must arrive at
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa

from shutong.demo.ledger import Ledger
from shutong.demo.rows import INSTITUTION, POPULATION, REGISTRY, SOCIAL_ORG, TAXPAYER, Layout, Row
from shutong.demo.scene import Scene, make_scene
from shutong.demo.xlsx import Cell, write_xlsx

SEED, FIRMS, PERSONS = 20241231, 3000, 5000
TABLE = "e_baseinfo"
CUT = 3  # fields missing from a short CSV row
_SPOILED = "@spoiled@"  # stands for a byte that is not GB18030 until the line is encoded


def generate(
    home: Path, seed: int = SEED, *, firms: int = FIRMS, persons: int = PERSONS, registry_url: str | None = None
) -> Ledger:
    """Write every departmental system of that seed under `<home>/systems`, and the ledger; same call, same bytes.

    `registry_url` puts the registry into another database than SQLite; an existing table e_baseinfo is replaced.
    """
    return _write(home, make_scene(seed, firms=firms, persons=persons), registry_url)


def change(home: Path, seed: int | None = None, round: int = 1, *, registry_url: str | None = None) -> Ledger:  # noqa: A002
    """Bring the systems to the state after change number `round`: updates and inserts, and one more CSV drop.

    `seed` defaults to the one generated with. The new ledger describes the state after the change; its `drops` say what
    the new CSV file holds by itself.
    """
    was = Ledger.read(ledger_path(home))
    scene = make_scene(was.seed if seed is None else seed, rounds=round, **was.sizes)
    return _write(home, scene, registry_url)


def ledger_path(home: Path) -> Path:
    """Where the ledger is kept."""
    return home / "systems" / "ledger.json"


def _write(home: Path, scene: Scene, registry_url: str | None) -> Ledger:
    systems = home / "systems"
    for department in ("scjg", "gongan", "swj", "mzj"):
        (systems / department).mkdir(parents=True, exist_ok=True)
    url = registry_url or f"sqlite:///{systems / 'scjg' / 'registry.db'}"
    _registry(url, scene.copies[REGISTRY.resource])
    for name, rows in scene.files.items():
        _drop(systems / "gongan" / name, rows, finished=True)
    for name, rows in scene.untaken.items():
        _drop(systems / "gongan" / name, rows, finished=False)
    _taxpayers(systems / "swj" / "taxpayers.json", scene.copies[TAXPAYER.resource])
    _workbook(systems / "mzj" / "institutions.xlsx", "事业单位", INSTITUTION, scene.copies[INSTITUTION.resource])
    _workbook(systems / "mzj" / "social_orgs.xlsx", "社会组织", SOCIAL_ORG, scene.copies[SOCIAL_ORG.resource])
    ledger = scene.ledger()
    ledger.write(ledger_path(home))
    return ledger


def _registry(url: str, rows: Sequence[Row]) -> None:
    """Replace the table in one transaction, so that a reader sees the old state or the new one."""
    columns = list(REGISTRY.fields.values())
    table = sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("dsc_biz_record_id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text if name == "opscope" else sa.String(400)) for name in columns),
        sa.Column("dsc_biz_operation", sa.String(1)),
    )
    engine = sa.create_engine(url)
    records = [
        {"dsc_biz_record_id": number, "dsc_biz_operation": "I", **row.received} for number, row in enumerate(rows, 1)
    ]
    try:
        with engine.begin() as connection:
            table.drop(connection, checkfirst=True)
            table.create(connection)
            connection.execute(sa.insert(table), records)
    finally:
        engine.dispose()


def _drop(path: Path, rows: Sequence[Row], *, finished: bool) -> None:
    """One CSV file, and when finished the manifest beside it; a file that is there already with its bytes stays."""
    content = b"".join([_line(list(POPULATION.fields.values())), *(_line(_cells(row), row.form) for row in rows)])
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)
    if finished:
        manifest = f"rows={len(rows)}\nsha256={hashlib.sha256(content).hexdigest()}\n"
        path.with_name(f"{path.name}.ok").write_text(manifest, encoding="ascii")


def _cells(row: Row) -> list[str]:
    return [row.received[column] or "" for column in POPULATION.fields.values()]


def _line(cells: list[str], form: str | None = None) -> bytes:
    if form == "short":
        cells = cells[:-CUT]
    if form == "bad_bytes":
        place = list(POPULATION.fields).index("domicile_addr")
        cells = [*cells[:place], cells[place] + _SPOILED, *cells[place + 1 :]]
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return text.getvalue().encode("gb18030").replace(_SPOILED.encode(), b"\xff")


def _taxpayers(path: Path, rows: Sequence[Row]) -> None:
    part = path.with_suffix(".part")
    records = ",\n".join(json.dumps(row.received, ensure_ascii=False) for row in rows)
    part.write_text(f"[\n{records}\n]\n", encoding="utf-8")
    part.replace(path)  # the service may be reading


def _workbook(path: Path, sheet: str, layout: Layout, rows: Sequence[Row]) -> None:
    columns = list(layout.fields.values())

    def cell(row: Row, column: str) -> Cell:
        text = row.received[column]
        return float(text or 0) if row.form == "float" and column == layout.fields["uscc"] else text

    write_xlsx(path, sheet, columns, ([cell(row, column) for column in columns] for row in rows))
