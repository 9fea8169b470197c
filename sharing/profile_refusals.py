"""Why nothing is told of a subject as a whole: no purpose, no grant for it, or nobody rightly named."""

from __future__ import annotations

from collections.abc import Collection

from sharing.call_refusals import HeaderError
from sharing.errors import MalformedError, NoGrantError, NotFoundError


def purpose_missing() -> HeaderError:
    """Who asks about a subject over all libraries says for which matter and which case."""
    return HeaderError(
        "SHR-PURPOSE",
        zh="缺少请求头 X-Matter（事项）或 X-Case（办件编号）",
        en="The headers X-Matter (the matter) and X-Case (the case) are both needed",
        fix_zh="写明所办事项（与授权的 matter 一致）和办件编号后重试",
        fix_en="Name the matter, as in the grants' `matter`, and the number of the case",
    )


def no_grant_for(matter: str, others: Collection[str] = ()) -> NoGrantError:
    """The department has grants for other matters only, or none; `others` are its own."""
    zh, en = (
        (f"；本部门有授权的事项：{'、'.join(others)}", f"; yours are for: {', '.join(others)}") if others else ("", "")
    )
    return NoGrantError(
        "SHR-NO-GRANT-MATTER",
        zh=f"本部门没有用于事项“{matter}”的授权",
        en=f"Your department has no grant for the matter '{matter}'",
        fix_zh=f"核对 X-Matter，或为该事项提出共享申请{zh}",
        fix_en=f"Check X-Matter, or apply for grants for this matter{en}",
    )


def wrong_kind() -> MalformedError:
    """The body does not say whom it is about."""
    return MalformedError(
        "SHR-SUBJECT",
        zh="请求体应写明主体：key 为文本，kind 为 firm 或 person",
        en="The body names the subject: `key` is text, `kind` is firm or person",
        fix_zh='请求体示例：{"kind": "firm", "key": "统一社会信用代码"}',
        fix_en='Body: {"kind": "firm", "key": "unified social credit code"}',
    )


def no_form(name: str) -> NotFoundError:
    """There is no form of that name."""
    return NotFoundError(
        "SHR-NO-FORM",
        zh=f"没有名为 {name[:64]} 的表单",
        en=f"There is no form named {name[:64]}",
        fix_zh="用 GET /v1/forms 查看已有的表单",
        fix_en="List the forms with GET /v1/forms",
    )
