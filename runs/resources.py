"""A resource file: which records of which department are read, how, and against which standard."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast

from quality.gate import Gate
from quality.gate_policy import read_gate
from quality.orders_policy import read_order_policy
from quality.orders_values import OrderPolicy
from runs.drift import DriftPolicy, read_drift
from runs.reading import Reading, read_reading
from schemas.errors import StandardError
from schemas.lines import Node, read
from schemas.load import find_standard, read_rules
from schemas.partition import Partition, read_partition
from schemas.standard import Rule, Standard, joined
from schemas.syntax import nearest
from schemas.values import Json, Severity

NAME = r"[a-z][a-z0-9_]*"
CRON_FIELDS = 5
SEVERITIES = ("error", "warning", "info")
SPANS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Serve:
    """That landed records can be looked up by their key, and by which fields besides; None: identifiers and names."""

    index: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource 资源 as its file says it.

    `kind` and `options` choose and set the connector; `connection` names an entry of connections.yaml; `columns` says
    which source column feeds which field, as far as the file says so; `limits` how the system wants to be read,
    `reading` how it is read again and how deletions are noticed; `formerly` the ids it had before; `beside` the
    standards of further columns, such as the control columns 控制字段 of shared tables; `serve` that its landed records
    can be looked up; `partition` how the files of its table are divided.
    """

    department: str
    name: str
    zh: str
    en: str
    standard: Standard
    kind: str
    options: Mapping[str, Json]
    connection: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    severities: Mapping[str, Severity] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    gate: Gate = field(default_factory=Gate)
    limits: Mapping[str, Json] = field(default_factory=dict)
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    orders: OrderPolicy = field(default_factory=OrderPolicy)
    references: tuple[str, ...] = ()
    beside: tuple[Standard, ...] = ()
    reading: Reading = field(default_factory=Reading)
    schedule: str | None = None
    expect_within: timedelta | None = None
    formerly: tuple[str, ...] = ()
    serve: Serve | None = None
    partition: Partition | None = None
    path: Path = Path()

    @property
    def id(self) -> str:
        """`<department>.<resource>`."""
        return f"{self.department}.{self.name}"

    @property
    def checked(self) -> Standard:
        """What its records are read and checked by: its standard, and those whose columns stand beside its own."""
        return joined(self.standard, self.beside) if self.beside else self.standard

    @property
    def table(self) -> str:
        """Where its passed records rest."""
        return f"std_{self.department}.{self.name}"

    @property
    def quarantine(self) -> str:
        """Where its failed records rest, with their reasons."""
        return f"qtn.{self.department}__{self.name}"


def load_resource(path: Path, standards: Sequence[Path]) -> Resource:
    """Read `resources/<department>/<resource>.yaml`; StandardError with file and line when it cannot be used."""
    node = read(path).only(
        "resource", "title", "standard", "connection", "source", "map", "order", "severity", "rules", "gate",
        "limits", "drift", "orders", "references", "beside", "read", "schedule", "expect_within", "formerly",
        "serve", "warehouse",
    )  # fmt: skip
    name = node.pattern("resource", NAME, example="enterprise_base")
    title, source = _required(node, "title"), _required(node, "source")
    standard = _standard(node, "standard", node.text("standard"), standards)
    beside = tuple(_standard(node, "beside", one, standards) for one in node.texts("beside"))
    checked = joined(standard, beside)
    fields = {one.name for one in checked.fields}
    columns = node.mapping("map")
    for unknown in columns.keys() - fields:
        _unknown_name(node, "map", unknown, fields)
    order = tuple(node.texts("order")) or standard.order
    for unknown in set(order) - {one.name for one in standard.fields}:
        _unknown_name(node, "order", unknown, {one.name for one in standard.fields})
    options = {key: source.plain(key) for key in source.keys()}  # noqa: SIM118 - a Node is no dict
    rules = read_rules(node, checked)
    known = {rule.id for rule in (*checked.rules, *rules)}
    return Resource(
        department=path.parent.name,
        name=name,
        zh=title.text("zh"),
        en=title.text("en"),
        standard=standard,
        kind=source.text("kind"),
        options={key: value for key, value in options.items() if key != "kind"},
        connection=node.text("connection", default=None),
        columns=columns,
        order=order,
        severities=_severities(node, known),
        rules=rules,
        gate=read_gate(node, checked.fields, known),
        limits=_limits(node),
        drift=read_drift(node),
        orders=read_order_policy(node),
        references=_references(node, checked, rules),
        beside=beside,
        reading=read_reading(node, source.text("kind"), options),
        schedule=_schedule(node),
        expect_within=_span(node, "expect_within"),
        formerly=_formerly(node),
        serve=_serve(node, standard),
        partition=read_partition(node, checked),
        path=path,
    )


def load_resources(home: Path) -> tuple[Resource, ...]:
    """Every resource of a deployment, by id."""
    files = sorted((home / "resources").glob("*/*.yaml"))
    return tuple(load_resource(path, (home / "standards",)) for path in files)


