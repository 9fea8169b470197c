"""Why a person is not let in, may not do something, or cannot have the password they chose."""

from __future__ import annotations

from typing import ClassVar

from sharing.errors import SharingError


class LoginError(SharingError):
    """The log-in is refused; a guesser is not told whether the name, the password or the account is at fault."""

    status, title_zh, title_en = 401, "登录未成功", "Log-in refused"

    @classmethod
    def of(cls) -> LoginError:
        """One wording for an unknown name, a wrong password, an account without one, and one that is locked."""
        return cls(
            "SHR-LOGIN",
            zh="用户名或口令不对，或账号不可用",
            en="Name or password is wrong, or the account cannot be used",
            fix_zh="核对后再试；忘记口令或账号被锁，请联系平台管理员",
            fix_en="Check them and try again; if you cannot get in, ask the platform's operator",
        )

    @classmethod
    def elsewhere(cls) -> LoginError:
        """What the identity provider sent back is not ours, not in time, or about nobody we know."""
        return cls(
            "SHR-LOGIN-PROVIDER",
            zh="统一身份认证的结果不被接受",
            en="What the identity provider sent is not accepted",
            fix_zh="请从登录页重新开始；仍不成功，请平台管理员核对 login.yaml 与 people.yaml",
            fix_en="Begin again at the log-in page; if it fails again, the operator checks login.yaml and people.yaml",
        )

    @classmethod
    def invitation(cls) -> LoginError:
        """The code is unknown, used, or past its time."""
        return cls(
            "SHR-INVITATION",
            zh="邀请码不存在、已使用或已过期",
            en="The code is unknown, used, or past its time",
            fix_zh="请平台管理员用 shutong person invite 重新发出",
            fix_en="Ask the platform's operator for a new one (shutong person invite)",
        )


class SessionError(SharingError):
    """There is no session, or it has ended."""

    status, title_zh, title_en = 401, "没有登录", "Not logged in"

    @classmethod
    def none(cls) -> SessionError:
        """One wording for no session, an unknown one, and one that has ended."""
        return cls(
            "SHR-SESSION",
            zh="没有登录，或登录已经结束",
            en="Nobody is logged in, or the session has ended",
            fix_zh="请登录（POST /v1/session）",
            fix_en="Log in (POST /v1/session)",
        )


class ForgeryError(SharingError):
    """The call may come from another site in the name of whoever is logged in."""

    status, title_zh, title_en = 403, "请求不是从本平台页面发出的", "Not sent from a page of ours"

    @classmethod
    def of(cls) -> ForgeryError:
        """The token of the session is missing or another, or the browser says that another site sent it."""
        return cls(
            "SHR-CSRF",
            zh="请求头 X-CSRF-Token 缺失或与登录不符，或请求来自其他网站",
            en="The header X-CSRF-Token is missing or not that of the session, or another site sent the call",
            fix_zh="用 GET /v1/session 返回的 csrf 填写 X-CSRF-Token，并以 application/json 发送",
            fix_en="Send what GET /v1/session gives as `csrf` in X-CSRF-Token, and the body as application/json",
        )


class RoleError(SharingError):
    """The person has no role that may do this."""

    status, title_zh, title_en = 403, "没有此项权限", "Not a right of yours"

    @classmethod
    def of(cls, act_zh: str, act_en: str, roles: str) -> RoleError:
        """What they may not do, and the roles that may."""
        return cls(
            "SHR-ROLE",
            zh=f"您的角色不能{act_zh}",
            en=f"Your roles do not let you {act_en}",
            fix_zh=f"由具有以下角色的人员办理：{roles}",
            fix_en=f"Somebody with one of these roles may: {roles}",
        )


class WaitError(SharingError):
    """Too many attempts from there or for that name; the next one is judged after `seconds`."""

    status, title_zh, title_en = 429, "尝试过多，请稍后", "Too many attempts"
    retryable: ClassVar[bool] = True
    seconds: int = 1

    @classmethod
    def of(cls, seconds: float) -> WaitError:
        """`seconds` until the next attempt is judged; the same is said of names that nobody has."""
        whole = max(1, int(seconds) + 1)
        error = cls(
            "SHR-WAIT",
            zh=f"失败次数过多，{whole} 秒后可再试",
            en=f"Too many failures; try again in {whole} seconds",
            fix_zh="等待后再试；管理员可用 shutong person unlock 解除",
            fix_en="Wait, then try again; an operator can lift it with shutong person unlock",
        )
        error.seconds = whole
        return error


