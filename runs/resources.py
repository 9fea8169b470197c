"""A resource file: which records of which department are read, how, and against which standard."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from schemas.lines import Node, read
from schemas.load import find_standard, read_rules
from schemas.standard import Rule, Standard
from schemas.values import Json, Severity

NAME = re.compile(r"[a-z][a-z0-9_]*")
SPANS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Gate:
    """How much may be wrong before a batch is held: percent of rows, number of rows, rules that must pass."""

    max_percent: float | None = 5.0
    max_rows: int | None = None
    must_pass: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource 资源 as its file says it.

    `kind` and `options` choose and set the connector; `connection` names an entry of connections.yaml; `columns` says
    which source column feeds which field, as far as the file says so.
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
    gate: Gate = Gate()
    schedule: str | None = None
    expect_within: timedelta | None = None
    path: Path = Path()

    @property
    def id(self) -> str:
        """`<department>.<resource>`."""
        return f"{self.department}.{self.name}"

    @property
    def table(self) -> str:
        """Where its passed records rest."""
        return f"std_{self.department}.{self.name}"


def load_resource(path: Path, standards: Sequence[Path]) -> Resource:
    """Read `resources/<department>/<resource>.yaml`; StandardError with file and line when it cannot be used."""
    node = read(path)
    node.only(
        "resource", "title", "standard", "connection", "source", "map", "order", "severity", "rules", "gate",
        "schedule", "expect_within",
    )  # fmt: skip
    title, source = node.node("title"), node.node("source")
    standard_id = node.text("standard")
    standard = find_standard(standard_id, standards)
    options = {key: value for key, value in source.items().items() if key != "kind"}
    rules = read_rules(node, standard)
    columns = node.mapping("map") if node.has("map") else {}
    known = {one.name for one in standard.fields}
    for name in columns:
        if name not in known:
            node.node("map").unknown(name, known)
    return Resource(
        department=path.parent.name,
        name=node.text("resource"),
        zh=title.text("zh"),
        en=title.text("en"),
        standard=standard,
        kind=source.text("kind"),
        options=options,
        connection=node.text("connection", default=None),
        columns=columns,
        order=tuple(node.texts("order", default=())) or standard.order,
        severities=_severities(node),
        rules=rules,
        gate=_gate(node),
        schedule=node.text("schedule", default=None),
        expect_within=_span(node, "expect_within"),
        path=path,
    )
