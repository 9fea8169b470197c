"""Departments' webhooks that do not take what they are sent, as alarms."""

from __future__ import annotations

import sqlalchemy as sa

from runs.alarms.conditions import Condition
from sharing.webhook_store import HookStore


def unheard(engine: sa.Engine) -> list[Condition]:
    """Webhooks that were switched off, or to which nothing has been delivered for a day."""
    found = []
    for one in HookStore(engine).troubled():
        off = one.disabled_at is not None
        what = ("已停用，不再通知", "is switched off, and told nothing") if off else (
            "一天以来没有收下通知", "has taken no message for a day")  # fmt: skip
        todo = f"shutong webhook enable {one.id}"
        since = one.disabled_at or one.failing_since or one.created_at
        found.append(
            Condition("failed", f"webhook {one.id}", one.department, f"通知地址 {one.id}", f"webhook {one.id}", since,
                      *what, f"请部门检查接收服务，然后 {todo}", f"have the department mend its receiver, then {todo}")
        )  # fmt: skip
    return found
