"""Show a failing row's values as far as its reader may see them: by grant, by mask, or only their shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from quality.personal_numbers import masked
from quality.profile_shapes import shape
from quality.reports.values import Cell, Words
from runs.resources import Resource
from schemas.normalise import SENTINELS
from schemas.standard import Field
from schemas.validators.scalar import valid
from schemas.values import Json
from sharing.errors import NoGrantError
from sharing.grants import Grants, Plan, mask_of
from sharing.masks import id_number
from shutong.deployment import Deployment

_PLAIN = re.compile(r"[0-9.:/T+\s-]{1,25}")  # what a date, an amount or a code looks like
_NOTHING = frozenset(one.upper() for one in SENTINELS)  # what stands where nothing is known names nobody
_FEW_DIGITS = 8  # fewer than any telephone number with its area code has
_MEASURED = frozenset({"date", "datetime", "decimal", "integer", "boolean", "code", "capital"})
_FORM = frozenset({"understood", "code", "check_digit", "pattern"})
_SHIFTED = 3  # values of one row not in the form of their columns: they probably stand in the wrong ones


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: `plan` is the grant of a department (None: whoever works on this host); `everything` shows all.

    `owner` reads the rows of its own resources. Personal data is masked for everybody, unless the grant clears it.
    """

    today: date
    plan: Plan | None = None
    owner: bool = False
    everything: bool = False
    stranger: bool = False  # a department without a grant

    def admits(self, record: Mapping[str, Json]) -> bool:
        """Whether the record is among the rows that may be seen at all."""
        return not self.stranger and (self.plan is None or self.plan.admits(record))

    def cell(self, field: Field, value: str | None, *, hidden: bool, understood: bool = True) -> Cell:
        """A value as it may be seen; `hidden` where the row may be shifted, so that any column may hold a person."""
        name = Words(field.zh, field.en)
        if value is None or self.everything:
            return Cell(field.name, name, value or "", "clear")
        if not hidden and not understood and self._granted(field.name) and value.strip().upper() in _NOTHING:
            return Cell(field.name, name, value, "clear")
        if hidden or not self._granted(field.name) or not (understood or _harmless(field, value)):
            return Cell(field.name, name, shape(value), "shape")
        shown = self._masked(field, value)
        return Cell(field.name, name, shown, "clear" if shown == value else "masked")

    def _masked(self, field: Field, value: str) -> str:
        if self.plan is not None and field.name in self.plan.grant.clear:
            return value
        mask = mask_of(field)
        if mask is not None:
            return str(mask(value))
        if field.type in _MEASURED or valid("uscc", value, self.today):
            return value
        return masked(value, id_number)

    def _granted(self, field: str) -> bool:
        return self.plan is None or field in self.plan.grant.fields


def _harmless(field: Field, value: str) -> bool:
    """Whether a value that is none of its field may be told: what looks like a date or an amount names nobody."""
    few = sum(map(str.isdigit, value)) <= _FEW_DIGITS
    return mask_of(field) is None and few and _PLAIN.fullmatch(value) is not None


def misplaced(kinds: Iterable[str], reject: str | None) -> bool:
    """Whether values may stand in columns that are not theirs, given the kinds of the rules a row violates."""
    wrong = list(kinds)
    return reject is not None or "reject" in wrong or sum(one in _FORM for one in wrong) >= _SHIFTED


def readers(deployment: Deployment, department: str | None, today: date, *, everything: bool) -> Readers:
    """How each resource is seen by a department, or (None) by whoever works on this host."""
    if department is None:
        return Readers(today, None, None, everything)
    deployment.department(department)
    libraries = {one.standard.library: one.standard for one in deployment.resources if one.standard.library}
    resources = {one.id: one.standard for one in deployment.resources}
    grants = Grants(deployment.home / "grants.yaml", libraries, resources)
    return Readers(today, department, grants, everything)


@dataclass(frozen=True, slots=True)
class Readers:
    """The same reader before each resource."""

    today: date
    department: str | None
    grants: Grants | None
    everything: bool

    def of(self, resource: Resource) -> Reader:
        """The reader of that resource's rows."""
        if self.everything or self.grants is None or self.department is None:
            return Reader(self.today, everything=self.everything)
        if self.department == resource.department:
            return Reader(self.today, owner=True)
        for subject in (resource.id, resource.standard.library):
            if subject is not None:
                try:
                    return Reader(self.today, self.grants.plan(self.department, subject))
                except NoGrantError:
                    continue
        return Reader(self.today, stranger=True)
