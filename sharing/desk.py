"""Answer one call: who asks, under which grant, within which quota, and what of the record they may see."""

from __future__ import annotations

import asyncio
import hmac
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy.exc import SQLAlchemyError

from schemas.errors import ShutongError
from schemas.validators import scalar
from schemas.values import Json
from sharing.asked import Heard
from sharing.call_refusals import MatterError
from sharing.callers import Caller, Callers
from sharing.calls import SHANGHAI, Call
from sharing.catalog import Library, Paged, Published, SharingConfig
from sharing.errors import (
    FieldNotGrantedError,
    InternalError,
    MalformedError,
    MisconfiguredError,
    NoGrantError,
    NotFoundError,
    QuotaSpentError,
    UnavailableError,
)
from sharing.grant_pace import Months, Pace, fresh
from sharing.grant_refusals import month_spent
from sharing.grant_register import BUMP_FILE, GrantRegister
from sharing.grants import Grants, Plan
from sharing.ledger import Ledger
from sharing.masks import Mask
from sharing.meter import Meter
from sharing.once import Once
from sharing.problems import Answer
from sharing.quota import Quota
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.repeats import Repeats
from sharing.seeking import Marks, Sought
from sharing.shown import Shown
from sharing.sql_log import QueryLog
from warehouse.errors import WarehouseError

LONGEST_KEY: Final = 200
LARGEST_BATCH: Final = 1000
SHORTEST_SECRET: Final = 32
_KINDS = {
    "uscc": ("统一社会信用代码", "unified social credit code"),
    "citizen_id": ("公民身份号码", "citizen identity number"),
}


@dataclass(slots=True)
class Visit:
    """One call on its way through: its record so far, the caller, and the plan whose quota it has used.

    `paid` units were counted when the caller sent it before.
    """

    call: Call
    caller: Caller | None = None
    charged: Plan | None = None
    heard: Heard | None = None
    paid: int = 0
    began: int = field(default_factory=time.perf_counter_ns)


@dataclass(frozen=True, slots=True)
class Target:
    """What a call asks: the library or the served resource of that name."""

    name: str
    library: Library


