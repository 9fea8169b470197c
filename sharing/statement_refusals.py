"""Why a statement cannot be made, read or believed."""

from __future__ import annotations

from sharing.errors import SharingError


class StatementError(SharingError):
    """There is no statement to go by."""

    status, title_zh, title_en = 422, "对账单不能使用", "No statement to go by"


class NoStatementError(StatementError):
    """None was issued."""

    status, title_zh, title_en = 404, "没有对账单", "No statement"

    @classmethod
    def of(cls, month: str) -> NoStatementError:
        """For that month."""
        return cls(
            "SHR-STATEMENT-NONE",
            zh=f"{month} 尚未出具本部门的对账单",
            en=f"No statement of yours was issued for {month}",
            fix_zh="对账单在次月 2 日夜间出具；当月的用量见 GET /v1/usage",
            fix_en="Statements are issued in the night of the 2nd of the next month; for this month ask GET /v1/usage",
        )


def no_statement() -> StatementError:
    """The file holds something else."""
    return StatementError(
        "SHR-STATEMENT-FORM",
        zh="这不是对账单：应为 JSON，含 statement 与 signature",
        en="This is no statement: it should be JSON with `statement` and `signature`",
        fix_zh="原样保存 GET /v1/statements 给出的对账单，或 shutong statement make 写出的 JSON 文件",
        fix_en="Keep what GET /v1/statements gave, or the JSON that `shutong statement make` wrote, as it was",
    )


def not_signed() -> StatementError:
    """The signature is of something else."""
    return StatementError(
        "SHR-STATEMENT-FORGED",
        zh="签名与对账单不符：对账单被改动",
        en="The signature is not of this statement: it was changed",
        fix_zh="向平台重新取得对账单",
        fix_en="Get the statement from the platform again",
    )


def bad_month() -> StatementError:
    """No month, or one to come."""
    return StatementError(
        "SHR-STATEMENT-MONTH",
        zh="月份应写作 2026-01，且不晚于本月",
        en="The month should be like 2026-01, and not after the present one",
        fix_zh="例如 2026-01",
        fix_en="For example 2026-01",
    )


def not_over(month: str) -> StatementError:
    """Calls of the month may still come, or a day of it has no seal."""
    return StatementError(
        "SHR-STATEMENT-EARLY",
        zh=f"{month} 尚未结束，或有日期尚未封存",
        en=f"{month} is not over, or a day of it is not sealed",
        fix_zh="次月 2 日起执行 shutong ledger seal 后再出具；加 --so-far 可先看到目前为止的",
        fix_en="From the 2nd of the next month on run `shutong ledger seal` first; --so-far shows what there is by now",
    )


def unlike_seal(day: str) -> StatementError:
    """The records of a day are not those that were sealed."""
    return StatementError(
        "SHR-STATEMENT-RECORDS",
        zh=f"{day} 的调用记录与当日封条不符，不能据以出具对账单",
        en=f"The records of {day} are not those that were sealed: no statement can be made from them",
        fix_zh="执行 shutong ledger verify 查明；已归档并移走的日期须在能读到数据仓库的机器上出具",
        fix_en="Look into it with `shutong ledger verify`; days put away need a machine that reads the warehouse",
    )


def issued_otherwise(month: str, consumer: str, provider: str) -> StatementError:
    """What was given out stays what it was."""
    return StatementError(
        "SHR-STATEMENT-DIFFERS",
        zh=f"{month} {consumer} 对 {provider or '平台'} 的对账单早已出具，内容不同，未予覆盖",
        en=f"Another statement of {consumer} for {provider or 'the platform'} in {month} was issued; that one stays",
        fix_zh="若改了 tariff.yaml 或资源的归属，请恢复原样；否则执行 shutong ledger verify",
        fix_en="If tariff.yaml or who provides what was changed, change it back; else run `shutong ledger verify`",
    )
