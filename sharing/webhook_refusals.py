"""Why a webhook is not taken, or cannot be shown."""

from __future__ import annotations

from sharing.errors import NotFoundError, SharingError


class AddressRefusedError(SharingError):
    """The address is none that the platform sends to."""

    status, title_zh, title_en = 422, "地址不能使用", "Address not accepted"

    @classmethod
    def of(cls) -> AddressRefusedError:
        """One wording: it does not tell what lies behind an address."""
        return cls(
            "SHR-WEBHOOK-ADDRESS",
            zh="通知地址不可用：须为 https，且在允许的网段内",
            en="The address cannot be used: it must be https, and within the networks that are allowed",
            fix_zh="使用 https 地址，不带用户名；内网地址请管理员写入 SHUTONG_WEBHOOK_NETWORKS",
            fix_en="Use https without a user; for private networks the operator sets SHUTONG_WEBHOOK_NETWORKS",
        )


class TooManyWebhooksError(SharingError):
    """The department has as many webhooks as it may."""

    status, title_zh, title_en = 409, "通知地址过多", "Too many webhooks"

    @classmethod
    def of(cls, most: int) -> TooManyWebhooksError:
        """`most` of a department."""
        return cls(
            "SHR-WEBHOOKS",
            zh=f"本部门已有 {most} 个通知地址",
            en=f"Your department has {most} webhooks",
            fix_zh="先删除不再使用的",
            fix_en="Remove one that is not needed any more",
        )


class NoWebhookError(NotFoundError):
    """There is no such webhook of this department."""

    @classmethod
    def of(cls) -> NoWebhookError:
        """One wording for unknown ones and those of others."""
        return cls(
            "SHR-NO-WEBHOOK",
            zh="本部门没有这个通知地址",
            en="Your department has no such webhook",
            fix_zh="用 GET /v1/webhooks 查看",
            fix_en="See them with GET /v1/webhooks",
        )
