"""Grants 授权: which department may see which fields and rows of what, for which matter, until when, how often."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from schemas.errors import ShutongError, StandardError
from schemas.standard import Standard
from schemas.values import Json
from sharing.calls import SHANGHAI, today
from sharing.comparing import Plain, plain_of
from sharing.errors import MisconfiguredError, NoGrantError, SharingError
from sharing.grant_file import Grant, read
from sharing.grant_refusals import not_for_this
from sharing.grant_register import GrantRegister, granted
from sharing.grant_terms import grantable
from sharing.join_keys import JoinKeys
from sharing.masks import MASKS, PERSONAL_LEVEL, Mask, hide, mask_of

__all__ = ["PERSONAL_LEVEL", "Grants", "GrantsState", "Plan", "compile_plan", "mask_of"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A grant made ready: which fields to send, through which mask, of which rows; which to judge claims of."""

    grant: Grant
    steps: tuple[tuple[str, Mask | None], ...]
    rows: tuple[tuple[str, frozenset[str], tuple[str, ...]], ...]
    verify: Mapping[str, Plain] = field(default_factory=dict)

    @property
    def masked(self) -> tuple[str, ...]:
        """The fields this grant shows masked."""
        return tuple(name for name, mask in self.steps if mask is not None)

    def admits(self, record: Mapping[str, Json]) -> bool:
        """Whether the record is among the grant's rows; a null is in no list."""
        for name, values, prefixes in self.rows:
            value = record.get(name)
            text = "" if value is None else str(value)
            if value is None or not (text in values or text.startswith(prefixes)):
                return False
        return True

    def show(self, record: Mapping[str, Json], wanted: Sequence[tuple[str, Mask | None]]) -> dict[str, object]:
        """The `wanted` steps of this plan over a record: nothing else of it gets through."""
        told: dict[str, object] = {}
        get = record.get
        for name, mask in wanted:
            told[name] = mask(get(name)) if mask is not None else get(name)
        return told


_Plans = dict[tuple[str, str], tuple[Plan, ...]]


@dataclass(frozen=True, slots=True)
class GrantsState:
    """How grants stand: how many there are, and what is wrong with the file, or a grant of the database, now."""

    grants: int
    loaded_at: str | None
    problem: Mapping[str, Json] | None


