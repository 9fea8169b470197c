"""What each role may do in which department: one table, in roles.yaml, and the one function that asks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from quality.orders_values import Actor
from schemas.lines import read
from sharing.people_refusals import RoleError

_TABLE = Path(__file__).with_name("roles.yaml")


@dataclass(frozen=True, slots=True)
class Right:
    """An act, in words, and the roles that may do it: in one's `own` department, or `everywhere`."""

    zh: str
    en: str
    own: frozenset[str]
    everywhere: frozenset[str]


@cache
def rights() -> Mapping[str, Right]:
    """The table, by act."""
    found = {}
    for act, node in read(_TABLE).children().items():
        node.only("zh", "en", "own", "everywhere")
        own, everywhere = frozenset(node.texts("own")), frozenset(node.texts("everywhere"))
        found[act] = Right(node.text("zh"), node.text("en"), own, everywhere)
    return MappingProxyType(found)


def may(person: Actor, act: str, department: str) -> bool:
    """Whether they may do it for that department; who belongs to none acts for all. KeyError: there is no such act."""
    right = rights()[act]
    if person.roles & right.everywhere:
        return True
    return bool(person.roles & right.own) and person.department in {department, ""}


def require(person: Actor, act: str, department: str) -> None:
    """Raises RoleError unless they may."""
    if not may(person, act, department):
        right = rights()[act]
        raise RoleError.of(right.zh, right.en, ", ".join(sorted(right.own | right.everywhere)))
