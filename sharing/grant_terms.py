"""What a grant lets its holder do 授权内容: fields, rows, channels, quotas, conditions and last day, as one value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final, cast

from schemas.standard import Field, Standard
from schemas.values import Json
from sharing.application_refusals import never_shared, wrong_terms
from sharing.grant_file import CHANNELS, VERIFY_ONLY
from sharing.masks import mask_of

MOST: Final = 10**12  # of a quota: beyond it is a slip of the pen
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_LATER = frozenset(("verify", "token"))  # grants of before do not say them
_KEYS = _LATER | {
    "fields", "until", "clear", "find", "rows", "channels", "per_day", "per_month", "per_second", "fresh_within",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked for, or granted.

    `clear` are fields shown unmasked, `find` fields records may be sought by, `verify` fields of which claims are
    judged, seen or not, `token` fields shown as join keys; `rows` maps a field to whole values or
    prefixes ending in `*`; `until` is the last day, ISO 8601; quotas count keys asked for and records delivered (a
    second: calls), None is no limit. `fresh_within` (`24h`): no answer from data that is older.
    """

    fields: tuple[str, ...]
    until: str
    clear: frozenset[str] = frozenset()
    find: frozenset[str] = frozenset()
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    channels: frozenset[str] = frozenset(("query", "batch"))
    per_day: int | None = None
    per_month: int | None = None
    per_second: int | None = None
    fresh_within: str | None = None
    verify: frozenset[str] = frozenset()
    token: frozenset[str] = frozenset()

    def as_json(self) -> dict[str, Json]:
        """As it is stored and shown."""
        return {
            "fields": list(self.fields),
            "until": self.until,
            "clear": _json(self.clear),
            "find": _json(self.find),
            "rows": {name: list(values) for name, values in self.rows.items()},
            "channels": _json(self.channels),
            "per_day": self.per_day,
            "per_month": self.per_month,
            "per_second": self.per_second,
            "fresh_within": self.fresh_within,
            "verify": _json(self.verify),
            "token": _json(self.token),
        }


def from_json(told: Mapping[str, Json]) -> Terms:
    """What `as_json` wrote; raises KeyError, TypeError or ValueError for anything else."""
    if set(told) | _LATER != _KEYS:
        raise ValueError(sorted(told))
    rows = cast("Mapping[str, list[str]]", told["rows"])
    return Terms(
        fields=tuple(cast("list[str]", told["fields"])),
        until=str(told["until"]),
        clear=frozenset(cast("list[str]", told["clear"])),
        find=frozenset(cast("list[str]", told["find"])),
        rows={name: tuple(values) for name, values in rows.items()},
        channels=frozenset(cast("list[str]", told["channels"])),
        per_day=cast("int | None", told["per_day"]),
        per_month=cast("int | None", told["per_month"]),
        per_second=cast("int | None", told["per_second"]),
        fresh_within=cast("str | None", told["fresh_within"]),
        verify=frozenset(cast("list[str]", told.get("verify", []))),
        token=frozenset(cast("list[str]", told.get("token", []))),
    )


