"""The small deployment with people who log in, a browser for each, and a clock that a test moves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

import httpx
import sqlalchemy as sa
from argon2 import PasswordHasher
from fastapi import FastAPI
from sharing_town import SECRET, Town

from sharing.app import create_app
from sharing.catalog import SharingConfig
from sharing.oidc import Provider
from sharing.passwords import Passwords
from sharing.people import People
from sharing.people_door import PeopleDoor
from sharing.people_tables import ACCOUNT, ATTEMPT, EVENT, FLOW, SESSION
from sharing.people_terms import LoginTerms, OidcTerms
from sharing.sessions import Sessions

PEOPLE = """people:
  - {id: chen, name: 陈静, roles: [data_manager]}
  - {id: li.na, name: 李娜, department: tax, roles: [lead], mail: li@example.gov.cn}
  - {id: wang, name: 王伟, department: tax, roles: [caller, analyst]}
  - {id: zhou, name: 周平, department: bank, roles: [auditor]}
"""
WORD = "correct horse battery"
DEPARTMENTS = ("market", "tax", "bank", "school")
TERMS = LoginTerms("https://town")
CHEAP = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@dataclass
class Clock:
    """Unix seconds, moved by the test."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@dataclass
class Browser:
    """Keeps cookies and the CSRF token, as a page would."""

    app: FastAPI
    address: str = "10.1.2.3"
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str | None = None

    def ask(self, method: str, path: str, json: object = None, **kwargs: object) -> httpx.Response:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if self.csrf is not None:
            headers["X-CSRF-Token"] = self.csrf
        headers |= dict(kwargs.pop("headers", {}) or {})

        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, client=(self.address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="https://town") as client:
                return await client.request(method, path, headers=headers, json=json, **kwargs)

        answer = asyncio.run(once())
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        if answer.status_code == 200 and "csrf" in answer.json():
            self.csrf = answer.json()["csrf"]
        return answer

    def log_in(self, person: str, password: str = WORD) -> httpx.Response:
        return self.ask("POST", "/v1/session", {"person": person, "password": password})

    @property
    def who(self) -> str:
        answer = self.ask("GET", "/v1/session")
        return answer.json()["person"] if answer.status_code == 200 else answer.json()["code"]


@dataclass
class PeopleTown:
    """The town, its door for people, and what they are called in its tables."""

    town: Town
    door: PeopleDoor
    clock: Clock

    @property
    def engine(self) -> sa.Engine:
        return self.town.config.engine

    def browser(self, address: str = "10.1.2.3") -> Browser:
        return Browser(self.town.app, address)

    def begin(
        self, terms: LoginTerms = TERMS, oidc: OidcTerms | None = None, word: str | None = WORD,
        passwords: Passwords | None = None,
    ) -> PeopleTown:  # fmt: skip
        """As on the first day, by these terms; everybody has the password `word`."""
        door, self.clock.now = self.door, time.time()
        with self.engine.begin() as connection:
            for table in (ACCOUNT, SESSION, FLOW, ATTEMPT, EVENT):
                connection.execute(table.delete())
        self.people(PEOPLE)
        door.people = People(self.town.folder / "people.yaml", DEPARTMENTS)
        door.terms, door.sessions = terms, Sessions(self.engine, terms.idle, terms.longest)
        door._passwords = passwords or Passwords(CHEAP)
        if door.provider is not None:
            door.provider.close()
        door.provider = Provider(oidc, terms.public, SECRET, "between us", self.engine) if oidc is not None else None
        if word is not None:
            for one in door.people.all():
                door.accounts.keep(one.id, door._passwords.hash(word), self.clock())
        return self

    def people(self, text: str) -> None:
        path = self.town.folder / "people.yaml"
        path.write_text(text + f"# {time.perf_counter_ns()}\n", "utf-8")

    def events(self) -> list[tuple[str, str | None]]:
        return [(one.event, one.person) for one in reversed(self.door.accounts.events())]


def peopled(town: Town) -> PeopleTown:
    """Put people into a town; `begin` is then called before each test."""
    clock, path, engine = Clock(), town.folder / "people.yaml", town.config.engine
    door = PeopleDoor(engine, People(path, DEPARTMENTS), TERMS, SECRET, None, Passwords(CHEAP), clock)
    config: SharingConfig = replace(town.config, people=door)
    town.desk.close()
    town.config, town.app = config, create_app(config)
    return PeopleTown(town, door, clock)
