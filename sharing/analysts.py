"""Answer analysts' SQL within their rights: views made from grants, every query recorded before its answer leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from quality.personal_numbers import masked
from schemas.errors import ShutongError
from schemas.standard import Field
from sharing.errors import MalformedError, NoGrantError
from sharing.grant_file import Grant
from sharing.grant_pace import Months, Pace, fresh
from sharing.grant_refusals import StaleError
from sharing.grants import Grants, mask_of
from sharing.ledger import Ledger
from sharing.masks import id_number
from sharing.quota import Quota
from sharing.sql_log import DONE, FAILED, QueryLog, digest
from sharing.sql_quota import Bill, cost
from warehouse import sql_errors
from warehouse.sql_query import Run, query
from warehouse.sql_reading import Asked, Named, read
from warehouse.sql_views import Keep, Shown, View
from warehouse.sql_worker import Limits
from warehouse.state import Release, State
from warehouse.tables import Tables

_MEASURED = frozenset({"date", "datetime", "decimal", "integer", "boolean", "code", "capital", "uscc", "org_code"})
_FEWEST_DIGITS = 11  # no number of a person has fewer


@dataclass(frozen=True, slots=True)
class Subject:
    """A table that may be asked: the `name` it is asked by, where it rests, and its fields.

    `grant` is what a grant for it names; `owner` the department whose own it is; `raw`: failed rows, whose values may
    stand in the wrong columns, so that they are seen whole or not at all.
    """

    name: str
    table: str
    zh: str
    en: str
    fields: tuple[Field, ...]
    grant: str | None = None
    owner: str | None = None
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Analyst:
    """Who asks: `department` asks by its grants and sees its own tables; None is whoever works on this host.

    Personal data is masked for everybody unless a grant clears it. `clear` shows everything, failed rows too, and is
    for a data manager, who must say why.
    """

    who: str
    department: str | None = None
    why: str = ""
    grant: str | None = None
    clear: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """A table the analyst may ask: how it is seen, which of its fields are masked, and by which grant."""

    subject: Subject
    view: View
    grant: Grant | None = None

    @property
    def fields(self) -> tuple[tuple[Field, bool], ...]:
        """Each field that is seen, and whether through a mask of its own."""
        known = {one.name: one for one in self.subject.fields}
        return tuple((known[one.name], one.mask not in {None, hide_numbers}) for one in self.view.shown)


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows and where they come from; `more`: there are more than the limit let through. `number` is the record's."""

    rows: pa.Table
    more: bool
    release: int | None
    released_at: str | None
    tables: Mapping[str, tuple[str, ...]]
    masked: tuple[str, ...]
    grants: tuple[str, ...]
    number: int
    digest: str
    seconds: float


def hide_numbers(value: object) -> object:
    """A text with the middle of every citizen's and mobile number in it starred; nothing else of it changes."""
    text = "" if value is None else str(value)
    if sum(map(str.isdigit, text)) < _FEWEST_DIGITS:
        return value
    return masked(text, id_number)


