"""Options of the command line that say what is asked for, or granted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from sharing.grant_file import CHANNELS
from sharing.grant_terms import Terms

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
_LIMIT = click.IntRange(1, 10**12)


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of the terms; what was not is None."""

    fields: str | None
    until: str | None
    clear: str | None
    find: str | None
    rows: tuple[str, ...]
    channels: str | None
    per_day: int | None
    per_month: int | None
    per_second: int | None
    fresh_within: str | None
    verify: str | None
    token: str | None

    @property
    def anything(self) -> bool:
        """Whether anything was said at all."""
        return self != Said(None, None, None, None, (), None, None, None, None, None, None, None)

    def over(self, usual: Terms) -> Terms:
        """The terms with what was said in place of what they have."""
        said: dict[str, object] = {
            name: value
            for name in ("until", "per_day", "per_month", "per_second", "fresh_within")
            if (value := getattr(self, name)) is not None
        }
        if self.fields is not None:
            said["fields"] = fields = tuple(_names(self.fields))
            said |= {name: getattr(usual, name) & set(fields) for name in ("clear", "find", "token")}
        for name in ("clear", "find", "verify", "token", "channels"):
            if getattr(self, name) is not None:
                said[name] = frozenset(_names(getattr(self, name)))
        if self.rows:
            said["rows"] = _rows(self.rows)
        return replace(usual, **said)  # type: ignore[arg-type]  # each under its own name


def terms_options(act: Callable[Concatenate[S, Said, P], R]) -> Callable[Concatenate[S, P], R]:
    """Give a command the options of terms, as a Said behind its session."""

    @click.option("--fields", help="逗号分隔的字段 | comma-separated fields")
    @click.option("--until", help="有效期至，如 2027-12-31 | the last day")
    @click.option("--clear", help="不脱敏的字段 | fields shown unmasked")
    @click.option("--find", help="据以查找的字段 | fields records may be sought by")
    @click.option("--verify", help="可核验的字段 | fields of which claims are judged")
    @click.option("--token", help="以关联令牌显示的字段 | fields shown as join keys")
    @click.option("--rows", multiple=True, metavar="FIELD=VALUE,PREFIX*", help="行范围 | which rows")
    @click.option("--channels", help=f"方式 | ways to ask: {', '.join(CHANNELS)}")
    @click.option("--per-day", type=_LIMIT, help="每日配额 | a day")
    @click.option("--per-month", type=_LIMIT, help="每月配额 | a month")
    @click.option("--per-second", type=_LIMIT, help="每秒调用 | calls a second")
    @click.option("--fresh-within", metavar="24h", help="数据不得旧于 | data no older than that")
    @wraps(act)
    def run(session: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        told: dict[str, Any] = {name: kwargs.pop(name) for name in Said.__slots__}
        said = Said(**told)
        return act(session, said, *args, **kwargs)

    return run


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _rows(said: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for text in said:
        name, sign, values = text.partition("=")
        if not sign:
            raise click.BadParameter(f"{text}: FIELD=VALUE,PREFIX*")
        found[name.strip()] = (*found.get(name.strip(), ()), *_names(values))
    return found