def span(text: str) -> timedelta:
    """`90m`, `24h` or `2d` as a length of time; ValueError for anything else."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def sharing_type(terms: Terms, standard: Standard) -> str:
    """U 无条件, C 有条件 or N 不予: the strictest of its fields.

    To see a masked field whole is always a condition, and so are rows by one, claims judged of one, and its join keys:
    filters and claims that guess would tell its value, and join keys tell whose records belong together.
    """
    kinds = {standard.field(name).share for name in (*terms.fields, *terms.rows, *terms.verify)}
    if "N" in kinds:
        return "N"
    told = (*terms.clear, *terms.rows, *terms.verify, *terms.token)
    return "C" if "C" in kinds or any(mask_of(standard.field(name)) is not None for name in told) else "U"


def conform(terms: Terms, standard: Standard) -> None:
    """The conformity check 合规性审查 of what is asked for, whatever its sharing type; SHR-TERMS says what is wrong."""
    known = {one.name: one for one in standard.fields}
    if not terms.fields and not (terms.verify and terms.channels == VERIFY_ONLY):
        raise wrong_terms("没有写明字段", "no fields are named")
    for name in (*terms.fields, *terms.clear, *terms.find, *terms.rows, *terms.verify, *terms.token):
        if name not in known:
            raise wrong_terms(f"{standard.id} 没有字段 {name[:64]}", f"{standard.id} has no field {name[:64]}")
    if len(set(terms.fields)) != len(terms.fields):
        raise wrong_terms("字段重复", "a field is named twice")
    for name in terms.clear - set(terms.fields):
        raise wrong_terms(f"clear 中的 {name} 不在 fields 中", f"{name} of `clear` is not among `fields`")
    _sought(terms, known)
    for name, values in terms.rows.items():
        if not values or any("*" in value[:-1] or value in {"", "*"} or not value.isprintable() for value in values):
            raise wrong_terms(
                f"{name} 的取值只能是完整值或以 * 结尾的前缀",
                f"values of {name} must be whole, or prefixes ending in *",
            )
    if not terms.channels or terms.channels - set(CHANNELS):
        raise wrong_terms(f"方式只能是 {'、'.join(CHANNELS)}", f"channels are {', '.join(CHANNELS)}")
    _measures(terms)


def grantable(terms: Terms, standard: Standard) -> None:
    """Whether that can be granted at all: it conforms, and no field of it is 不予共享 (SHR-NEVER-SHARED)."""
    conform(terms, standard)
    never = [name for name in (*terms.fields, *terms.rows, *terms.verify) if standard.field(name).share == "N"]
    if never:
        raise never_shared(never)


def within(granted: Terms, asked: Terms) -> None:
    """SHR-TERMS unless what is granted lies wholly within what was asked for."""
    for what, wider in (
        ("fields", set(granted.fields) - set(asked.fields)),
        ("clear", granted.clear - asked.clear),
        ("find", granted.find - asked.find),
        ("verify", granted.verify - asked.verify),
        ("token", granted.token - asked.token - asked.clear),
        ("fields", (asked.token & set(granted.fields)) - granted.token),
        ("channels", granted.channels - asked.channels),
        ("until", {granted.until} if granted.until > asked.until else set()),
        ("rows", {name for name, values in asked.rows.items() if not _covered(granted.rows.get(name, ()), values)}),
    ):
        if wider:
            raise wrong_terms(f"{what} 超出申请：{'、'.join(sorted(wider))}", f"{what} goes beyond what was asked")
    for name in ("per_day", "per_month", "per_second"):
        limit, wanted = getattr(granted, name), getattr(asked, name)
        if wanted is not None and (limit is None or limit > wanted):
            raise wrong_terms(f"{name} 超出申请", f"{name} goes beyond what was asked")
    if asked.fresh_within and (not granted.fresh_within or span(granted.fresh_within) > span(asked.fresh_within)):
        raise wrong_terms("fresh_within 宽于申请", "fresh_within is wider than what was asked")


def narrower(granted: Terms, asked: Terms) -> bool:
    """Whether less was granted than asked for."""
    return granted != asked


def _sought(terms: Terms, known: Mapping[str, Field]) -> None:
    for name in terms.token:
        if name not in terms.fields or name in terms.clear:
            raise wrong_terms(
                f"token 中的 {name} 不在 fields 中，或已在 clear 中",
                f"{name} of `token` is not among `fields`, or is in `clear` as well",
            )
    for name in terms.find:
        hidden = name in terms.token or (name not in terms.clear and mask_of(known[name]) is not None)
        if name not in terms.fields or hidden:
            raise wrong_terms(
                f"{name} 未申请或已脱敏，不能据以查找", f"{name} is not asked for, or masked: it may not be sought by"
            )


def _measures(terms: Terms) -> None:
    for name in ("per_day", "per_month", "per_second"):
        limit = getattr(terms, name)
        if limit is not None and not 1 <= limit <= MOST:
            raise wrong_terms(f"{name} 须为正整数", f"{name} must be 1 or more")
    try:
        day: str | None = date.fromisoformat(terms.until).isoformat()
    except ValueError:
        day = None
    if day != terms.until:  # days are compared as text: 20271231 and 2027-W52-5 are days, too, and compare as others
        raise wrong_terms("until 不是日期，例如 2027-12-31", "until is no date such as 2027-12-31")
    try:
        span(terms.fresh_within or "1h")
    except ValueError:
        raise wrong_terms("fresh_within 应写作 90m、24h 或 2d", "fresh_within is written 90m, 24h or 2d") from None


def _covered(granted: Iterable[str], asked: Iterable[str]) -> bool:
    """Whether there is a filter and each of its values is let through by one of those asked for."""
    wanted, given = tuple(asked), tuple(granted)
    return bool(given) and all(
        any(one == value or (one.endswith("*") and value.startswith(one[:-1])) for one in wanted) for value in given
    )


def _json(names: Iterable[str]) -> list[Json]:
    return sorted(names)  # type: ignore[return-value]  # a list of text is JSON
