"""Why something cannot be done to a work order, and what can."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Literal

from quality.errors import QualityError
from quality.orders_values import Actor, Order
from schemas.validators.scalar import valid

LONGEST_WAIVER = 366  # days; what should rest for longer is a matter for the standard
LONGEST_WORDS = 2000
_NUMBER = re.compile(r"(?<![0-9])[0-9]{17}[0-9Xx](?![0-9])")

Act = Literal["assign", "receive", "answer", "waive"]
_ACTS: dict[Act, tuple[str, str, str, str]] = {
    "assign": ("指派", "assign", "来源部门负责人（lead）或数据管理员", "the department's lead or a data manager"),
    "receive": ("接收", "be given", "来源部门的人员", "people of the source department"),
    "answer": ("答复", "answer", "来源部门的人员或数据管理员", "people of the source department or a data manager"),
    "waive": ("豁免", "waive", "数据管理员", "a data manager"),
}


def no_order(order_id: int) -> QualityError:
    """There is no order of that number."""
    return QualityError(
        "QUA-ORDER-UNKNOWN",
        zh=f"没有编号为 {order_id} 的工单",
        en=f"there is no order {order_id}",
        fix_zh="用 shutong quality orders list 查看工单",
        fix_en="List the orders with: shutong quality orders list",
    )


def wrong_right(order: Order, who: Actor, act: Act) -> QualityError:
    """The person may not do that to the order."""
    zh, en, who_zh, who_en = _ACTS[act]
    return QualityError(
        "QUA-ORDER-RIGHT",
        zh=f"{who.id}（{who.department}）不能{zh} {order.department} 的工单 {order.id}",
        en=f"{who.id} ({who.department}) may not {en} the order {order.id} of {order.department}",
        fix_zh=f"可由{who_zh}办理；角色登记在部署目录的 people.yaml",
        fix_en=f"This is for {who_en}; roles stand in people.yaml of the deployment",
    )


def wrong_state(order: Order, act: Act) -> QualityError:
    """The order is in a state in which that cannot be done."""
    zh, en, _, _ = _ACTS[act]
    return QualityError(
        "QUA-ORDER-STATE",
        zh=f"工单 {order.id} 的状态为 {order.state}，不能{zh}",
        en=f"the order {order.id} is {order.state}, one cannot {en} it",
        fix_zh="工单由下一个合格批次关闭，关闭后再次出错会另开新工单；豁免中的工单到期自动恢复",
        fix_en="The next good batch closes an order, and a rule that fails afterwards opens a new one; a waived order"
        " comes back when its day has passed",
    )


def may_waive(until: date, today: date) -> None:
    """QUA-ORDER-UNTIL for a waiver that has run out already, or lasts too long."""
    if not today < until <= today + timedelta(days=LONGEST_WAIVER):
        raise QualityError(
            "QUA-ORDER-UNTIL",
            zh=f"豁免截止日 {until} 应晚于今天，且不超过 {LONGEST_WAIVER} 天",
            en=f"a waiver ends after today and within {LONGEST_WAIVER} days, not on {until}",
            fix_zh="写明截止日，例如 --until 2026-12-31；长期不适用的规则应在资源文件中调整级别",
            fix_en="Name the last day, for example --until 2026-12-31; a rule that does not fit for good belongs in the"
            " resource file (severity)",
        )


def plain_words(words: str, today: date) -> str:
    """The reason a person gave; QUA-ORDER-WORDS when there is none, it is too long or names a citizen's number."""
    said = " ".join(words.split())
    if (
        said
        and len(said) <= LONGEST_WORDS
        and not any(valid("citizen_id", one.upper(), today) for one in _NUMBER.findall(said))
    ):
        return said
    raise QualityError(
        "QUA-ORDER-WORDS",
        zh=f"说明不能为空，不超过 {LONGEST_WORDS} 字，且不得写公民身份号码",
        en=f"the words may not be empty, nor longer than {LONGEST_WORDS} characters, nor name a citizen's number",
        fix_zh="写明做了什么或为何豁免；涉及哪些行以批次与规则指明",
        fix_en="Say what was done, or why; the rows are named by batch and rule",
    )
