"""The exchange that the client's tests ask: firms in a real store with a feed, three ways to prove who calls."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
from sharing_town import FIRMS, GRANTS, SECRET, build, configure, firm, uscc
from shutong_client import Client

from sharing.catalog import Library, SharingConfig
from sharing.clients import Clients
from sharing.keys import Keys, digest
from sharing.ledger import Ledger
from sharing.signed import signing_secret
from shutong.api import Changes, Served
from warehouse import serving_build, serving_log
from warehouse.serving import ServingStore
from warehouse.serving_care import switch

NAME = "legal_person"
CODES = [uscc(f"91330100MA2A{number:05d}") for number in range(250)]
TERMS = """
  - id: tax-client
    department: tax
    library: legal_person
    fields: [uscc, ent_name, legal_rep_name, phone, division]
    find: [ent_name, division]
    verify: [phone, ent_name]
    rows: {division: ['3301*']}
    purpose: {matter: 名称核对, basis: 协议}
    until: 2999-12-31
    quota: {per_day: 1000000}
  - id: school-few
    department: school
    library: legal_person
    fields: [uscc]
    purpose: {matter: 核对, basis: 协议}
    until: 2999-12-31
    quota: {per_day: 1}
"""


@dataclass(frozen=True)
class Exchange:
    """A running exchange: its address, keys by department, and a signing application's number and secret."""

    folder: Path
    address: str
    keys: dict[str, str]
    application: tuple[int, str]
    signing: tuple[int, str]

    def profile(self, folder: Path, credential: str, **said: str) -> Path:
        """A profile file with that [credential] and these words."""
        told = {"address": self.address, "grant": "tax-client", "receipt_keys": "keys.json"} | said
        lines = [f'{name} = "{value}"' for name, value in told.items() if value]
        path = folder / "exchange.toml"
        path.write_text("\n".join([*lines, "patience = 20", "[credential]", credential]), "utf-8")
        return path

    def client(self, folder: Path, who: str = "tax", **said: str) -> Client:
        """A client by API key."""
        return Client.from_profile(self.profile(folder, f'key = "{self.keys[who]}"', **said))

    def calls(self, **about: object):
        """The records of calls that are about this."""
        return [
            call for call in Ledger(self.folder / "meter").records()
            if all(getattr(call, name) == value for name, value in about.items())
        ]  # fmt: skip


def rows(number: int) -> list[dict[str, object]]:
    """The firms of generation 1 or 2: the first has another name, the last is gone."""
    told = [firm(code, "330106", f"杭州𠮷祥{place}号公司") for place, code in enumerate(CODES)]
    return told if number == 1 else [told[0] | {"ent_name": "杭州改名公司"}, *told[1:-1]]


def publish(folder: Path, number: int) -> None:
    """Publish a generation."""
    plan = serving_build.Plan(library=NAME, key="uscc", generation=number, indexed=("ent_name",),
                              published_at="2026-03-01T04:00:00+08:00")  # fmt: skip
    schema = pa.schema([(one.name, pa.string()) for one in FIRMS.fields])
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_pylist(rows(number), schema=schema))
        serving_build.build(folder, connection, "rows", plan)
    serving_log.note(folder / NAME, number)
    switch(folder, NAME, number)


def lay_out(folder: Path, address: str) -> Exchange:
    """Everything the server needs, in a folder."""
    town = build(folder, GRANTS + TERMS)
    town.desk.close()
    publish(folder / "serving", 1)
    keys, clients = Keys(town.config.engine), Clients(town.config.engine)
    made = clients.add("tax", "register")
    assert made is not None
    key = keys.issue("tax", "register", client=made.id)
    found = keys.find(digest(key))
    assert found is not None
    town.config.engine.dispose()
    return Exchange(folder, address, town.keys, (made.id, key), (found.id, signing_secret(SECRET, digest(key))))


def served() -> SharingConfig:
    """The factory the server is started with."""
    folder = Path(os.environ["TOWN_FOLDER"])
    config = configure(folder)
    store = ServingStore(folder / "serving", NAME, check_every=0.0)
    answers = Served(store)
    library = Library(FIRMS, answers, personal=False, key_field="uscc", feed=Changes(store, answers))
    return replace(config, libraries={**config.libraries, NAME: library})
