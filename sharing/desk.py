"""Answer one call: who asks, under which grant, within which quota, and what of the record they may see."""

from __future__ import annotations

import asyncio
import hmac
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from schemas.errors import ShutongError
from schemas.validators import scalar
from schemas.values import Json
from sharing.asked import Heard
from sharing.call_refusals import MatterError
from sharing.callers import Caller, Callers
from sharing.calls import Call, this_date
from sharing.catalog import Library, Published, SharingConfig
from sharing.errors import (
    InternalError,
    MisconfiguredError,
    NoGrantError,
    NotFoundError,
    QuotaSpentError,
    UnavailableError,
)
from sharing.grant_pace import Months, Pace
from sharing.grant_refusals import month_spent
from sharing.grant_register import BUMP_FILE, GrantRegister
from sharing.grants import Grants, Plan
from sharing.guessing import Guesses
from sharing.join_keys import JoinKeys
from sharing.ledger import Ledger
from sharing.meter import Meter
from sharing.once import Once
from sharing.quota import Quota
from sharing.receipt_keys import FILE, ReceiptKeys
from sharing.repeats import Repeats
from sharing.seeking import Marks
from sharing.shown import Shown
from sharing.sql_log import QueryLog
from warehouse.errors import WarehouseError

LONGEST_KEY: Final = 200
SHORTEST_SECRET: Final = 32
KINDS: Final = {  # of keys that carry check digits, in both languages
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
    parts: list[Visit] = field(default_factory=list)

    def part(self) -> Visit:
        """A call within this one, for what it asks of one library: charged and recorded by itself, answered with it."""
        whole = self.call
        call = replace(Call.begin(), at=whole.at, department=whole.department, key_id=whole.key_id, app=whole.app,
                       operation=whole.operation, case=whole.case, matter_asked=whole.matter_asked,
                       client_id=whole.client_id, repeats=whole.repeats, family=whole.id)  # fmt: skip
        part = Visit(call, self.caller)
        self.parts.append(part)
        return part


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
        self.config, self._keyed = config, hmac.new(config.secret, digestmod="sha256")
        self.callers = Callers(config.engine, config.secret, config.meter / "signed", config.trust)
        self.keys = self.callers.keys
        self.grants = Grants(
            config.grants,
            {name: library.standard for name, library in config.libraries.items()},
            {entry.resource: entry.standard for entry in config.catalog}
            | {name: library.standard for name, library in config.served.items()},
            GrantRegister(config.engine, config.meter / BUMP_FILE) if config.applications is not None else None,
            led=True,
            join_keys=JoinKeys(config.secret),
        )
        self.meter = Meter(config.meter, config.segment_bytes)
        self.ledger = Ledger(config.meter)
        self.receipts = ReceiptKeys(config.meter / FILE, config.secret)
        queries = QueryLog(config.engine)
        self.quota = Quota(config.meter / "quota", self.ledger, queries)
        self.once = Once(Repeats(config.meter / "repeats", self.ledger))
        self.guesses = Guesses(config.meter / "guesses", self.ledger, config.secret, most=config.claims)
        self.months, self._pace = Months(self.ledger, queries), Pace(config.meter / "pace")
        self._following: asyncio.Future[None] | None = None
        self.marks = Marks(config.secret)

    def close(self) -> None:
        """Seal the ledger's segment and let go of files."""
        self.meter.close()
        self.quota.close()
        self.once.close()
        self.guesses.close()
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
        if told is None:
            return None
        hashed = self._keyed.copy()  # half the cost of beginning with the secret each time
        hashed.update(told)
        return hashed.hexdigest()

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

    def give_back(self, visit: Visit) -> None:
        """Undo the charge of a call that could not be answered."""
        plan, visit.charged = visit.charged, None
        if plan is not None and (plan.grant.per_day is not None or plan.grant.per_month is not None):
            self.quota.give_back(plan.grant.department, plan.grant.id, visit.call.units, visit.call.day)
        visit.call.units = 0

    def plan(self, visit: Visit, subject: str, name: str | None, channel: str = "query") -> Plan:
        """The plan a call over that channel is answered by, noted in it. Raises NoGrantError, MatterError."""
        if visit.caller is None:
            raise NoGrantError.of(subject)
        caller = visit.caller
        plan = self.grants.plan(caller.department, subject, name, client=caller.client, channel=channel)
        call, grant = visit.call, plan.grant
        call.grant, call.matter, call.basis = grant.id, grant.matter, grant.basis
        if call.matter_asked not in {None, grant.matter}:
            raise MatterError.of(grant.id, grant.matter)
        return plan

    def charge(self, visit: Visit, plan: Plan, units: int) -> None:
        """So many units more; where they do not fit, those of the call before are given back.

        Raises PaceError, QuotaSpentError; UnavailableError when what was used cannot be known.
        """
        quota, day = self.quota, visit.call.day
        free = min(units, visit.paid)
        visit.paid, units = visit.paid - free, units - free
        try:
            if visit.charged is None:
                self._pace.take(plan.grant)
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
        except (SQLAlchemyError, WarehouseError, OSError) as error:
            # A counter that was lost is counted again, queries in SQL too; a full disk has no room for a new one.
            raise UnavailableError.state() from error
        visit.charged, visit.call.units = plan, visit.call.units + units

    def read(self, target: Target, key: str) -> tuple[Published, Mapping[str, Json] | None]:
        """The record under a key and the generation it is of. Raises UnavailableError, InternalError."""
        library = target.library
        try:
            while True:
                published = library.records.info()
                record = library.records.get(key)
                # The library may have been published anew in between: an answer comes from one generation.
                if library.records.info().id == published.id:
                    return published, record
        except ShutongError as error:
            raise (UnavailableError.store(target.name) if error.retryable else InternalError.of()) from error

    def read_many(self, target: Target, keys: Sequence[str]) -> tuple[Published, Mapping[str, Mapping[str, Json]]]:
        """The records found under keys, by key, all of one generation. Raises UnavailableError, InternalError."""
        library = target.library
        try:
            while True:
                published = library.records.info()
                records = library.records.get_many(keys)
                if library.records.info().id == published.id:
                    return published, records
        except ShutongError as error:
            raise (UnavailableError.store(target.name) if error.retryable else InternalError.of()) from error

    def recorded(self, library: Library, key: str, *, well_formed: bool) -> str:
        """A key as the ledger keeps it: in clear only when it is certain to name a firm and not a person."""
        if not library.personal and well_formed and kind_of(library) == "uscc":
            return key
        return self.hidden(key.encode("utf-8", "surrogatepass"))

    def hidden(self, told: bytes) -> str:
        """A text as the ledger keeps it where it might be a person's: HMAC-SHA256 under the deployment's secret."""
        return "hmac:" + hmac.digest(self.config.secret, told, "sha256").hex()


def kind_of(library: Library) -> str:
    """The type of the library's key: `uscc`, `citizen_id` or another."""
    return library.standard.field(library.key_field).type


def well_formed(kind: str, key: str) -> bool:
    """Whether a key can be one of that kind."""
    if kind in KINDS:
        return scalar.valid(kind, key, this_date())
    return 0 < len(key) <= LONGEST_KEY and not any(unicodedata.category(c) in {"Cc", "Cs"} for c in key)
