"""A small deployment to ask: two libraries in memory, three departments, a grants file and keys."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import sqlalchemy as sa
from fastapi import FastAPI

from schemas.standard import Field, Standard
from schemas.values import Json
from sharing.app import create_app
from sharing.catalog import CatalogEntry, Library, SharingConfig
from sharing.keys import API_KEY, Keys
from sharing.sql_log import SQL_QUERY

SECRET = b"0123456789abcdef0123456789abcdef"
PERSON = "11010519491231002X"

FIRMS = Standard(
    "legal_person", 1, "法人", "Legal persons",
    (
        Field("uscc", "统一社会信用代码", "USCC", type="uscc"),
        Field("ent_name", "名称", "Name"),
        Field("legal_rep_name", "法定代表人", "Legal representative", level=3, mask="name"),
        Field("legal_rep_id", "法定代表人证件号码", "Representative's ID", level=4, mask="id_number"),
        Field("phone", "联系电话", "Phone", level=3, mask="phone"),
        Field("secret_note", "内部备注", "Internal note", level=4),
        Field("division", "行政区划", "Division"),
        Field("capital", "注册资本", "Capital", type="decimal", share="C"),
        Field("never", "不予共享字段", "Never shared", share="N"),
    ),
    (), ("uscc",), library="legal_person",
)  # fmt: skip
PEOPLE = Standard(
    "population", 1, "人口", "Population",
    (
        Field("citizen_id", "公民身份号码", "Citizen ID", type="citizen_id", level=4, mask="id_number"),
        Field("name", "姓名", "Name", level=3, mask="name"),
        Field("address", "住址", "Address", level=3, mask="address"),
    ),
    (), ("citizen_id",), library="population",
)  # fmt: skip

GRANTS = """
grants:
  - id: tax-firms
    department: tax
    library: legal_person
    fields: [uscc, ent_name, legal_rep_name, legal_rep_id, phone, secret_note, division]
    clear: [legal_rep_name]
    rows: {division: ['3301*', '330203']}
    purpose: {matter: 税务登记, basis: 税收征收管理法第十五条}
    until: 2999-12-31
  - id: tax-wide
    department: tax
    library: legal_person
    fields: [uscc, capital]
    purpose: {matter: 风险分析, basis: 省数据共享协议}
    until: 2999-12-31
  - id: tax-people
    department: tax
    library: population
    fields: [citizen_id, name, address]
    clear: [address]
    purpose: {matter: 个税专项附加扣除, basis: 个人所得税法第十五条}
    until: 2999-12-31
  - id: bank-old
    department: bank
    library: legal_person
    fields: [uscc]
    purpose: {matter: 贷款审查, basis: 协议}
    until: 2020-01-01
  - id: school-small
    department: school
    library: population
    fields: [name]
    purpose: {matter: 入学, basis: 义务教育法}
    until: 2999-12-31
    quota: {per_day: 3}