class CrowdError(SharingError):
    """More log-ins at once than the service works on."""

    status, title_zh, title_en = 503, "登录人数过多", "Too many log-ins at once"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls) -> CrowdError:
        """One's turn did not come in time."""
        return cls(
            "SHR-CROWD",
            zh="同时登录的请求过多，这次没有处理",
            en="Too many log-ins at once; this one was not looked at",
            fix_zh="请稍后重试",
            fix_en="Try again in a moment",
        )


class ProviderError(SharingError):
    """The identity provider does not answer, or not as OpenID Connect says."""

    status, title_zh, title_en = 503, "统一身份认证不可用", "Identity provider not available"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls, place: str) -> ProviderError:
        """`place` is which of its answers is missing or wrong, never what it holds."""
        return cls(
            "SHR-PROVIDER",
            zh=f"统一身份认证没有正确应答（{place}）",
            en=f"The identity provider does not answer as it should ({place})",
            fix_zh="请稍后重试；管理员核对 login.yaml 中 oidc 的地址与密钥",
            fix_en="Try again later; operators check the address and the secret under `oidc` in login.yaml",
        )


class PeopleError(SharingError):
    """Who the people are cannot be read, and was not read before."""

    status, title_zh, title_en = 503, "人员不可读", "People cannot be read"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls) -> PeopleError:
        """people.yaml is not as it should be since this process began."""
        return cls(
            "SHR-PEOPLE",
            zh="people.yaml 有误，无法登录",
            en="people.yaml is wrong, so nobody can log in",
            fix_zh="管理员执行 shutong person list，按提示更正",
            fix_en="Operators: shutong person list says what to correct",
        )


class WeakPasswordError(SharingError):
    """The password is one that others guess."""

    status, title_zh, title_en = 422, "口令太弱", "Password too weak"

    @classmethod
    def length(cls, least: int, most: int) -> WeakPasswordError:
        """`least` and `most` characters."""
        return cls(
            "SHR-PASSWORD-LENGTH",
            zh=f"口令应为 {least} 到 {most} 个字符",
            en=f"A password has {least} to {most} characters",
            fix_zh="几个不相干的词连起来，既长又好记",
            fix_en="A few words that have nothing to do with each other are long and easy to keep in mind",
        )

    @classmethod
    def plain(cls) -> WeakPasswordError:
        """Too few different characters, runs such as 1234 counted as one."""
        return cls(
            "SHR-PASSWORD-PLAIN",
            zh="口令中不同的字符太少，或多为连续字符",
            en="The password has too few different characters, or is mostly a run of neighbours",
            fix_zh="避免重复和 1234、abcd 之类的连续字符",
            fix_en="Avoid repetition, and runs such as 1234 and abcd",
        )

    @classmethod
    def often(cls) -> WeakPasswordError:
        """It is made of words that everybody tries first."""
        return cls(
            "SHR-PASSWORD-OFTEN",
            zh="口令由常用口令组成",
            en="The password is made of common ones",
            fix_zh="换一个别人想不到的",
            fix_en="Choose one that nobody thinks of",
        )

    @classmethod
    def named(cls) -> WeakPasswordError:
        """It has a name of the person, the department or the platform in it."""
        return cls(
            "SHR-PASSWORD-NAME",
            zh="口令中含有姓名、用户名、部门或平台的名称",
            en="The password has the name of the person, the department or the platform in it",
            fix_zh="去掉名称",
            fix_en="Leave names out",
        )

    @classmethod
    def same(cls) -> WeakPasswordError:
        """The new one is the old one."""
        return cls(
            "SHR-PASSWORD-SAME",
            zh="新口令与原口令相同",
            en="The new password is the old one",
            fix_zh="换一个新的",
            fix_en="Choose another",
        )