class Desk:
    """The sharing service without HTTP: everything a process needs to answer calls on one event loop."""

    def __init__(self, config: SharingConfig) -> None:
        if len(config.secret) < SHORTEST_SECRET:
            raise MisconfiguredError(
                "SHR-SECRET",
                zh="计量密钥少于 32 字节",
                en="the metering secret is shorter than 32 bytes",
                fix_zh="重新生成部署的密钥文件",
                fix_en="Generate the deployment's secret anew",
            )
        self.config = config
        self.callers = Callers(config.engine, config.secret, config.meter / "signed", config.trust)
        self.keys = self.callers.keys
        self.grants = Grants(
            config.grants,
            {name: library.standard for name, library in config.libraries.items()},
            {entry.resource: entry.standard for entry in config.catalog}
            | {name: library.standard for name, library in config.served.items()},
            GrantRegister(config.engine, config.meter / BUMP_FILE) if config.applications is not None else None,
            led=True,
        )
        self.meter = Meter(config.meter, config.segment_bytes)
        self.ledger = Ledger(config.meter)
        self.receipts = ReceiptKeys(config.meter / FILE, config.secret)
        queries = QueryLog(config.engine)
        self.quota = Quota(config.meter / "quota", self.ledger, queries)
        self.once = Once(Repeats(config.meter / "repeats", self.ledger))
        self.months, self._pace = Months(self.ledger, queries), Pace(config.meter / "pace")
        self._following: asyncio.Future[None] | None = None
        self._marks = Marks(config.secret)

    def close(self) -> None:
        """Seal the ledger's segment and let go of files."""
        self.meter.close()
        self.quota.close()
        self.once.close()
        self._pace.close()
        self.grants.close()

    async def follow(self) -> None:
        """Know every change of grants made before this call. Raises UnavailableError when that cannot be known.

        A look that began before the call arrived may have missed what the caller has seen done: then it is done again.
        """
        arrived = time.monotonic()
        while self.grants.due() and self.grants.checked < arrived:
            looking = self._following
            if looking is None or looking.done():
                looking = self._following = asyncio.ensure_future(asyncio.to_thread(self.grants.follow))
            try:
                await asyncio.shield(looking)
            except (SQLAlchemyError, WarehouseError) as error:
                raise UnavailableError.state() from error

    async def identify(self, visit: Visit, shown: Shown) -> Caller:
        """Who calls, by what the request shows. Raises what Callers.of does."""
        found = await self.callers.of(shown)
        visit.caller, visit.call.department, visit.call.key_id = found, found.department, found.key_id
        visit.call.app = found.client
        return found

    async def numbered(self, visit: Visit) -> None:
        """Take the caller's own number of the call, if it has one: what was counted under it today is paid for.

        Raises RepeatedError, UnderWayError; UnavailableError when it cannot be known.
        """
        call = visit.call
        if call.client_id is not None and visit.heard is not None:
            call.request = self.keyed(visit.heard.hash)
            first = await self.once.begin(call)
            if first is not None:
                call.repeats, visit.paid = first.id, first.units

    def keyed(self, told: bytes | None) -> str | None:
        """A hash as the ledger keeps it, HMAC-SHA256 in hexadecimal: nobody can try out persons' keys on it."""
        return hmac.digest(self.config.secret, told, "sha256").hex() if told is not None else None

    def forget_keys(self) -> None:
        """Ask the state database again for every key from the next call on."""
        self.callers.forget()

    def library(self, visit: Visit, name: str) -> Target:
        """The library of that name. Raises NotFoundError."""
        library = self.config.libraries.get(name)
        if library is None:
            raise NotFoundError.library(name)
        visit.call.library = name
        return Target(name, library)

    def served(self, visit: Visit, name: str) -> Target:
        """The served resource of that name. Raises NotFoundError."""
        library = self.config.served.get(name)
        if library is None:
            raise NotFoundError.unserved(name)
        visit.call.resource = name
        return Target(name, library)

    def one(self, visit: Visit, target: Target, key: str, wanted: Sequence[str] | None, grant: str | None) -> Answer:
        """The record under `key` as the caller's grant shows it; `wanted` None is every granted field."""
        name, library = target.name, target.library
        kind = _kind(library)
        well_formed = _well_formed(kind, key)
        visit.call.key = self._recorded(library, key, well_formed=well_formed)
        plan = self._plan(visit, name, grant)
        steps = _steps(plan, wanted)
        if not well_formed:
            raise MalformedError.key(*_KINDS.get(kind, ("键", "key")))
        self._charge(visit, plan, 1)
        published, record = self._read(name, library, key)
        fresh(plan.grant, published.freshness)
        if record is None or not plan.admits(record):
            raise NotFoundError.record(name)
        return _answer(visit, plan, steps, published, plan.show(record, steps))

    def many(
        self, visit: Visit, target: Target, keys: Sequence[str], wanted: Sequence[str] | None, grant: str | None
    ) -> Answer:
        """The records under up to 1,000 keys, in the order asked; a key costs one unit whether found or not."""
        name, library = target.name, target.library
        kind = _kind(library)
        formed = [_well_formed(kind, key) for key in keys]
        visit.call.keys = [self._recorded(library, key, well_formed=ok) for key, ok in zip(keys, formed, strict=True)]
        plan = self._plan(visit, name, grant, "batch")
        steps = _steps(plan, wanted)
        for place, ok in enumerate(formed, 1):
            if not ok:
                raise MalformedError.key(*_KINDS.get(kind, ("键", "key")), place=place)
        self._charge(visit, plan, len(keys))
        published, records = self._read_many(name, library, keys)
        fresh(plan.grant, published.freshness)
        data: list[dict[str, object]] = []
        for key in keys:
            record = records.get(key)
            found = record is not None and plan.admits(record)
            data.append({"key": key, "found": found, "record": plan.show(record, steps) if found and record else None})
        return _answer(visit, plan, steps, published, data)

    async def page(
        self, visit: Visit, target: Target, sought: Sought, wanted: Sequence[str] | None, grant: str | None
    ) -> Answer:
        """A page of the records sought, of the grant's rows; each costs one unit, an empty page one too."""
        name, library = target.name, target.library
        visit.call.key = self._hidden(sought.said)
        plan = self._plan(visit, name, grant)
        steps = _steps(plan, wanted)
        sought.allowed_by(plan)
        about = orjson.dumps([plan.grant.department, name, plan.grant.id, sought.said.decode()])
        after = self._marks.opened(sought.after, about) if sought.after is not None else None
        self._charge(visit, plan, 1)
        published, found = await self._read_page(visit, target, replace(sought, after=after), plan)
        fresh(plan.grant, published.freshness)
        self._charge(visit, plan, max(0, len(found.records) - 1))
        keys = [str(one[library.key_field]) for one in found.records]
        visit.call.keys = [self._recorded(library, key, well_formed=_well_formed(_kind(library), key)) for key in keys]
        data = [plan.show(one, steps) for one in found.records]
        mark = self._marks.sealed(found.after, about) if found.after else None
        return _answer(visit, plan, steps, published, data, after=mark)

    def give_back(self, visit: Visit) -> None:
        """Undo the charge of a call that could not be answered."""
        plan, visit.charged = visit.charged, None
        if plan is not None and (plan.grant.per_day is not None or plan.grant.per_month is not None):
            self.quota.give_back(plan.grant.department, plan.grant.id, visit.call.units, visit.call.day)
        visit.call.units = 0

    def _plan(self, visit: Visit, subject: str, name: str | None, channel: str = "query") -> Plan:
        if visit.caller is None:
            raise NoGrantError.of(subject)
        caller = visit.caller
        plan = self.grants.plan(caller.department, subject, name, client=caller.client, channel=channel)
        call, grant = visit.call, plan.grant
        call.grant, call.matter, call.basis = grant.id, grant.matter, grant.basis
        if call.matter_asked not in {None, grant.matter}:
            raise MatterError.of(grant.id, grant.matter)
        return plan

    def _charge(self, visit: Visit, plan: Plan, units: int) -> None:
        """So many units more; where they do not fit, those of the call before are given back."""
        quota, day = self.quota, visit.call.day
        if visit.charged is None:
            self._pace.take(plan.grant)
        free = min(units, visit.paid)
        visit.paid, units = visit.paid - free, units - free
        try:
            grant = self.months.limited(plan.grant, day) if units else plan.grant
            if (
                units
                and grant.per_day is not None
                and quota.take(grant.department, grant.id, grant.per_day, units, day) is None
            ):
                self.give_back(visit)
                left = max(0, grant.per_day - quota.used(grant.department, grant.id, day))
                if grant.per_month is not None and grant.per_day != plan.grant.per_day:
                    raise month_spent(grant.id, grant.per_month, left)
                raise QuotaSpentError.of(grant.id, grant.per_day, left)
        except (SQLAlchemyError, WarehouseError) as error:
            # A counter that was lost is counted again, queries in SQL too.
            raise UnavailableError.state() from error
        visit.charged, visit.call.units = plan, visit.call.units + units

    async def _read_page(self, visit: Visit, target: Target, sought: Sought, plan: Plan) -> tuple[Published, Paged]:
        """In a thread: a page looks at many records, and the other calls do not wait for it."""
        records = target.library.records

        def read() -> tuple[Published, Paged]:
            while True:
                published = records.info()
                found = records.page(sought.equal, prefix=sought.prefix, limit=sought.limit, after=sought.after,
                                     keep=plan.admits)  # fmt: skip
                if records.info().id == published.id:
                    return published, found

        try:
            return await asyncio.to_thread(read)
        except ShutongError as error:
            if error.code == "WH-NOT-INDEXED":
                self.give_back(visit)
                raise MalformedError.not_indexed(target.name) from error
            raise (UnavailableError.store(target.name) if error.retryable else InternalError.of()) from error

    def _read(self, name: str, library: Library, key: str) -> tuple[Published, Mapping[str, Json] | None]:
        try:
            while True:
                published = library.records.info()
                record = library.records.get(key)
                # The library may have been published anew in between: an answer comes from one generation.
                if library.records.info().id == published.id:
                    return published, record
        except ShutongError as error:
            raise (UnavailableError.store(name) if error.retryable else InternalError.of()) from error

    def _read_many(
        self, name: str, library: Library, keys: Sequence[str]
    ) -> tuple[Published, Mapping[str, Mapping[str, Json]]]:
        try:
            while True:
                published = library.records.info()
                records = library.records.get_many(keys)
                if library.records.info().id == published.id:
                    return published, records
        except ShutongError as error:
            raise (UnavailableError.store(name) if error.retryable else InternalError.of()) from error

    def _recorded(self, library: Library, key: str, *, well_formed: bool) -> str:
        """A key as the ledger keeps it: in clear only when it is certain to name a firm and not a person."""
        if not library.personal and well_formed and _kind(library) == "uscc":
            return key
        return self._hidden(key.encode("utf-8", "surrogatepass"))

    def _hidden(self, told: bytes) -> str:
        return "hmac:" + hmac.digest(self.config.secret, told, "sha256").hex()