"""


@dataclass(frozen=True)
class Info:
    """What a fake library says of itself."""

    id: int | str
    rows: int
    published_at: str = "2026-03-01T04:00:00+08:00"
    freshness: Mapping[str, str] = field(default_factory=lambda: {"market": "2026-03-01T03:00:00+08:00"})


@dataclass
class Shelf:
    """Records in a dict, for the Records seam."""

    rows: dict[str, Mapping[str, Json]]
    generation: int | str = "g1"
    broken: Exception | None = None

    def get(self, key: str) -> Mapping[str, Json] | None:
        if self.broken:
            raise self.broken
        return self.rows.get(key)

    def get_many(self, keys: Iterable[str]) -> Mapping[str, Mapping[str, Json]]:
        return {key: found for key in keys if (found := self.get(key)) is not None}

    def find(self, name: str, value: str, limit: int = 20) -> list[Mapping[str, Json]]:
        return [row for row in self.rows.values() if row.get(name) == value][:limit]

    def info(self) -> Info:
        if self.broken:
            raise self.broken
        return Info(self.generation, len(self.rows))


def uscc(body: str) -> str:
    """A right USCC from its first 17 characters, worked out here from GB 32100-2015 and not by our validators."""
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(alphabet.index(c) * pow(3, i, 31) for i, c in enumerate(body))
    return body + alphabet[(31 - total % 31) % 31]


FIRM = uscc("91330100MA2A000" + "1X")
FAR_FIRM = uscc("91330200MA2A000" + "2Y")


def firm(key: str, division: str, name: str = "杭州𠮷野家餐饮有限公司") -> dict[str, Json]:
    return {
        "uscc": key, "ent_name": name, "legal_rep_name": "欧阳𠮷", "legal_rep_id": PERSON, "phone": "13812345678",
        "secret_note": "重点", "division": division, "capital": "123456789012345678.123456", "never": "永不",
    }  # fmt: skip


@dataclass
class Town:
    """The deployment with its app, keys by department, and a way to ask."""

    folder: Path
    config: SharingConfig
    app: FastAPI
    keys: dict[str, str]
    firms: Shelf
    people: Shelf

    def ask(self, path: str, key: str | None = "tax", method: str = "GET", **kwargs: object) -> httpx.Response:
        headers = dict(kwargs.pop("headers", {}) or {})
        if key is not None:
            headers["X-Api-Key"] = self.keys.get(key, key)

        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://town") as client:
                return await client.request(method, path, headers=headers, **kwargs)

        return asyncio.run(once())

    def post(self, library: str, who: str | None = "tax", /, *, batch: bool = False, **body: object) -> httpx.Response:
        return self.ask(f"/v1/libraries/{library}/records" + (":batch" if batch else ""), who, "POST", json=body)

    @property
    def desk(self):
        return self.app.state.desk

    def calls(self):
        return list(self.desk.ledger.records())


def configure(folder: Path) -> SharingConfig:
    """The town's configuration over a folder that `build` laid out."""
    engine = sa.create_engine(f"sqlite:///{folder / 'state.db'}")
    firms = Shelf({FIRM: firm(FIRM, "330106"), FAR_FIRM: firm(FAR_FIRM, "330212")})
    people = Shelf({PERSON: {"citizen_id": PERSON, "name": "张三", "address": "浙江省杭州市西湖区文三路1号"}})
    return SharingConfig(
        engine=engine,
        grants=folder / "grants.yaml",
        meter=folder / "meter",
        secret=SECRET,
        catalog=[
            CatalogEntry(
                "market.enterprise_base",
                "market",
                "企业登记基本信息",
                "Enterprise registrations",
                FIRMS,
                ("uscc", "ent_name", "legal_rep_id"),
                "legal_person",
                "*/2 * * * *",
                lambda: {"last_landed": "2026-03-01T03:00:00+08:00", "late": False},
            )
        ],
        libraries={
            "legal_person": Library(FIRMS, firms, personal=False, key_field="uscc"),
            "population": Library(PEOPLE, people, personal=True, key_field="citizen_id"),
        },
        segment_bytes=1 << 18,
    )


def build(folder: Path, grants: str = GRANTS) -> Town:
    """Lay the town out in a folder and open it."""
    config = configure(folder)
    API_KEY.metadata.create_all(config.engine)
    SQL_QUERY.metadata.create_all(config.engine)
    config.grants.write_text(grants, "utf-8")
    keys = Keys(config.engine)
    issued = {department: keys.issue(department, "test") for department in ("tax", "bank", "school", "stranger")}
    firms, people = (config.libraries[name].records for name in ("legal_person", "population"))
    assert isinstance(firms, Shelf)
    assert isinstance(people, Shelf)
    return Town(folder, config, create_app(config), issued, firms, people)


def served() -> SharingConfig:
    """The factory a real server of the town is started with; its folder comes from the test."""
    return configure(Path(os.environ["TOWN_FOLDER"]))
