"""A town whose libraries and served resources lie in real serving stores, to be asked about one firm or person."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
from sharing_town import FIRMS, PEOPLE, PERSON, Town, build, firm, uscc

from schemas.standard import Field, Standard
from sharing.app import create_app
from sharing.catalog import Library
from sharing.forms import read_forms
from shutong.api import Served
from warehouse import serving_build
from warehouse.serving import ServingStore
from warehouse.serving_care import switch

CODES = [uscc(f"91330100MA2A{number:05d}") for number in range(12)]
OTHERS = [f"1101051949123100{number}X"[:17] + "X" for number in range(10, 13)]
LICENCES = Standard(
    "licence", 1, "许可", "Licences",
    (
        Field("uscc", "统一社会信用代码", "USCC", type="uscc"),
        Field("ent_name", "名称", "Name"),
        Field("licence_no", "许可证号", "Licence number"),
        Field("granted_on", "发证日期", "Granted on", type="date"),
        Field("holder_id", "持证人证件号码", "Holder's ID", type="citizen_id", level=4, mask="id_number"),
    ),
    (), ("uscc",),
)  # fmt: skip


def publish(folder: Path, name: str, key: str, rows: list[dict[str, object]], indexed: tuple[str, ...] = ()) -> Served:
    """Put rows into a serving store of its own, as one generation."""
    kinds = {one: "JSON" if one == "_sources" else "VARCHAR" for one in rows[0]}
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE rows ({', '.join(f'{one} {kind}' for one, kind in kinds.items())})")
        told = [[json.dumps(v) if n == "_sources" else v for n, v in row.items()] for row in rows]
        connection.executemany(f"INSERT INTO rows VALUES ({', '.join('?' * len(kinds))})", told)
        plan = serving_build.Plan(
            library=name, key=key, generation=1, indexed=indexed,
            embedded=[one for one in kinds if one == "_sources"], published_at="2026-03-01T04:00:00+08:00",
            freshness={"market": "2026-03-01T03:00:00+08:00", "tax": "2026-02-28T03:00:00+08:00"}
            if name == "legal_person" else {name.partition(".")[0]: "2026-03-01T02:00:00+08:00"},
        )  # fmt: skip
        serving_build.build(folder, connection, "rows", plan)
    switch(folder, name, 1)
    return Served(ServingStore(folder, name))


def firms() -> list[dict[str, object]]:
    """The rows of the library of firms."""
    rows = []
    for number, code in enumerate(CODES):
        sources = {
            "uscc": ["market", "market.base"],
            "ent_name": ["market", "market.base"],
            "capital": ["tax", "tax.a"],
        }
        row = firm(code, "330106" if number % 3 else "330212", f"数通{number}号公司")
        rows.append({**row, "legal_rep_id": PERSON if number < 2 else OTHERS[0], "_sources": sources})
    return rows


def licences() -> list[dict[str, object]]:
    """The rows of the resource of licences; the first firm's name is an older one."""
    return [
        {
            "uscc": code, "ent_name": "旧名公司" if number == 1 else f"数通 {number}号公司", "licence_no": f"LN-{number}",
            "granted_on": "2020-01-02", "holder_id": PERSON if number in {1, 2} else OTHERS[1],
        }
        for number, code in enumerate(CODES)
    ]  # fmt: skip


def open_subjects(folder: Path, grants: str, forms: str = "") -> Town:
    """The town over real stores, with its grants and one form."""
    town = build(folder, "grants: []\n")
    town.desk.close()
    served = {"health.licence": Library(LICENCES, publish(folder, "health.licence", "uscc", licences(), ("holder_id",)),
                                        personal=False, key_field="uscc")}  # fmt: skip
    people = [{"citizen_id": PERSON, "name": "张三", "address": "浙江省杭州市西湖区文三路1号"}]
    libraries = {
        "legal_person": Library(FIRMS, publish(folder, "legal_person", "uscc", firms(), ("legal_rep_id",)),
                                personal=False, key_field="uscc"),
        "population": Library(PEOPLE, publish(folder, "population", "citizen_id", people), personal=True,
                              key_field="citizen_id"),
    }  # fmt: skip
    known = {name: one.standard for name, one in {**libraries, **served}.items()}
    (folder / "forms").mkdir(exist_ok=True)
    if forms:
        (folder / "forms" / "one.yaml").write_text(forms, "utf-8")
    town.config.grants.write_text(grants, "utf-8")
    town.config = replace(
        town.config, libraries=libraries, served=served, catalog=[], forms=read_forms(folder / "forms", known)
    )
    town.app = create_app(town.config)
    return town