def _kind(library: Library) -> str:
    return library.standard.field(library.key_field).type


def _well_formed(kind: str, key: str) -> bool:
    if kind in _KINDS:
        return scalar.valid(kind, key, datetime.now(SHANGHAI).date())
    return 0 < len(key) <= LONGEST_KEY and not any(unicodedata.category(c) in {"Cc", "Cs"} for c in key)


def _steps(plan: Plan, wanted: Sequence[str] | None) -> Sequence[tuple[str, Mask | None]]:
    if wanted is None:
        return plan.steps
    granted = dict(plan.steps)
    for name in wanted:
        if name not in granted:
            raise FieldNotGrantedError.of(name, plan.grant.id)
    return [(name, granted[name]) for name in dict.fromkeys(wanted)]


def _answer(
    visit: Visit,
    plan: Plan,
    steps: Sequence[tuple[str, Mask | None]],
    published: Published,
    data: Mapping[str, object] | Sequence[Mapping[str, object]],
    *,
    after: str | None = None,
) -> Answer:
    page = visit.call.operation == "query"
    visit.call.names, visit.call.generation = [name for name, _ in steps], published.id
    told = {
        "data": data,
        **({"after": after} if page else {}),
        "masked": [field for field, mask in steps if mask is not None],
        **({"resource": visit.call.resource} if visit.call.resource else {"library": visit.call.library}),
        "grant": plan.grant.id,
        "generation": published.id,
        "published_at": published.published_at,
        "freshness": published.freshness,
        "request_id": visit.call.id,
    }
    records = 1 if isinstance(data, Mapping) else sum(1 for line in data if page or line["found"])
    return Answer(200, orjson.dumps(told, default=str), fields=len(steps) * records)
