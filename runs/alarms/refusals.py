"""Why a message did not arrive."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from quality.orders_values import Actor
from runs.errors import RunError


class NotDelivered(RunError):
    """The message did not arrive this time; it is tried again."""

    retryable: ClassVar[bool] = True


class LineDown(NotDelivered):
    """The server that takes messages does not; the others for it wait for the next round as well."""


class Refused(RunError):
    """The address takes no messages, now or later."""


def silence_until(until: datetime, longest: int) -> RunError:
    """A silence that has ended before it begins, or lasts longer than so many days."""
    shown = until.isoformat()[:16].replace("T", " ")
    return RunError(
        "RUN-ALARM-UNTIL",
        zh=f"静默截止时间 {shown} 应晚于现在，且不超过 {longest} 天",
        en=f"a silence ends after now and within {longest} days, not at {shown}",
        fix_zh="写明将来的时间，例如 --until 2026-12-31，或时长 --until 4h；到期可再静默",
        fix_en="Name a time to come, for example --until 2026-12-31, or how long: --until 4h; it can be made again",
    )


def no_silence(by: Actor) -> RunError:
    """Who is not a data manager silences alarms of the own department, or their own messages."""
    return RunError(
        "RUN-ALARM-RIGHT",
        zh=f"{by.id}（{by.department}）只能静默本部门的告警，或发给自己的消息",
        en=f"{by.id} ({by.department}) may silence alarms of the own department, or the own messages, alone",
        fix_zh=f'写明 --resource "{by.department}.*" 或 --person {by.id}；其余由数据管理员（data_manager）办理',
        fix_en=f'Say --resource "{by.department}.*" or --person {by.id}; all else is for a data manager',
    )


def unknown_person(person: str, known: list[str]) -> RunError:
    """Nobody of that id stands in people.yaml."""
    return RunError(
        "RUN-PERSON-UNKNOWN",
        zh=f"people.yaml 中没有人员 {person}；已有：{'、'.join(known) or '无'}",
        en=f"there is nobody called {person} in people.yaml; there are: {', '.join(known) or 'none'}",
        fix_zh=f"用 shutong person add {person} --name 姓名 --as 部门 --role lead 登记，或写入部署目录的 people.yaml",
        fix_en=f"Register them: shutong person add {person} --name NAME --as DEPARTMENT --role lead; or in people.yaml",
    )
