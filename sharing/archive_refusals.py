"""Why call records are not put away, or their files not removed."""

from __future__ import annotations

from sharing.errors import SharingError


class ArchiveError(SharingError):
    """The records stay where they are."""

    status, title_zh, title_en = 500, "调用记录未归档", "Call records were not put away"


def unlike_seal(day: str) -> ArchiveError:
    """Putting away something else would hide that it was changed."""
    return ArchiveError(
        "SHR-ARCHIVE-SEAL",
        zh=f"{day} 的调用记录与当日封条不符，没有归档",
        en=f"The records of {day} are not those that were sealed; they were not put away",
        fix_zh="执行 shutong ledger verify 查明后从备份恢复该日的文件",
        fix_en="Look into it with `shutong ledger verify`, and restore that day's files from a backup",
    )


def unlike_table(segment: str) -> ArchiveError:
    """The file is the only true copy."""
    return ArchiveError(
        "SHR-ARCHIVE-TABLE",
        zh=f"数据仓库中的 {segment} 与文件不同，文件没有删除",
        en=f"The warehouse holds something else than {segment}; the file was not removed",
        fix_zh="执行 shutong warehouse verify 与 shutong ledger verify 查明",
        fix_en="Look into it with `shutong warehouse verify` and `shutong ledger verify`",
    )


def too_soon(least: int) -> ArchiveError:
    """Something still reads the files."""
    return ArchiveError(
        "SHR-ARCHIVE-SOON",
        zh=f"调用记录的文件至少保留 {least} 天",
        en=f"Files of call records are kept for {least} days at least",
        fix_zh=f"--keep-days 不小于 {least}",
        fix_en=f"Give --keep-days {least} or more",
    )
