"""Grants 授权: which department may see which fields and rows of what, for which matter, until when, how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from schemas.errors import ShutongError, StandardError
from schemas.standard import Standard
from schemas.values import Json
from sharing.calls import SHANGHAI, today
from sharing.errors import MisconfiguredError, NoGrantError
from sharing.grant_file import Grant, read
from sharing.masks import MASKS, PERSONAL_LEVEL, Mask, mask_of

__all__ = ["PERSONAL_LEVEL", "Grants", "GrantsState", "Plan", "compile_plan", "mask_of"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A grant made ready: which fields to send, through which mask, of which rows."""

    grant: Grant
    steps: tuple[tuple[str, Mask | None], ...]
    rows: tuple[tuple[str, frozenset[str], tuple[str, ...]], ...]

    @property
    def masked(self) -> tuple[str, ...]:
        """The fields this grant shows masked."""
        return tuple(name for name, mask in self.steps if mask is not None)

    def admits(self, record: Mapping[str, Json]) -> bool:
        """Whether the record is among the grant's rows; a null is in no list."""
        for field, values, prefixes in self.rows:
            value = record.get(field)
            text = "" if value is None else str(value)
            if value is None or not (text in values or text.startswith(prefixes)):
                return False
        return True

    def show(self, record: Mapping[str, Json], wanted: Sequence[tuple[str, Mask | None]]) -> dict[str, object]:
        """The `wanted` steps of this plan over a record: nothing else of it gets through."""
        return {name: mask(record.get(name)) if mask else record.get(name) for name, mask in wanted}


@dataclass(frozen=True, slots=True)
class GrantsState:
    """How the grants file stands: what is in force and what is wrong with the file now."""

    grants: int
    loaded_at: str | None
    problem: Mapping[str, Json] | None


class Grants:
    """The grants file, followed as it changes.

    A broken file leaves the last good one in force and is reported by `state`; a file that is gone, or that was never
    good, grants nothing. `standards` gives the standard of each library and resource that may be named.
    """

    def __init__(self, path: Path, libraries: Mapping[str, Standard], resources: Mapping[str, Standard]) -> None:
        self._path, self._libraries, self._resources = path, libraries, resources
        for standard in (*libraries.values(), *resources.values()):
            _know_masks(standard)
        self._plans: dict[tuple[str, str], tuple[Plan, ...]] = {}
        self._signature: tuple[int, int, int] | None = (0, 0, 0)
        self._loaded_at: str | None = None
        self._problem: Mapping[str, Json] | None = None
        self._follow()

    def plan(self, department: str, subject: str, name: str | None = None) -> Plan:
        """The plan for a call: the grant of that name, else the first that is still in force. Raises NoGrantError."""
        self._follow()
        plans = self._plans.get((department, subject), ())
        if name is not None:
            plans = tuple(plan for plan in plans if plan.grant.id == name)
        if not plans:
            raise NoGrantError.of(subject, name)
        day = today()
        for plan in plans:
            if day <= plan.grant.until:
                return plan
        raise NoGrantError.expired(plans[-1].grant.id, plans[-1].grant.until)

    def of(self, department: str) -> list[Grant]:
        """All grants of a department, in the file's order within each subject, expired ones included."""
        self._follow()
        return [plan.grant for (one, _), plans in self._plans.items() if one == department for plan in plans]

    def state(self) -> GrantsState:
        """What is in force, and the last problem with the file."""
        self._follow()
        return GrantsState(sum(map(len, self._plans.values())), self._loaded_at, self._problem)

    def _follow(self) -> None:
        try:
            seen = self._path.stat()
            signature = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
        except OSError:
            signature = None
        if signature == self._signature:
            return
        self._signature = signature
        if signature is None:
            self._plans, self._loaded_at = {}, None
        try:
            plans: dict[tuple[str, str], tuple[Plan, ...]] = {}
            for grant, standard in read(self._path, self._libraries, self._resources):
                place = (grant.department, grant.subject)
                plans[place] = (*plans.get(place, ()), compile_plan(grant, standard))
        except ShutongError as error:
            self._problem = _reported(error, self._path)
        except Exception as error:  # noqa: BLE001 whatever a file does to a parser, the last good grants stay in force
            self._problem = {"code": "SHR-GRANTS-UNREADABLE", "zh": type(error).__name__, "en": type(error).__name__}
        else:
            self._plans, self._problem = plans, None
            self._loaded_at = datetime.now(SHANGHAI).isoformat(timespec="seconds")


def compile_plan(grant: Grant, standard: Standard) -> Plan:
    """The plan of a grant over its standard: personal fields go through their mask unless the grant clears them."""
    rows = tuple(
        (
            field,
            frozenset(value for value in allowed if not value.endswith("*")),
            tuple(value[:-1] for value in allowed if value.endswith("*")),
        )
        for field, allowed in grant.rows.items()
    )
    steps = tuple((name, None if name in grant.clear else mask_of(standard.field(name))) for name in grant.fields)
    return Plan(grant, steps, rows)


def _know_masks(standard: Standard) -> None:
    for field in standard.fields:
        if field.mask is not None and field.mask not in MASKS:
            raise MisconfiguredError(
                "SHR-MASK",
                zh=f"标准 {standard.id} 的字段 {field.name} 使用了未知的脱敏方式 {field.mask}",
                en=f"field {field.name} of {standard.id} names an unknown mask {field.mask}",
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