class Grants:
    """The grants file and, where there is a `register`, the grants of the database, followed as they change.

    A broken file leaves the last good one in force and is reported by `state`; a file that is gone, or that was never
    good, grants nothing. `standards` gives the standard of each library and resource that may be named. `led`: whoever
    answers calls has `follow` called before each of them, so that none waits for the database in between. Without
    `join_keys` fields that are granted as join keys are hidden.
    """

    def __init__(
        self, path: Path, libraries: Mapping[str, Standard], resources: Mapping[str, Standard],
        register: GrantRegister | None = None, *, led: bool = False, join_keys: JoinKeys | None = None,
    ) -> None:  # fmt: skip
        self._path, self._libraries, self._resources = path, libraries, resources
        self._join_keys = join_keys
        for standard in (*libraries.values(), *resources.values()):
            _know_masks(standard)
        self._register, self._led, self._joining = register, led, threading.Lock()
        self._written: _Plans = {}
        self._approved: _Plans = {}
        self._plans: _Plans = {}
        self._signature: tuple[int, int, int] | None = (0, 0, 0)
        self._loaded_at: str | None = None
        self._problem: Mapping[str, Json] | None = None
        self._withheld: Mapping[str, Json] | None = None
        self._follow_file()

    def plan(
        self, department: str, subject: str, name: str | None = None, *, client: str | None = None,
        channel: str = "query",
    ) -> Plan:  # fmt: skip
        """The plan for a call: the grant of that name, else the first in force that it may use. Raises NoGrantError.

        `client` is the application that asks, `channel` how it asks (CHANNELS).
        """
        self._follow()
        plans = self._plans.get((department, subject), ())
        if name is not None:
            plans = tuple(plan for plan in plans if plan.grant.id == name)
        if not plans:
            raise NoGrantError.of(subject, name)
        day = today()
        for plan in plans:
            one = plan.grant
            if (
                day <= one.until
                and one.state == "active"
                and channel in one.channels
                and (one.client is None or one.client == client)
            ):
                return plan
        raise not_for_this(plans[-1].grant, day, channel)

    def of(self, department: str) -> list[Grant]:
        """The grants of a department, within each subject the file's first and in its order; revoked ones are gone."""
        self._follow()
        held = [plan.grant for (one, _), plans in self._plans.items() if one == department for plan in plans]
        return [one for one in held if one.state != "revoked"]

    def state(self) -> GrantsState:
        """What is in force, and the last problem with the file or the database's grants."""
        self._follow_file()
        return GrantsState(sum(map(len, self._plans.values())), self._loaded_at, self._problem or self._withheld)

    def due(self) -> bool:
        """Whether `follow` has something to look at."""
        return self._register is not None and self._register.due()

    @property
    def checked(self) -> float:
        """When the database was last looked at, in seconds of the monotonic clock."""
        return self._register.checked if self._register is not None else float("inf")

    def follow(self) -> None:
        """Look at the database's grants; raises SQLAlchemyError when it is silent. Safe in any thread."""
        if self._register is None:
            return
        if self._register.look():
            self._approve(self._register)
        self._register.settle()  # not before: a call that arrives meanwhile would go by the grants of before

    def close(self) -> None:
        """Let go of what is shared with other processes."""
        if self._register is not None:
            self._register.close()

    def _follow(self) -> None:
        if not self._led and self.due():
            self.follow()
        self._follow_file()

    def _approve(self, register: GrantRegister) -> None:
        """Make plans of the database's grants.

        One that the standards of today do not allow is withheld, and so is one that a newer version wrote.
        """
        known = {**self._resources, **self._libraries}
        plans: _Plans = {}
        self._withheld = None
        for one in register.grants:
            standard = known.get(one.subject)
            if standard is None:
                continue
            try:
                grant, terms = granted(one)
                grantable(terms, standard)
            except SharingError as error:
                self._withheld = {"grant": one.id, "code": error.code, "zh": error.zh, "en": error.en}
                continue
            except Exception as error:  # noqa: BLE001 whatever is wrong with one, the others are followed on
                name = type(error).__name__
                self._withheld = {"grant": one.id, "code": "SHR-GRANTS-UNREADABLE", "zh": name, "en": name}
                continue
            place = (grant.department, grant.subject)
            plans[place] = (*plans.get(place, ()), compile_plan(grant, standard, self._join_keys))
        self._approved = plans
        self._join()

    def _join(self) -> None:
        with self._joining:  # the file is followed in one thread, the database in another
            written, approved = self._written, self._approved
            self._plans = {one: (*written.get(one, ()), *approved.get(one, ())) for one in {**written, **approved}}

    def _follow_file(self) -> None:
        try:
            seen = self._path.stat()
            signature = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
        except OSError:
            signature = None
        if signature == self._signature:
            return
        self._signature = signature
        if signature is None:
            self._written, self._loaded_at = {}, None
            self._join()
        try:
            plans: _Plans = {}
            for grant, standard in read(self._path, self._libraries, self._resources):
                place = (grant.department, grant.subject)
                plans[place] = (*plans.get(place, ()), compile_plan(grant, standard, self._join_keys))
        except ShutongError as error:
            self._problem = _reported(error, self._path)
        except Exception as error:  # noqa: BLE001 whatever a file does to a parser, the last good grants stay in force
            self._problem = {"code": "SHR-GRANTS-UNREADABLE", "zh": type(error).__name__, "en": type(error).__name__}
        else:
            self._written, self._problem = plans, None
            self._loaded_at = datetime.now(SHANGHAI).isoformat(timespec="seconds")
            self._join()


def compile_plan(grant: Grant, standard: Standard, join_keys: JoinKeys | None = None) -> Plan:
    """The plan of a grant over its standard: personal fields go through their mask unless the grant clears them."""
    rows = tuple(
        (
            name,
            frozenset(value for value in allowed if not value.endswith("*")),
            tuple(value[:-1] for value in allowed if value.endswith("*")),
        )
        for name, allowed in grant.rows.items()
    )

    def step(name: str) -> Mask | None:
        one = standard.field(name)
        if name in grant.token:
            return join_keys.mask(grant.department, one) if join_keys is not None else hide
        return None if name in grant.clear else mask_of(one)

    verify = {name: plain_of(standard.field(name))[1] for name in grant.verify}
    return Plan(grant, tuple((name, step(name)) for name in grant.fields), rows, verify)


def _know_masks(standard: Standard) -> None:
    for one in standard.fields:
        if one.mask is not None and one.mask not in MASKS:
            raise MisconfiguredError(
                "SHR-MASK",
                zh=f"标准 {standard.id} 的字段 {one.name} 使用了未知的脱敏方式 {one.mask}",
                en=f"field {one.name} of {standard.id} names an unknown mask {one.mask}",
                fix_zh=f"可用：{'、'.join(MASKS)}",
                fix_en=f"Known: {', '.join(MASKS)}",
            )


def _reported(error: ShutongError, path: Path) -> Mapping[str, Json]:
    """The error for /healthz, which anybody may read: the file's name, not where it lies."""
    told = error.as_dict()
    words = ("zh", "en", "fix_zh", "fix_en")
    shown: dict[str, Json] = {"code": error.code, "file": path.name}
    shown |= {word: str(told[word]).replace(str(path), path.name) for word in words}
    return shown if isinstance(error, StandardError) else shown | {"fatal": True}
