"""Read who is to be told what, and who may do what to orders: `people.yaml` of a deployment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, cast

from quality.orders_values import DATA_MANAGER, ROLES, WIDE, Actor
from schemas.lines import Node, read

KINDS = ("late", "failed", "held", "drifting", "overdue", "escalated", "expiring", "locked")
Kind = Literal["late", "failed", "held", "drifting", "overdue", "escalated", "expiring", "locked"]
Channel = Literal["mail", "webhook"]
CHANNELS: tuple[Channel, ...] = ("mail", "webhook")
ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
MAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
SPAN = r"[1-9][0-9]{0,3}[mhd]"
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_OWN_KINDS = ("late", "held", "drifting", "overdue")  # what a department hears of its own resources
_ALL_BUT_ADDRESSED = ("late", "failed", "held", "drifting", "overdue", "locked")


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that takes messages: its URL, or the secret that holds it, and the secret that signs."""

    name: str
    url: str | None
    url_secret: str | None
    secret: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person: where they hear, in which language, of which kinds of alarms of which resources (patterns)."""

    id: str
    name: str
    department: str
    roles: frozenset[str]
    mail: str | None
    webhook: str | None
    lang: Literal["zh", "en"]
    kinds: tuple[str, ...]
    resources: tuple[str, ...]

    @property
    def actor(self) -> Actor:
        """The person as one who acts on orders."""
        return Actor(self.id, self.department, self.roles)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Where the person can be reached."""
        said = {"mail": self.mail, "webhook": self.webhook}
        return tuple(one for one in CHANNELS if said[one])

    def hears(self, kind: str, resource: str) -> bool:
        """Whether the person wants alarms of that kind about that resource."""
        return kind in self.kinds and any(fnmatchcase(resource, one) for one in self.resources)

    def is_named(self, to: str, department: str) -> bool:
        """Whether `to`, a role or a person, means this one for orders of that department."""
        mine = to == DATA_MANAGER or self.department == department
        return to == self.id or (to in self.roles and mine)


@dataclass(frozen=True, slots=True)
class Directory:
    """Everybody, the webhooks, and for how long one waits: `grace` after a schedule, `remind` between reminders."""

    people: tuple[Person, ...] = ()
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    grace: timedelta = timedelta(hours=1)
    remind: timedelta = timedelta(hours=24)

    def find(self, person: str) -> Person | None:
        """The person of that id; None when nobody has it."""
        return next((one for one in self.people if one.id == person), None)


def read_people(path: Path, departments: Collection[str], text: str | None = None) -> Directory:
    """The file as a value, or what it would be with `text` in it; nobody when there is none.

    StandardError names file and line.
    """
    if text is None and not path.exists():
        return Directory()
    node, usual = read(path, text).only("people", "webhooks", "alarms"), Directory()
    webhooks = {name: _webhook(name, below) for name, below in node.named("webhooks").items()}
    people: list[Person] = []
    for one in node.nodes("people"):
        person = _person(one, departments, webhooks)
        if any(other.id == person.id for other in people):
            _wrong(one, "id", f"人员编号 {person.id} 重复", f"the id {person.id} is used twice")
        people.append(person)
    terms = node.node("alarms")
    if terms is None:
        return Directory(tuple(people), webhooks)
    terms.only("grace", "remind")
    return Directory(tuple(people), webhooks, _span(terms, "grace", usual.grace), _span(terms, "remind", usual.remind))


def _webhook(name: str, node: Node) -> Webhook:
    node.only("url", "url_secret", "secret")
    url, url_secret = node.text("url", default=None), node.text("url_secret", default=None)
    if (url is None) == (url_secret is None) or not (url or "https://").startswith(("http://", "https://")):
        _wrong(
            node,
            "url",
            f"webhook {name} 须写 url（http 或 https）或 url_secret 之一",
            f"the webhook {name} needs either url (http or https) or url_secret",
        )
    return Webhook(name, url, url_secret, node.text("secret"))


def _person(node: Node, departments: Collection[str], webhooks: Mapping[str, Webhook]) -> Person:
    node.only("id", "name", "department", "roles", "mail", "webhook", "lang", "alarms")
    roles = frozenset(node.texts("roles")) or frozenset({"member"})
    if unknown := roles - set(ROLES):
        _wrong(node, "roles", f"没有角色 {'、'.join(unknown)}", f"there is no role {', '.join(unknown)}", ROLES)
    department = node.text("department", default="")
    if not department and not roles & WIDE:
        said = ", ".join(sorted(roles))
        _wrong(
            node, "id", f"{node.text('id')} 须写 department（所在部门）：角色 {said} 属于一个部门",
            f"{node.text('id')} needs a department: the role {said} is one within it", departments,
        )  # fmt: skip
    if department and department not in departments:
        _wrong(node, "department", f"没有部门“{department}”", f"there is no department '{department}'", departments)
    webhook = node.text("webhook", default=None)
    if webhook is not None and webhook not in webhooks:
        _wrong(node, "webhook", f"没有 webhook {webhook}", f"there is no webhook {webhook}", webhooks)
    kinds, resources = _wanted(node, department, roles)
    return Person(
        id=node.pattern("id", ID, example="zhang.wei"),
        name=node.text("name"),
        department=department,
        roles=roles,
        mail=node.pattern("mail", MAIL, example="zhang@example.gov.cn") if node.has("mail") else None,
        webhook=webhook,
        lang=cast("Literal['zh', 'en']", node.one_of("lang", ("zh", "en"), "zh")),
        kinds=kinds,
        resources=resources,
    )


def _wanted(node: Node, department: str, roles: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a person hears: as the file says, else what is usual for the role."""
    manages = DATA_MANAGER in roles
    kinds: tuple[str, ...] = _ALL_BUT_ADDRESSED if manages else _OWN_KINDS
    resources: tuple[str, ...] = ("*",) if manages else (f"{department}.*",)
    below = node.node("alarms")
    if below is None:
        return kinds, resources
    below.only("kinds", "resources")
    if below.has("kinds"):
        kinds = tuple(below.texts("kinds"))
        if unknown := set(kinds) - set(KINDS):
            _wrong(below, "kinds", f"没有告警 {'、'.join(unknown)}", f"no such alarm: {', '.join(unknown)}", KINDS)
    return kinds, tuple(below.texts("resources")) or resources


def _span(node: Node, key: str, usual: timedelta) -> timedelta:
    if not node.has(key):
        return usual
    said = node.pattern(key, SPAN, example="24h")
    return timedelta(**{_UNITS[said[-1]]: int(said[:-1])})


def _wrong(node: Node, key: str, zh: str, en: str, allowed: Collection[str] = ()) -> None:
    node.fail(
        key,
        zh=zh,
        en=en,
        fix_zh=f"可用：{'、'.join(allowed)}" if allowed else "请更正 people.yaml",
        fix_en=f"There are: {', '.join(allowed)}" if allowed else "Correct people.yaml",
    )
