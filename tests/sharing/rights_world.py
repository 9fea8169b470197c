"""A library whose every value says where it stands, asked over every channel there is: what does a caller learn?

A new channel is one function in CHANNELS: it asks for all it can and returns the (row, field) pairs it learned.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
from sharing_town import PERSON, Info, Shelf, Town, build, uscc

from schemas.standard import Field, Standard
from sharing.analysts import Analyst, Analysts, Subject
from sharing.app import create_app
from sharing.bulk_store import JobStore
from sharing.bulk_work import Worker
from sharing.catalog import Library
from sharing.forms import Form, Place, Question
from sharing.grants import Grants
from warehouse.sql_worker import answer
from warehouse.state import State
from warehouse.tables import Tables

CODES = [uscc(f"91330100MA2R{number:05d}") for number in range(4)]
THINGS = Standard(
    "things", 1, "事物", "Things",
    (
        Field("uscc", "代码", "Code", type="uscc"),
        Field("division", "区划", "Division"),
        Field("title", "名称", "Title"),
        Field("note", "备注", "Note", level=3),
        Field("who", "姓名", "Name", level=3, mask="name"),
        Field("dial", "电话", "Phone", level=3, mask="phone"),
        Field("paper", "证件", "Paper", level=4, mask="id_number"),
        Field("place", "住址", "Address", level=3, mask="address"),
        Field("capital", "资本", "Capital", mask="amount"),
        Field("holder", "持有人", "Holder", type="citizen_id", level=4, mask="id_number"),
    ),
    (), ("uscc",), library="things",
)  # fmt: skip
TOLD = ("title", "note", "who", "dial", "paper", "place", "capital")  # each value occurs once in the world
FIELDS = tuple(one.name for one in THINGS.fields)
MASKED = frozenset(("note", "who", "dial", "paper", "place", "capital", "holder"))
MATTER = "办事"
Learned = set[tuple[int, str]]


def value(row: int, name: str, salt: int) -> str:
    """A value that no other field of no other row has, in the shape of its field."""
    number = f"{salt % 90 + 10}{row}{TOLD.index(name)}"
    return {
        "dial": f"138{number}5678", "paper": f"330102{number}1990010101", "capital": f"77{number}31.25",
        "place": f"浙江省杭州市西湖区密{number}街", "who": f"欧阳{number}娜",
    }.get(name, f"{name}#{number}")  # fmt: skip


@dataclass(frozen=True)
class Right:
    """A grant drawn at random, and what it lets be learned, worked out here and not by the code it tests."""

    fields: frozenset[str]
    clear: frozenset[str]
    find: frozenset[str]
    verify: frozenset[str]
    token: frozenset[str]
    divisions: tuple[str, ...]

    def admits(self, division: str) -> bool:
        return not self.divisions or any(
            division == one or (one.endswith("*") and division.startswith(one[:-1])) for one in self.divisions
        )

    def seen(self, name: str) -> bool:
        return name in self.fields and name not in self.token and (name in self.clear or name not in MASKED)

    def allowed(self, divisions: Mapping[int, str]) -> Learned:
        """What may be seen: whole values of the grant's rows."""
        return {(row, name) for row, one in divisions.items() if self.admits(one) for name in TOLD if self.seen(name)}

    def judged(self, divisions: Mapping[int, str]) -> Learned:
        """What may be learned by claims."""
        return {
            (row, name) for row, one in divisions.items() if self.admits(one) for name in TOLD if name in self.verify
        }

    def written(self) -> str:
        """As the grants file has it, for the library and for the resource of the same rows."""
        lists = {name: sorted(getattr(self, name)) for name in ("fields", "clear", "find", "verify", "token")}
        rows = f"\n    rows: {{division: {json.dumps(self.divisions)}}}" if self.divisions else ""
        said = "".join(f"\n    {name}: {json.dumps(told)}" for name, told in lists.items() if told)
        return "grants:" + "".join(
            f"\n  - id: {kind}\n    department: tax\n    {kind}: {subject}{said}{rows}"
            f"\n    purpose: {{matter: {MATTER}, basis: 协议}}\n    until: 2999-12-31"
            for kind, subject in (("library", "things"), ("resource", "dept.things"))
        )  # fmt: skip


@dataclass
class Page:
    """A page of the shelf."""

    records: list[Mapping[str, object]]
    after: str | None = None


