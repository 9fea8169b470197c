"""Print what a data manager, a department and an analyst each want to see of the demo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shutong.airflow_service import DagRun
from shutong.commands.ingest import freshness
from shutong.demo.questions import Reply
from shutong.printing import Voice, counts
from shutong.wiring import Wired


def manager(voice: Voice, wired: Wired, observed: Mapping[str, Any], runs: list[DagRun]) -> None:
    """What ran, what became of every row, and how fresh it is."""
    fresh = {row["resource"]: row for row in freshness(wired)}
    rows = []
    for one in wired.deployment.resources:
        seen = observed["resources"][one.id]
        age = fresh[one.id]
        rows.append([one.id, one.zh if voice.lang == "zh" else one.en, seen.get("pulled"), seen.get("landed"),
                     seen.get("quarantined"), seen.get("superseded"), age["age"],
                     voice.say("迟到", "late") if age["late"] else voice.say("按时", "on time")])  # fmt: skip
    voice.table(
        ("■ 数据管理员：各资源", "■ Data manager: the resources"),
        [("资源", "resource"), ("名称", "title"), ("拉取", "pulled"), ("入库", "landed"), ("隔离", "quarantined"),
         ("被取代", "superseded"), ("距今", "age"), ("新鲜度", "freshness")],
        rows,
    )  # fmt: skip
    by_dag: dict[str, dict[str, int]] = {}
    for run in runs:
        kinds = by_dag.setdefault(run.dag, {})
        kinds[f"{run.kind} {run.state}"] = kinds.get(f"{run.kind} {run.state}", 0) + 1
    voice.table(
        (
            "■ 数据管理员：调度器跑了什么（读自 Airflow 接口）",
            "■ Data manager: what the scheduler ran, from Airflow's API",
        ),
        [("DAG", "DAG"), ("运行", "runs")],
        [[dag, counts(kinds)] for dag, kinds in sorted(by_dag.items())],
    )


def analyst(voice: Voice, wired: Wired, observed: Mapping[str, Any]) -> None:
    """Which department, which rule, how many rows; and how large the libraries are."""
    rows = []
    for one in wired.deployment.resources:
        latest = wired.quality.history(one.id, 1000)
        if not latest:
            continue
        for rule in wired.quality.rules(one.id, latest[-1].run):
            if rule.rows or rule.error:
                text = rule.error or (rule.zh if voice.lang == "zh" else rule.en)
                rows.append([one.department, one.name, rule.rule, rule.severity, rule.indicator, rule.rows, text])
    voice.table(
        ("■ 分析员：哪个部门、哪条规则、多少行", "■ Analyst: which department, which rule, how many rows"),
        [("部门", "department"), ("资源", "resource"), ("规则", "rule"), ("级别", "severity"), ("指标", "indicator"),
         ("行数", "rows"), ("说明", "what")],
        rows,
    )  # fmt: skip
    libraries = [[name, seen.get("records")] for name, seen in observed["libraries"].items()]
    voice.table(("■ 分析员：基础库", "■ Analyst: base libraries"), [("库", "library"), ("记录", "records")], libraries)


def departments(voice: Voice, replies: list[Reply], used: Mapping[str, list[dict[str, Any]]]) -> None:
    """A firm and a person as each department sees them, the refusals, and who called what how often."""
    for library, title in (("legal_person", ("一家企业", "one firm")), ("population", ("一个人", "one person"))):
        seen = [one for one in replies if one.status == 200 and one.question.library == library]  # noqa: PLR2004
        fields = list(dict.fromkeys(name for one in seen for name in one.body["data"]))
        voice.table(
            (
                f"■ 部门：{title[0]}，各部门所见（* 已脱敏，· 未授权）",
                f"■ Departments: {title[1]} (* masked, · not granted)",
            ),
            [("字段", "field"), *((one.question.department or "", one.question.department or "") for one in seen)],
            [[name, *(_cell(one.body, name) for one in seen)] for name in fields],
        )
    voice.table(
        ("■ 部门：每一问与答", "■ Departments: every question and its answer"),
        [("谁", "who"), ("问什么", "what"), ("状态", "status"), ("错误码", "code")],
        [[one.question.department or "-", voice.say(one.question.zh, one.question.en), one.status, one.body.get("code")]
         for one in replies],
    )  # fmt: skip
    voice.table(
        ("■ 部门：谁调用了什么、多少次（/v1/usage）", "■ Departments: who called what, how often (/v1/usage)"),
        [("部门", "department"), ("库", "library"), ("授权", "grant"), ("状态", "status"), ("次数", "calls")],
        [[department, one["library"], one["grant"], one["status"], one["calls"]]
         for department, calls in used.items() for one in calls],
    )  # fmt: skip


def _cell(body: Mapping[str, Any], name: str) -> str:
    if name not in body["data"]:
        return "·"
    value = body["data"][name]
    return f"{'' if value is None else value}{' *' if name in body['masked'] else ''}"
