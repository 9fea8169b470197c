"""Why nobody is told who looked."""

from __future__ import annotations

from sharing.errors import SharingError


class LookedError(SharingError):
    """Looking is refused."""

    status, title_zh, title_en = 422, "不能查看", "Looking is refused"


def no_reason(longest: int) -> LookedError:
    """Each look is recorded, with who and why."""
    return LookedError(
        "SHR-LOOKED-WHY",
        zh=f"须写明查看人与事由，各 1 至 {longest} 字",
        en=f"Who looks, and why, must be said in 1 to {longest} characters each",
        fix_zh="例如 --by zhangsan --why 本人申请查询",
        fix_en="For example --by zhangsan --why 'asked for by the person'",
    )