@dataclass(frozen=True)
class Change:
    """A record that came."""

    place: bytes
    now: Mapping[str, object]
    was: Mapping[str, object] | None = None


@dataclass
class Things(Shelf):
    """Rows in memory that can be sought, and followed as they change."""

    number: int = 1
    before: dict[str, Mapping[str, object]] = field(default_factory=dict)

    def page(self, equal, *, prefix=None, limit=100, after=None, keep=None) -> Page:
        found = [row for row in self.rows.values() if all(row[name] == told for name, told in equal.items())]
        found = [row for row in found if prefix is None or str(row[prefix[0]]).startswith(prefix[1])]
        return Page([row for row in found if keep is None or keep(row)][:limit])

    def begin(self) -> tuple[str, int, Info]:
        return "log", self.number, self.info()

    def between(self, epoch: str, since: int, upto: int, after: bytes, limit: int) -> tuple[list[Change], bool]:
        return [Change(key.encode(), row, self.before.get(key)) for key, row in self.rows.items()], True

    def named(self, generation: int) -> str:
        return f"things-{generation}"


class World:
    """The town with one library and one served resource of the same rows, and a warehouse of them for SQL."""

    def __init__(self, folder: Path) -> None:
        town = build(folder, "grants: []\n")
        town.desk.close()
        self.things = Things({})
        both = Library(THINGS, self.things, personal=False, key_field="uscc", feed=self.things)
        asking = [Question(name, name, name, [Place("things", name), Place("dept.things", name)]) for name in FIELDS]
        forms = {one.name: Form(one.name, "表", "Form", "firm", [one]) for one in asking}
        config = replace(town.config, libraries={"things": both}, served={"dept.things": both}, catalog=[], forms=forms)
        self.town: Town = replace(town, config=config, app=create_app(config))
        self.state = State(f"sqlite:///{folder}/warehouse.db")
        self.state.migrate()
        self.tables = Tables(folder / "tables", self.state.url)
        self.releases = 0
        self.divisions: dict[int, str] = {}

    def put(self, right: Right, divisions: list[str], salt: int) -> None:
        """Make this the world."""
        self.divisions = dict(enumerate(divisions))
        self.values = {(row, name): value(row, name, salt) for row in self.divisions for name in TOLD}
        self.things.before = {}
        self.things.rows = {
            CODES[row]: {"uscc": CODES[row], "division": one, "holder": PERSON}
            | {name: self.values[row, name] for name in TOLD}
            for row, one in self.divisions.items()
        }
        self.town.config.grants.write_text(right.written(), "utf-8")
        self.town.desk.guesses.close()
        for left in self.town.config.meter.glob("guesses/*"):
            left.unlink()

    def in_warehouse(self) -> None:
        """Put the rows where SQL reads them."""
        schema = pa.schema([(name, pa.string()) for name in FIELDS])
        self.tables.ensure("base.things", schema)
        snapshot = self.tables.replace("base.things", pa.Table.from_pylist(list(self.things.rows.values()), schema))
        self.releases += 1
        self.state.commit_release(f"run-{self.releases}", {"base.things": self.tables.pin("base.things", snapshot)})

    def learned(self, texts: Iterable[str]) -> Learned:
        """The values that stand in these texts."""
        told = "\n".join(texts)
        return {place for place, one in self.values.items() if one in told}

    def ask(self, path: str, body: object = None, grant: str = "library", **headers: str) -> str:
        """An answer as text, whatever its form; a refusal too."""
        said = {"X-Grant": grant, "X-Matter": "%E5%8A%9E%E4%BA%8B", "X-Case": "1", **headers}
        sent: dict[str, object] = {"content": body} if isinstance(body, str) else {} if body is None else {"json": body}
        told = self.town.ask(path, "tax", "GET" if body is None else "POST", headers=said, **sent)
        if told.headers["content-type"].startswith("application/vnd.apache.arrow"):
            return str(pa.ipc.open_stream(told.content).read_all().to_pylist())
        return told.content.decode() if "json" not in told.headers["content-type"] else str(told.json())

    def close(self) -> None:
        self.town.desk.close()
        self.town.config.engine.dispose()
        self.state.close()
        self.tables.close()


def _get(world: World) -> Learned:
    paths = [f"/v1/libraries/things/records/{code}" for code in CODES]
    return world.learned(map(world.ask, paths))


