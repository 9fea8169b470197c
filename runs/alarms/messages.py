"""Put an alarm in words: what happened to which resource since when, and what to do next; never personal data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runs.alarms.conditions import Condition

What = Literal["begin", "reminder", "recovery", "test"]
NAMES = {
    "late": ("迟到", "late"),
    "failed": ("运行失败", "run failed"),
    "held": ("整批挂起", "batch held"),
    "drifting": ("来源有变", "source changed"),
    "overdue": ("工单逾期", "orders overdue"),
    "escalated": ("工单升级", "orders escalated"),
    "expiring": ("授权即将到期", "grant ends soon"),
    "locked": ("登录失败过多", "too many failed log-ins"),
}
_WHAT = {"begin": ("", ""), "reminder": ("仍未解决：", "still: "), "recovery": ("已恢复：", "over: "), "test": ("", "")}


@dataclass(frozen=True, slots=True)
class Words:
    """A message: its first line, which tells all that matters, and what stands below."""

    subject: str
    body: str


def worded(condition: Condition, what: What, lang: str, ended_at: str | None = None) -> Words:
    """The message about a condition in one language; `ended_at` for the one that says it is over."""
    zh = lang != "en"
    name, lead = NAMES[condition.kind][0 if zh else 1], _WHAT[what][0 if zh else 1]
    title = f"{condition.title_zh}（{condition.resource}）" if zh else f"{condition.title_en} ({condition.resource})"
    since = _short(condition.since)
    level = (f"（第 {condition.level} 级）" if zh else f" (level {condition.level})") if condition.level else ""
    if what == "recovery":
        until = _short(ended_at or "")
        subject = (
            f"[数通] {lead}{title}{name}{level}，{since} 至 {until}；无需处理"
            if zh
            else f"[Shutong] {lead}{title} {name}{level}, {since} to {until}; nothing to do"
        )
    else:
        subject = (
            f"[数通] {lead}{title}{name}{level}，自 {since}；{condition.next_zh}"
            if zh
            else f"[Shutong] {lead}{title} {name}{level}, since {since}; {condition.next_en}"
        )
    rows = (
        (("资源", title), ("情况", condition.what_zh), ("自", since), ("下一步", condition.next_zh))
        if zh
        else (("Resource", title), ("What", condition.what_en), ("Since", since), ("Next", condition.next_en))
    )
    kept = rows[:3] if what == "recovery" else rows
    body = "\n".join(f"{head}：{said}" if zh else f"{head}: {said}" for head, said in kept)
    foot = "时间为北京时间。" if zh else "Times are those of Asia/Shanghai."
    return Words(" ".join(subject.split()), f"{body}\n\n{foot}\n")


def tried(lang: str) -> Words:
    """The message of `shutong alarms test`."""
    if lang == "en":
        return Words("[Shutong] test message; nothing to do", "Messages of alarms come to this address.\n")
    return Words("[数通] 测试消息；无需处理", "告警消息将发送到此地址。\n")


def _short(when: str) -> str:
    return when[:16].replace("T", " ")
