"""The words of a report, in Chinese and English, said once for all renderings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quality.reports.values import Language, Words

_SAID: Final[Mapping[str, tuple[str, str]]] = {
    "title_run": ("质量报告", "Quality report"),
    "title_period": ("部门质量报告", "Department quality report"),
    "colon": ("：", ": "),
    "show": ("展开", "Show"),
    "all_rules": ("全部规则", "All rules"),
    "run": ("运行", "Run"),
    "period": ("期间", "Period"),
    "before": ("对比", "Compared with"),
    "made_at": ("生成时间", "Made at"),
    "nothing_before": ("没有更早的检查", "no earlier check"),
    "flow": ("数据去向", "What became of the rows"),
    "received": ("收到", "Received"),
    "checked": ("检查", "Checked"),
    "landed": ("入库", "Landed"),
    "quarantined": ("隔离", "Quarantined"),
    "for_quarantine": ("应隔离", "For quarantine"),
    "superseded": ("被更新取代", "Superseded"),
    "deleted": ("按来源删除", "Deleted at source"),
    "held": ("挂起", "Held"),
    "rejected": ("退回", "Rejected"),
    "decision": ("结论", "Decision"),
    "pass": ("通过", "Pass"),
    "warn": ("通过，有警告", "Pass with warnings"),
    "hold": ("挂起", "Held"),
    "dimensions": ("评价维度", "Dimensions"),
    "indicators": ("评价指标", "Indicators"),
    "measured": ("已测量指标", "Indicators measured"),
    "of": ("全部指标", "Of"),
    "total": ("总分", "Total score"),
    "a": ("分子 A", "Numerator A"),
    "b": ("分母 B", "Denominator B"),
    "dimension": ("维度", "Dimension"),
    "good": ("合格判定", "Good judgements"),
    "judged": ("全部判定", "All judgements"),
    "share": ("占比", "Share"),
    "score": ("得分", "Score"),
    "rules": ("规则", "Rules"),
    "rule": ("规则", "Rule"),
    "violated": ("被违反", "Violated"),
    "not_evaluated": ("无法执行", "Not evaluated"),
    "not_measured": ("未测量", "not measured"),
    "failed_rules": ("被违反的规则", "Rules that were violated"),
    "error_rules": ("无法执行的规则", "Rules that could not be evaluated"),
    "repaired_rules": ("已更正或仅供参考", "Put right, or worth knowing"),
    "repaired_note": (
        "这些行照常入库；请源系统按规范书写。",
        "These rows land; the source system should write them so itself.",
    ),
    "fixed_rules": ("已解决", "Fixed since"),
    "error_note": (
        "无法执行不等于违反：这些规则没有结论，需要修规则或数据源。",
        "Not evaluated is not the same as violated: these rules have no answer until rule or source is mended.",
    ),
    "severity": ("级别", "Severity"),
    "error": ("错误", "error"),
    "warning": ("警告", "warning"),
    "info": ("提示", "information"),
    "indicator": ("指标", "Indicator"),
    "rows": ("行数", "Rows"),
    "evaluated": ("检查的行", "Rows looked at"),
    "rows_before": ("上次", "Before"),
    "change": ("变化", "Change"),
    "changed_rule": ("规则定义与上次不同", "the rule is not defined as before"),
    "all_good": ("条规则没有行违反", "rules were violated by no row"),
    "first": ("首次检查", "first check"),
    "new": ("新增", "new"),
    "still": ("持续", "still"),
    "fixed": ("已解决", "fixed"),
    "clean": ("正常", "clean"),
    "gone": ("不再检查", "no longer checked"),
    "unknown": ("未知", "unknown"),
    "fix": ("办法", "What to do"),
    "why": ("原因", "Why"),
    "checks": ("检查记录", "Checks"),
    "checked_at": ("检查时间", "Checked at"),
    "batch": ("批次", "Batch"),
    "reason": ("说明", "Reason"),
    "remark": ("备注", "Remark"),
    "departments": ("部门排名", "Departments"),
    "department": ("部门", "Department"),
    "rank": ("名次", "Rank"),
    "accepted": ("可入库行", "Rows that may land"),
    "accepted_share": ("行合格率", "Share of rows"),
    "judged_share": ("判定合格率", "Share of judgements"),
    "ranked_since": ("统计起始日", "Counted since"),
    "trend": ("隔离率走势", "Share of rows in quarantine over time"),
    "at": ("时间", "At"),
    "orders": ("质量工单", "Work orders"),
    "orders_waiting": ("待办工单", "Orders waiting"),
    "opened": ("新开", "Opened"),
    "closed": ("关闭", "Closed"),
    "waiting": ("待办", "Waiting"),
    "overdue": ("逾期", "Overdue"),
    "number": ("编号", "No."),
    "state": ("状态", "State"),
    "open": ("待处理", "open"),
    "assigned": ("已指派", "assigned"),
    "answered": ("已答复", "answered"),
    "verified": ("已核验", "verified"),
    "waived": ("已豁免", "waived"),
    "opened_at": ("开单", "Opened at"),
    "due": ("期限", "Due"),
    "assignee": ("经办人", "Assignee"),
    "yes": ("是", "yes"),
    "failing": ("出错的行", "Failing rows"),
    "row": ("行号", "Row"),
    "key": ("键", "Key"),
    "also": ("违反的全部规则", "All rules violated"),
    "values": ("相关的值", "Values concerned"),
    "all_rows": ("全部行", "All of them"),
    "shown_of": ("行，共", "rows shown, of"),
    "masked_note": (
        "个人信息已脱敏；可能错位的行只显示字形（A 字母、9 数字、汉 汉字）。",
        "Personal data is masked; of rows that may be shifted only the shape is shown (A letter, 9 digit, 汉 Chinese).",
    ),
    "resource": ("资源", "Resource"),
    "name": ("名称", "Name"),
    "fate": ("去向", "Fate"),
    "what": ("内容", "What"),
    "none": ("没有", "none"),
    "summary": ("概要", "Summary"),
    "back": ("回到规则", "back to the rules"),
    "contents": ("目录", "Contents"),
    "field": ("字段", "Field"),
    "value": ("值", "Value"),
    "how": ("显示方式", "Shown"),
    "percent": ("占比", "Share"),
    "appeared": ("新出现", "appeared"),
    "vanished": ("消失", "vanished"),
    "filled": ("有值的占比", "filled"),
    "distinct": ("不同值", "distinct values"),
    "longest": ("最长", "longest"),
    "new_shape": ("新字形", "new shape"),
    "lost_shape": ("消失的字形", "lost shape"),
    "of_rules": ("条规则被违反", "rules violated"),
}


_OF_LIBRARIES = Words(
    "只按基础库测量：shutong quality scores --group library",
    "of libraries alone: shutong quality scores --group library",
)
# Why an indicator of GB/T 36344-2018 is not measured where it is not.
NOT_HERE = {
    "0401": _OF_LIBRARIES,
    "0601": _OF_LIBRARIES,
    "0602": _OF_LIBRARIES,
    "0106": Words("没有个人信息字段", "no field holds personal data"),
    "0502": Words(
        "资源文件未写 expect_within，或此前没有成功的运行",
        "the resource file promises nothing (expect_within), or there was no good run before",
    ),
}
NO_RULE = Words("没有规则属于该指标，或没有行可查", "no rule belongs to it, or there was no row to look at")


def why(error: str | None, lang: Language) -> str:
    """Why a rule could not be evaluated, in one language: errors are written down as `[code] Chinese | English`."""
    code, bracket, text = (error or "").partition("] ")
    halves = text.split(" | ")  # what an engine said stands in both halves, with the same signs in it
    if not code.startswith("[") or not bracket or len(halves) % 2:
        return error or ""
    middle = len(halves) // 2
    return f"{code}] {' | '.join(halves[middle:] if lang == 'en' else halves[:middle])}"


def say(key: str, lang: Language) -> str:
    """The text of that key; a value that has no text, such as a state of another version, stands for itself."""
    zh, en = _SAID.get(key, (key, key))
    return en if lang == "en" else zh