def _post(world: World) -> Learned:
    return world.learned(
        world.ask("/v1/resources/dept.things/records", {"key": code}, "resource") for code in CODES
    )  # fmt: skip


def _batch(accept: str) -> Callable[[World], Learned]:
    def asked(world: World) -> Learned:
        return world.learned([world.ask("/v1/libraries/things/records:batch", {"keys": CODES}, accept=accept)])

    return asked


def _query(accept: str) -> Callable[[World], Learned]:
    def asked(world: World) -> Learned:
        sought = [{"equal": {"division": one}} for one in sorted(set(world.divisions.values()))]
        sought += [{"equal": {"holder": PERSON}}, {"prefix": {"uscc": CODES[0][:10]}}]
        where = "/v1/libraries/things/records:query"
        return world.learned(world.ask(where, one, accept=accept) for one in sought)

    return asked


def _profile(world: World) -> Learned:
    asked = [{"kind": "firm", "key": code} for code in CODES] + [{"kind": "person", "key": PERSON}]
    return world.learned(world.ask("/v1/profile", one) for one in asked)


def _form(world: World) -> Learned:
    codes = CODES[: len(world.divisions)]
    return world.learned(world.ask(f"/v1/forms/{name}:fill", {"key": code}) for name in TOLD for code in codes)


def _verify(world: World) -> Learned:
    """True claims, and one that is false: whatever is judged tells whether the value is that."""
    learned: Learned = set()
    for name in TOLD:
        for claim in (None, "别的"):
            said = {CODES[row]: claim or world.values[row, name] for row in world.divisions}
            subjects = [{"key": key, "claims": {name: one}} for key, one in said.items()]
            told = world.town.ask("/v1/libraries/things/records:verify", "tax", "POST", json={"subjects": subjects},
                                  headers={"X-Grant": "library"})  # fmt: skip
            assert not any(one in told.text for one in said.values())
            lines = enumerate(told.json().get("data", []))
            learned |= {(row, name) for row, line in lines if line["result"][name] != "unknown"}
    return learned


def _changes(world: World) -> Learned:
    world.things.number = 1
    begun = world.town.ask("/v1/libraries/things/changes", "tax", headers={"X-Grant": "library"}).json()
    world.things.number = 2
    texts = [str(begun)]
    if "cursor" in begun:
        texts.append(world.ask(f"/v1/libraries/things/changes?since={begun['cursor']}"))
    return world.learned(texts)


def _bulk(world: World) -> Learned:
    town = world.town
    told = town.ask("/v1/libraries/things/jobs", "tax", "POST", content="\n".join(CODES),
                    headers={"Content-Type": "text/csv", "X-Grant": "library"})  # fmt: skip
    if told.status_code != 202:
        return world.learned([told.text])
    worker = Worker(town.desk, JobStore(town.config.engine))

    async def work() -> None:
        while await worker.turn():
            pass

    asyncio.run(work())
    result = town.ask(f"/v1/jobs/{told.json()['job']['id']}/result", "tax")
    return world.learned([told.text, io.TextIOWrapper(io.BytesIO(result.content), "utf-8").read()])


def _sql(world: World) -> Learned:
    world.in_warehouse()
    grants = Grants(world.town.config.grants, {"things": THINGS}, {"dept.things": THINGS})
    subject = Subject("base.things", "base.things", "事物", "Things", THINGS.fields, grant="things")
    service = Analysts(world.state, world.tables, [subject], grants, answer)
    return world.learned([str(service.ask(Analyst("wang", "tax"), "SELECT * FROM base.things").rows.to_pylist())])


CHANNELS: dict[str, Callable[[World], Learned]] = {
    "get": _get,
    "post": _post,
    "batch": _batch("application/json"),
    "batch-csv": _batch("text/csv"),
    "batch-arrow": _batch("application/vnd.apache.arrow.stream"),
    "query": _query("application/json"),
    "query-csv": _query("text/csv"),
    "query-arrow": _query("application/vnd.apache.arrow.stream"),
    "profile": _profile,
    "form": _form,
    "verify": _verify,
    "changes": _changes,
    "bulk": _bulk,
    "sql": _sql,
}
CLAIMS = frozenset(("verify",))  # channels that tell what is so, and not what is recorded