class Analysts:
    """The read-only SQL service over the newest release.

    `grants` is asked anew for every query, so that one that is revoked ends with the next; `run` says where SQL runs;
    `meter` is the folder of the calls over HTTP, with which queries share the grants' quotas.
    """

    def __init__(
        self, state: State, tables: Tables, subjects: Iterable[Subject], grants: Grants, run: Run | None = None, *,
        meter: Path | None = None,
    ) -> None:  # fmt: skip
        self._state, self._tables, self._grants, self._run = state, tables, grants, run
        self._subjects = {one.name: one for one in subjects}
        self.log = QueryLog(state.engine)
        records = (Ledger(meter), self.log) if meter is not None else ()
        self.quota = Quota(meter / "quota", *records) if meter is not None else None
        self._months, self._pace = Months(*records), Pace(meter / "pace") if meter is not None else None

    def offers(self, analyst: Analyst) -> list[Offer]:
        """Every table the analyst may ask now, by name."""
        found: list[Offer] = []
        for name in sorted(self._subjects):
            with suppress(NoGrantError, StaleError):
                offer = self._offer(analyst, self._subjects[name])
                found += [offer] if offer is not None else []
        return found

    def ask(self, analyst: Analyst, sql: str, limits: Limits | None = None, *, explain: bool = False) -> Answer:
        """The answer, recorded and counted.

        Raises NoGrantError, QuotaSpentError, WarehouseError (WH-SQL-…), or MalformedError without a reason.
        """
        if analyst.clear and not analyst.why.strip():
            raise _no_reason()
        begun = time.monotonic()
        number = self.log.begin(analyst.who, analyst.department, analyst.why, sql, clear=analyst.clear)
        bill = Bill(self.quota, self._months)
        try:
            answer = self._answer(analyst, sql, limits or Limits(), number, bill, explain=explain)
            self.log.end(number, DONE, answer.seconds, rows=answer.rows.num_rows, units=bill.units,
                         tables=answer.tables)  # fmt: skip
        except BaseException as error:
            code = error.code if isinstance(error, ShutongError) else type(error).__name__
            if code != FAILED:
                bill.give_back()
            self.log.end(number, code, time.monotonic() - begun, units=bill.units)
            raise
        return answer

    def _answer(self, analyst: Analyst, sql: str, limits: Limits, number: int, bill: Bill, *, explain: bool) -> Answer:
        begun = time.monotonic()
        asked = read(sql, lambda: (one.subject.name for one in self.offers(analyst)))
        release = self._state.release()
        offers = [self._named(analyst, asked, one) for one in asked.tables]
        used = [one.grant for one in offers if one.grant is not None]
        if self._pace is not None:
            for each in {one.id: one for one in used}.values():
                self._pace.take(each)
        grants, matters = tuple(dict.fromkeys(one.id for one in used)), [one.matter for one in used]
        purpose = "；".join(dict.fromkeys([*([analyst.why] if analyst.why else []), *matters]))
        views = [one.view for one in offers]
        self.log.allow(number, [one.name for one in views], grants, purpose, release.id if release else None)
        bill.take(used, 1)
        rows = query(self._tables, release, asked, views, limits, explain=explain, run=self._run)
        bill.take(used, cost(rows.table) - 1)
        return Answer(
            rows=rows.table,
            more=rows.more,
            release=release.id if release else None,
            released_at=release.created_at if release else None,
            tables=rows.read,
            masked=_masked(offers, rows.read),
            grants=grants,
            number=number,
            digest=digest(sql),
            seconds=round(time.monotonic() - begun, 3),
        )

    def _named(self, analyst: Analyst, asked: Asked, named: Named) -> Offer:
        subject = self._subjects.get(named.name)
        offer = self._offer(analyst, subject) if subject is not None else None
        if offer is None:
            near = get_close_matches(named.name, [one.subject.name for one in self.offers(analyst)], n=3)
            raise sql_errors.no_table(asked.sql, named.name, named.at, near)
        return offer

    def _offer(self, analyst: Analyst, subject: Subject) -> Offer | None:
        """The table as this analyst sees it; None where no grant could be given for it. Raises NoGrantError."""
        if analyst.clear:
            return Offer(subject, View(subject.name, subject.table, tuple(Shown(one.name) for one in subject.fields)))
        if subject.raw:
            return None
        if analyst.department is None or analyst.department == subject.owner:
            shown = tuple(Shown(one.name, _usual(one)) for one in subject.fields)
            return Offer(subject, View(subject.name, subject.table, shown))
        if subject.grant is None:
            return None
        named = self._chosen(analyst, subject.grant)
        plan = self._grants.plan(analyst.department, subject.grant, named, channel="sql")
        fresh(plan.grant, {})  # what a query reads has no one age, so a condition on it cannot hold
        shown = tuple(Shown(name, mask) for name, mask in plan.steps)
        keep = tuple(Keep(field, tuple(sorted(values)), prefixes) for field, values, prefixes in plan.rows)
        return Offer(subject, View(subject.name, subject.table, shown, keep), plan.grant)

    def _chosen(self, analyst: Analyst, subject: str) -> str | None:
        """The grant the analyst named, where it is one for this table: a query may read others by other grants."""
        if analyst.grant is None or analyst.department is None:
            return None
        held = [one for one in self._grants.of(analyst.department) if one.id == analyst.grant]
        return analyst.grant if not held or held[0].subject == subject else None


def _usual(field: Field) -> Callable[[object], object] | None:
    """How a field is seen without a grant: masked, and in free text the numbers of persons."""
    mask = mask_of(field)
    return mask if mask is not None or field.type in _MEASURED else hide_numbers


def _masked(offers: Sequence[Offer], used: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(
        f"{one.subject.name}.{field.name}"
        for one in offers
        for field, hidden in one.fields
        if hidden and field.name in used[one.subject.name]
    )


def released(release: Release | None, subject: Subject) -> bool:
    """Whether there is anything to be asked of the table yet."""
    return release is not None and subject.table in release.tables


def _no_reason() -> MalformedError:
    return MalformedError(
        "SHR-SQL-WHY",
        zh="查看未脱敏的内容须写明理由",
        en="whoever sees what is not masked must say why",
        fix_zh="加上 --why “事项与依据”，理由随查询一起留存",
        fix_en="Add --why with the matter and its legal basis; it is kept with the record of the query",
    )
