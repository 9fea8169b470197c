"""Command that explains a rule: what it checks, why, what to do, how it came out, records that keep and break it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import shutong
from quality.reports.history import Scope, base, checks, outcomes
from quality.reports.values import Language
from quality.reports.words import say, why
from quality.scores_profile import profile
from runs.resources import Resource
from schemas.errors import ShutongError
from schemas.lines import read as read_yaml
from schemas.load import find_standard, known_standards
from schemas.standard import Rule, Standard
from schemas.syntax import nearest
from schemas.values import Json
from shutong.session import Session, command
from shutong.wiring import Wired, open_deployment

HISTORY = 10  # checks shown of a rule's history
_HERE = Path(shutong.__file__).parent
EXAMPLES = (_HERE / "rule_examples", _HERE.parent / "tests" / "spec" / "examples")  # as installed; in a checkout


class RuleUnknownError(ShutongError):
    """No standard and no resource has a rule of that id."""


@dataclass(frozen=True, slots=True)
class Known:
    """A rule, the standard it stands in, and the resources of the deployment that are checked by it."""

    rule: Rule
    standard: Standard
    resources: tuple[Resource, ...]


@click.command(
    "explain", help="解释一条规则：查什么、为什么、怎么办、历史、例子 | what a rule checks, why, what to do, history"
)
@click.argument("rule")
@click.option("--resource", help="只看这个资源 | of that resource only")
@command
def explain_command(session: Session, rule: str, resource: str | None) -> None:
    """Print everything there is to know about a rule."""
    with open_deployment(session.settings) as wired:
        only = wired.deployment.resource(resource).id if resource else None
        found = [one for one in known_rules(wired) if one.rule.id == rule]
        found = [one for one in found if only is None or only in {other.id for other in one.resources}]
        if not found:
            raise _unknown(rule, sorted({one.rule.id for one in known_rules(wired)}))
        told = [_told(wired, one, only) for one in found]
    if session.voice.as_json:
        session.voice.answer({"rule": rule, "explained": told})
        return
    for one, what in zip(told, found, strict=True):
        _show_rule(session, one, what)


def known_rules(wired: Wired) -> list[Known]:
    """Every rule of the standards that ship, of the deployment's, and of its resources."""
    folder = wired.deployment.home / "standards"
    used = {one.standard.id: one.standard for one in wired.deployment.resources}
    for name in known_standards((folder,)):
        if name not in used:
            used[name] = find_standard(name, (folder,))
    found = []
    for standard in used.values():
        mine = tuple(
            one for one in wired.deployment.resources if standard.id in {one.standard.id, *(by.id for by in one.beside)}
        )
        found += [Known(rule, standard, mine) for rule in standard.rules]
        found += [Known(rule, standard, (one,)) for one in mine if one.standard.id == standard.id for rule in one.rules]
    return found


def _told(wired: Wired, known: Known, only: str | None) -> dict[str, Json]:
    rule, standard = known.rule, known.standard
    dimension = next(one for one in profile().dimensions if one.code == rule.indicator[:2])
    resources = [one.id for one in known.resources if only in {None, one.id}]
    return {
        "rule": rule.id,
        "standard": standard.id,
        "resources": list(resources),
        "kind": rule.kind,
        "columns": list(rule.columns),
        "severity": rule.severity,
        "indicator": rule.indicator,
        "dimension_zh": dimension.zh,
        "dimension_en": dimension.en,
        "zh": rule.zh,
        "en": rule.en,
        "fix_zh": rule.fix_zh,
        "fix_en": rule.fix_en,
        "params": dict(rule.params),
        "forgiven_by": rule.forgiven_by,
        "source": standard.source,
        "history": [line for name in resources for line in _history(wired, name, rule.id)],
        "examples": dict(found) if (found := examples(standard.name, rule.id)) is not None else None,
    }