def _serve(node: Node, standard: Standard) -> Serve | None:
    plain = node.plain("serve") if node.has("serve") else False
    if plain is False or plain is None:
        return None
    if len(standard.key) != 1:
        node.fail(
            "serve",
            zh=f"标准的主键有 {len(standard.key)} 个字段，不能按键查询",
            en=f"the standard's key has {len(standard.key)} fields, so records cannot be looked up by it",
            fix_zh="去掉 serve，或改用主键为单个字段的标准",
            fix_en="Leave 'serve' out, or use a standard whose key is one field",
        )
    if plain is True:
        return Serve()
    below, fields = _required(node, "serve").only("index"), {one.name for one in standard.fields}
    index = below.texts("index")
    for unknown in set(index) - fields:
        _unknown_name(below, "index", unknown, fields)
    return Serve(tuple(index) or None)


def _required(node: Node, key: str) -> Node:
    found = node.node(key)
    if found is None:
        node.fail(
            key,
            zh=f"缺少“{key}”",
            en=f"'{key}' is missing",
            fix_zh="请补上，例如 title: {zh: 企业登记, en: Registrations}，source: {kind: csv, path: …}",
            fix_en="Add it, for example title: {zh: 企业登记, en: Registrations}, source: {kind: csv, path: …}",
        )
    return found


def _standard(node: Node, key: str, wanted: str, folders: Sequence[Path]) -> Standard:
    try:
        return find_standard(wanted, folders)
    except StandardError as error:
        if error.code != "STD-UNKNOWN":
            raise
        node.fail(key, zh=error.zh, en=error.en, fix_zh=error.fix_zh, fix_en=error.fix_en, code="STD-UNKNOWN")


def _unknown_name(node: Node, key: str, name: str, known: set[str]) -> None:
    near = nearest(name, known)
    node.fail(
        key,
        zh=f"标准中没有字段“{name}”",
        en=f"the standard has no field '{name}'",
        fix_zh=f"是否应写 {near}？" if near else f"可用字段：{'、'.join(sorted(known))}",
        fix_en=f"Did you mean {near}?" if near else f"Fields: {', '.join(sorted(known))}",
    )


def _severities(node: Node, rules: set[str]) -> Mapping[str, Severity]:
    said = node.mapping("severity")
    for rule in said.keys() - rules:
        _unknown_name(node, "severity", rule, rules)
    below = node.node("severity")
    return {} if below is None else {rule: cast("Severity", below.one_of(rule, SEVERITIES)) for rule in said}


def _formerly(node: Node) -> tuple[str, ...]:
    """The ids under which a resource was known before it, or its department, got another name."""
    names = tuple(node.texts("formerly"))
    for name in names:
        if not re.fullmatch(rf"{NAME}\.{NAME}", name):
            node.fail(
                "formerly",
                zh=f"“{name}”不是资源编号",
                en=f"'{name}' is not the id of a resource",
                fix_zh="请写原来的“部门.资源”，例如 formerly: [gsj.enterprise_base]",
                fix_en="Write department and name as they were, for example formerly: [gsj.enterprise_base]",
            )
    return names


def _references(node: Node, standard: Standard, rules: Sequence[Rule]) -> tuple[str, ...]:
    """Libraries and standards whose records the rules may look at."""
    cited = {name for rule in (*standard.rules, *rules) for name in rule.relations if "@" not in name}
    named = tuple(node.texts("references"))
    for unknown in set(named) - cited:
        listed = "、".join(sorted(cited)) or "—"
        node.fail(
            "references",
            zh=f"没有规则引用“{unknown}”",
            en=f"no rule looks at '{unknown}'",
            fix_zh=f"规则引用的有：{listed}",
            fix_en=f"Rules look at: {listed}",
        )
    return named


def _limits(node: Node) -> Mapping[str, Json]:
    """How the system wants to be read; whoever opens the source understands it (`connectors.manners`)."""
    below = node.node("limits")
    return {} if below is None else {key: below.plain(key) for key in below.keys()}  # noqa: SIM118 - a Node is no dict


def _schedule(node: Node) -> str | None:
    said = node.text("schedule", default=None)
    if said is not None and len(said.split()) != CRON_FIELDS and not said.startswith("@"):
        node.fail(
            "schedule",
            zh=f"“{said}”不是 cron 时间表",
            en=f"'{said}' is not a cron schedule",
            fix_zh="请写五段，例如 schedule: '0 2 * * *'（每天两点，北京时间）",
            fix_en="Write five fields, for example schedule: '0 2 * * *' (02:00 every day, Asia/Shanghai)",
        )
    return said


def _span(node: Node, key: str) -> timedelta | None:
    if node.text(key, default=None) is None:
        return None
    said = node.pattern(key, r"[1-9][0-9]*[mhd]", example="26h")
    return timedelta(**{SPANS[said[-1]]: int(said[:-1])})
