"""Why a call is turned away at the door: too many are in work, the service is leaving, or the body came too slowly."""

from __future__ import annotations

from typing import ClassVar

from sharing.errors import SharingError


class BusyError(SharingError):
    """As many calls are in work as the service takes; this one was not looked at, not charged and not recorded."""

    status, title_zh, title_en = 503, "服务繁忙", "Busy"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls) -> BusyError:
        """Said at once, so that nobody waits in vain."""
        return cls(
            "SHR-BUSY",
            zh="同时处理的调用已达上限，这次调用没有受理，不计量",
            en="As many calls are in work as the service takes; this one was not taken and is not counted",
            fix_zh="按 Retry-After 稍后重试；经常如此时请管理员增加进程或调高 SHUTONG_API_CALLS",
            fix_en="Retry after Retry-After; when it is often so, operators: add workers or raise SHUTONG_API_CALLS",
        )


class LeavingError(SharingError):
    """The service is about to stop; this call was not looked at, not charged and not recorded."""

    status, title_zh, title_en = 503, "服务即将停止", "About to stop"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls) -> LeavingError:
        """The connection is closed with it: the next one leads to another machine, or to the service begun anew."""
        return cls(
            "SHR-LEAVING",
            zh="这个服务进程即将停止，这次调用没有受理，不计量",
            en="This part of the service is about to stop; the call was not taken and is not counted",
            fix_zh="重新连接后重试",
            fix_en="Connect anew and retry",
        )


class SlowError(SharingError):
    """The body did not come within the time there is for it."""

    status, title_zh, title_en = 408, "请求体传输过慢", "The body came too slowly"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls, seconds: int) -> SlowError:
        """The connection is closed with it: the rest of the body stays unread."""
        return cls(
            "SHR-SLOW",
            zh=f"请求体没有在 {seconds} 秒内传完",
            en=f"The body did not arrive within {seconds} seconds",
            fix_zh="检查网络后重试；大批数据请分批",
            fix_en="Check the network and retry; send much data in parts",
        )


class OperatorsOnlyError(SharingError):
    """The page is for those who run the service."""

    status, title_zh, title_en = 403, "仅供运维", "For operators"

    @classmethod
    def of(cls) -> OperatorsOnlyError:
        """Neither the address nor the token is one that may read it."""
        return cls(
            "SHR-OPERATORS",
            zh="此页只对运维网段或持运维令牌者开放",
            en="This page is open to the operators' networks and to whoever has their token",
            fix_zh="管理员请设置 SHUTONG_API_METRICS_FROM 或密钥 metrics",
            fix_en="Operators: set SHUTONG_API_METRICS_FROM or the secret `metrics`",
        )