def _history(wired: Wired, resource: str, rule: str) -> Iterator[dict[str, Json]]:
    with wired.state.reading() as connection:
        for check in checks(connection, Scope(resource), HISTORY):
            for one in outcomes(connection, Scope(resource, (check.run,))):
                if one.rule == rule:
                    yield {
                        "resource": resource, "run": base(check.run), "checked_at": check.checked_at, "rows": one.rows,
                        "evaluated": one.evaluated, "error": one.error,
                    }  # fmt: skip


def examples(standard: str, rule: str) -> Mapping[str, Json] | None:
    """Records that keep and break a rule, as its tests have them; None for a rule of the deployment's own."""
    path = next((one for one in (folder / f"{standard}.yaml" for folder in EXAMPLES) if one.exists()), None)
    below = None if path is None else read_yaml(path).node("rules")
    found = below.plain(rule) if below is not None and below.has(rule) else None
    return found if isinstance(found, dict) else None


def _show_rule(session: Session, told: Mapping[str, Json], known: Known) -> None:
    voice, rule = session.voice, known.rule
    names = {one.name: voice.say(one.zh, one.en) for one in known.standard.fields}
    columns = ", ".join(f"{one} {names.get(one.removeprefix('raw:'), '')}".strip() for one in rule.columns)
    indicator = next(one for one in profile().indicators if one.code == rule.indicator)
    named = voice.say(indicator.zh, indicator.en)
    voice.line(f"\n{rule.id}（{known.standard.id}）：{rule.zh}", f"\n{rule.id} ({known.standard.id}): {rule.en}")
    voice.line(
        f"  类型 {rule.kind}；列 {columns}\n  级别 {say(rule.severity, 'zh')}；指标 {rule.indicator}（{named}）",
        f"  kind {rule.kind}; columns {columns}\n  severity {rule.severity}; indicator {rule.indicator} ({named})",
    )
    if rule.params:
        said = ", ".join(f"{name}: {value}" for name, value in rule.params.items())
        voice.line(f"  参数 {said}", f"  parameters {said}")
    if rule.forgiven_by:
        voice.line(
            f"  同时违反 {rule.forgiven_by} 的行不因本规则隔离",
            f"  rows that violate {rule.forgiven_by} too are not quarantined",
        )
    if rule.fix_zh:
        voice.line(f"  办法：{rule.fix_zh}", f"  what to do: {rule.fix_en}")
    used = told["resources"]
    if isinstance(used, list):
        voice.line(
            f"  用于 {'、'.join(map(str, used)) or '（本部署未用）'}",
            f"  used by {', '.join(map(str, used)) or '(none here)'}",
        )
    lines = told["history"]
    if isinstance(lines, list) and lines:
        heads = [
            ("时间", "at"),
            ("资源", "resource"),
            ("运行", "run"),
            ("行数", "rows"),
            ("检查的行", "evaluated"),
            ("原因", "error"),
        ]
        lang: Language = "en" if voice.lang == "en" else "zh"
        rows = [
            [str(one["checked_at"])[:16].replace("T", " "), one["resource"], one["run"], one["rows"], one["evaluated"],
             why(str(one["error"] or ""), lang)]
            for one in lines if isinstance(one, dict)
        ]  # fmt: skip
        voice.table(("历史", "History"), heads, rows)
    shown_examples = told["examples"]
    if isinstance(shown_examples, dict):
        for name, word in (("keeps", ("符合", "keeps it")), ("breaks", ("违反", "breaks it"))):
            some = shown_examples.get(name)
            for one in some if isinstance(some, list) else []:
                voice.line(
                    f"  例：{word[0]} {one or '标准记录'}", f"  example: {word[1]} {one or 'the record as it is'}"
                )


def _unknown(rule: str, rules: Sequence[str]) -> RuleUnknownError:
    near = nearest(rule, rules)
    return RuleUnknownError(
        "QUA-RULE-UNKNOWN",
        zh=f"没有规则 {rule}",
        en=f"there is no rule {rule}",
        fix_zh=f"是否应写 {near}？" if near else "用 shutong quality show 查看各资源的规则",
        fix_en=f"Did you mean {near}?" if near else "shutong quality show lists the rules of each resource",
    )
