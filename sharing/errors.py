"""Why a call is refused: one class per reason, each with its HTTP status and a title in both languages."""

from __future__ import annotations

from typing import ClassVar

from schemas.errors import ShutongError


class SharingError(ShutongError):
    """A call is refused or cannot be answered; `status` is what the caller gets over HTTP."""

    status: ClassVar[int] = 500
    title_zh: ClassVar[str] = "服务内部错误"
    title_en: ClassVar[str] = "Internal error"


class InternalError(SharingError):
    """Something of ours failed; the caller learns the request id and nothing else."""

    @classmethod
    def of(cls) -> InternalError:
        """The one wording there is: no cause, no trace."""
        return cls(
            "SHR-INTERNAL",
            zh="服务处理这次调用时出错，没有返回任何数据",
            en="The service failed while handling this call; no data was returned",
            fix_zh="请把 request_id 告诉平台管理员",
            fix_en="Give the request_id to the platform's operator",
        )


class NoKeyError(SharingError):
    """Nobody said who is asking."""

    status, title_zh, title_en = 401, "缺少接口密钥", "No API key"

    @classmethod
    def of(cls) -> NoKeyError:
        """The call carried neither X-Api-Key nor a bearer token."""
        return cls(
            "SHR-NO-KEY",
            zh="请求没有携带接口密钥",
            en="The call carries no API key",
            fix_zh="在请求头 X-Api-Key 中写入本部门的密钥",
            fix_en="Send your department's key in the X-Api-Key header",
        )


class WrongKeyError(SharingError):
    """The key is unknown, revoked or past its date; the caller is not told which."""

    status, title_zh, title_en = 401, "接口密钥无效", "API key not accepted"

    @classmethod
    def of(cls) -> WrongKeyError:
        """One wording for unknown, revoked and expired keys: a guesser learns nothing."""
        return cls(
            "SHR-WRONG-KEY",
            zh="接口密钥不存在、已吊销或已过期",
            en="The API key is unknown, revoked or expired",
            fix_zh="请向平台管理员申请新密钥",
            fix_en="Ask the platform's operator for a new key",
        )


class NoGrantError(SharingError):
    """The department has no grant that covers the call."""

    status, title_zh, title_en = 403, "没有授权", "Not granted"

    @classmethod
    def of(cls, library: str, grant: str | None = None) -> NoGrantError:
        """No grant for the library at all, or none of the name the caller gave."""
        named = f"（授权 {grant}）" if grant else ""
        which = f" under grant {grant}" if grant else ""
        return cls(
            "SHR-NO-GRANT",
            zh=f"本部门没有查询 {library} 的授权{named}",
            en=f"Your department has no grant for {library}{which}",
            fix_zh="提出共享申请，写明事项与依据",
            fix_en="Request the share, naming the matter and its legal basis",
        )

    @classmethod
    def expired(cls, grant: str, until: str) -> NoGrantError:
        """There was a grant, and its last day is over."""
        return cls(
            "SHR-GRANT-EXPIRED",
            zh=f"授权 {grant} 已于 {until} 到期",
            en=f"Grant {grant} ended on {until}",
            fix_zh="申请续期",
            fix_en="Ask for the grant to be renewed",
        )


class FieldNotGrantedError(SharingError):
    """A field was asked for by name that the grant does not give."""

    status, title_zh, title_en = 403, "字段未授权", "Field not granted"

    @classmethod
    def of(cls, field: str, grant: str) -> FieldNotGrantedError:
        """Says the same of a field that does not exist: the standard is not probed through errors."""
        shown = field[:64]
        return cls(
            "SHR-FIELD",
            zh=f"授权 {grant} 不包含字段 {shown}",
            en=f"Grant {grant} does not include the field {shown}",
            fix_zh="从 fields 中去掉该字段，或申请扩大授权",
            fix_en="Leave the field out of `fields`, or request a wider grant",
        )

    @classmethod
    def sought(cls, field: str, grant: str) -> FieldNotGrantedError:
        """Records may not be sought by the field, whether or not it may be seen."""
        shown = field[:64]
        return cls(
            "SHR-FIND",
            zh=f"授权 {grant} 不允许按字段 {shown} 查找",
            en=f"Grant {grant} does not let records be sought by {shown}",
            fix_zh="改用键查询，或申请在授权的 find 中写明该字段",
            fix_en="Look up by key, or ask for the field to be named in the grant's `find`",
        )


class NotFoundError(SharingError):
    """No such record, library, resource or path."""

    status, title_zh, title_en = 404, "没有找到", "Not found"

    @classmethod
    def record(cls, library: str) -> NotFoundError:
        """No record under that key, or none among the rows of the grant: the two are not told apart."""
        return cls(
            "SHR-NO-RECORD",
            zh=f"在授权范围内，{library} 没有这个键对应的记录",
            en=f"Within your grant, {library} has no record under this key",
            fix_zh="核对键值；若确有此主体，请提出数据异议",
            fix_en="Check the key; if the subject exists, raise a data dispute",
        )

    @classmethod
    def library(cls, library: str) -> NotFoundError:
        """There is no library of that name."""
        return cls(
            "SHR-NO-LIBRARY",
            zh=f"没有名为 {library[:64]} 的基础库",
            en=f"There is no library named {library[:64]}",
            fix_zh="用 GET /v1/libraries 查看已有的库",
            fix_en="List the libraries with GET /v1/libraries",
        )

    @classmethod
    def resource(cls, resource: str) -> NotFoundError:
        """There is no resource of that id."""
        return cls(
            "SHR-NO-RESOURCE",
            zh=f"目录中没有 {resource[:128]}",
            en=f"The directory has no resource {resource[:128]}",
            fix_zh="用 GET /v1/resources 查看目录",
            fix_en="See the directory with GET /v1/resources",
        )

    @classmethod
    def unserved(cls, resource: str) -> NotFoundError:
        """The resource is none that records are looked up in; that it exists at all is not said."""
        return cls(
            "SHR-NOT-SERVED",
            zh=f"{resource[:128]} 不提供按键查询",
            en=f"Records of {resource[:128]} are not looked up by key",
            fix_zh="查询其基础库，或请数据管理员在资源文件中写 serve: true",
            fix_en="Ask its base library, or have the data manager write serve: true in the resource file",
        )

    @classmethod
    def path(cls) -> NotFoundError:
        """The path is not part of the contract; it is not echoed, because it may hold a personal key."""
        return cls(
            "SHR-NO-PATH",
            zh="接口中没有这个路径",
            en="The contract has no such path",
            fix_zh="接口说明见 /openapi.json",
            fix_en="The contract is at /openapi.json",
        )


class NotAllowedError(SharingError):
    """The path exists, the method does not; `allow` names those that do, which RFC 9110 wants told."""

    status, title_zh, title_en = 405, "方法不允许", "Method not allowed"
    allow = ""

    @classmethod
    def of(cls, allow: str) -> NotAllowedError:
        """A plain wrong method."""
        error = cls(
            "SHR-METHOD",
            zh="该路径不支持这个方法",
            en="This path does not support the method",
            fix_zh="接口说明见 /openapi.json",
            fix_en="The contract is at /openapi.json",
        )
        error.allow = allow
        return error

    @classmethod
    def personal(cls, library: str, kind: str = "libraries") -> NotAllowedError:
        """A person's key was put into a URL, where proxies and logs would keep it."""
        return cls(
            "SHR-PERSONAL-KEY-IN-URL",
            zh=f"{library} 含个人信息，键不得出现在网址中",
            en=f"{library} holds personal data; its keys must not travel in a URL",
            fix_zh=f"改用 POST /v1/{kind}/{library}/records，在请求体中写 key",
            fix_en=f"POST to /v1/{kind}/{library}/records with the key in the body",
        )


class TooLargeError(SharingError):
    """The body is larger than any call needs."""

    status, title_zh, title_en = 413, "请求体过大", "Body too large"

    @classmethod
    def of(cls, limit: int) -> TooLargeError:
        """`limit` in bytes."""
        return cls(
            "SHR-TOO-LARGE",
            zh=f"请求体超过 {limit} 字节",
            en=f"The body is larger than {limit} bytes",
            fix_zh="分批查询",
            fix_en="Ask in smaller batches",
        )


class MalformedError(SharingError):
    """The key or the body cannot be what it should be."""

    status, title_zh, title_en = 422, "请求格式错误", "Malformed request"

    @classmethod
    def key(cls, kind_zh: str, kind_en: str, place: int | None = None) -> MalformedError:
        """A key that fails its own check digits; `place` counts from 1 in a batch. The key is not repeated."""
        at_zh = f"第 {place} 个键" if place else "键"
        at_en = f"Key number {place}" if place else "The key"
        return cls(
            "SHR-KEY-FORMAT",
            zh=f"{at_zh}不是有效的{kind_zh}",
            en=f"{at_en} is not a valid {kind_en}",
            fix_zh="核对位数、大小写与校验码后重试",
            fix_en="Check its length, letter case and check digit",
        )

    @classmethod
    def body(cls, zh: str, en: str, example: str = '{"key": "…", "fields": ["…"]}') -> MalformedError:
        """The JSON body is not of the documented shape; `example` is one that is."""
        return cls(
            "SHR-BODY",
            zh=zh,
            en=en,
            fix_zh=f"请求体示例：{example}；各字段见 /docs",
            fix_en=f"Body: {example}; /docs has every field",
        )

    @classmethod
    def sought(cls, zh: str, en: str) -> MalformedError:
        """The body of a query is not of the documented shape."""
        return cls(
            "SHR-QUERY",
            zh=zh,
            en=en,
            fix_zh='请求体示例：{"equal": {"division": "330106"}, "prefix": {"ent_name": "杭州"}, "limit": 100}',
            fix_en='Body: {"equal": {"division": "330106"}, "prefix": {"ent_name": "A"}, "limit": 100}',
        )

    @classmethod
    def verification(cls, zh: str, en: str) -> MalformedError:
        """The body of a verification is not of the documented shape."""
        fix = '{"key": "…", "claims": {"legal_rep_name": "…"}}'
        return cls("SHR-CLAIMS", zh=zh, en=en, fix_zh=f"请求体示例：{fix}", fix_en=f"Body: {fix}")

    @classmethod
    def not_indexed(cls, subject: str) -> MalformedError:
        """None of the fields asked by has an index that could lead."""
        return cls(
            "SHR-NOT-INDEXED",
            zh=f"所写字段都不是 {subject} 的查询字段",
            en=f"None of the fields has an index in {subject}",
            fix_zh="至少写一个可查询字段（主键、标识或名称），其余字段用于筛选",
            fix_en="Name one that has an index (the key, an identifier, a name); the others then filter",
        )

    @classmethod
    def mark(cls) -> MalformedError:
        """The mark is none that an answer to this query gave."""
        return cls(
            "SHR-MARK",
            zh="翻页标记不是本次查询的应答给出的",
            en="The page mark is none that an answer to this query gave",
            fix_zh="从第一页重新查询，条件不变，原样带回 after",
            fix_en="Begin with the first page; keep the query the same and hand back `after` as it is",
        )

    @classmethod
    def parameter(cls, name: str) -> MalformedError:
        """A parameter of query, path or header is out of range, or of another type; `name` as the contract has it."""
        return cls(
            "SHR-PARAMETER",
            zh=f"参数 {name} 的取值不在允许的范围内",
            en=f"The parameter {name} has a value that is not allowed",
            fix_zh="允许的取值见 /docs",
            fix_en="What is allowed stands in /docs",
        )


class QuotaSpentError(SharingError):
    """The grant's daily quota does not cover this call; tomorrow (Asia/Shanghai) it will."""

    status, title_zh, title_en = 429, "配额已用完", "Quota spent"
    retryable: ClassVar[bool] = True

    @classmethod
    def of(cls, grant: str, per_day: int, left: int) -> QuotaSpentError:
        """`per_day` and `left` count keys asked for."""
        return cls(
            "SHR-QUOTA",
            zh=f"授权 {grant} 每日配额 {per_day}，今日剩余 {left}",
            en=f"Grant {grant} allows {per_day} a day; {left} left today",
            fix_zh="明日零时（北京时间）后重试，或申请提高配额",
            fix_en="Try after midnight Asia/Shanghai, or ask for a higher quota",
        )


class UnavailableError(SharingError):
    """A part the answer depends on does not work at the moment; nothing was answered."""

    status, title_zh, title_en = 503, "服务暂不可用", "Temporarily unavailable"
    retryable: ClassVar[bool] = True

    @classmethod
    def meter(cls) -> UnavailableError:
        """The call could not be recorded durably, so it is not answered."""
        return cls(
            "SHR-METER",
            zh="调用记录无法写入磁盘，按规定不予应答",
            en="The call record could not be made durable, so no answer is given",
            fix_zh="请稍后重试；管理员请检查计量目录的磁盘",
            fix_en="Retry later; operators: check the disk of the meter folder",
        )

    @classmethod
    def state(cls) -> UnavailableError:
        """The state database does not answer."""
        return cls(
            "SHR-STATE",
            zh="状态数据库暂时无法访问，不能核验密钥与用量",
            en="The state database does not answer right now, so keys and usage cannot be checked",
            fix_zh="请稍后重试；管理员请检查状态数据库",
            fix_en="Retry later; operators: check the state database",
        )

    @classmethod
    def keeping(cls) -> UnavailableError:
        """A pushed batch could not be made durable."""
        return cls(
            "SHR-PUSH-KEEP",
            zh="批次无法写入磁盘，没有收下",
            en="The batch could not be made durable; it was not taken",
            fix_zh="请稍后用同一编号重新推送；管理员请检查仓库目录的磁盘",
            fix_en="Push it again later under the same id; operators: check the disk of the warehouse",
        )

    @classmethod
    def store(cls, library: str) -> UnavailableError:
        """The library has no readable serving store."""
        return cls(
            "SHR-STORE",
            zh=f"{library} 尚未发布或暂时无法读取",
            en=f"{library} is not published yet or cannot be read right now",
            fix_zh="请稍后重试；管理员请查看 /healthz",
            fix_en="Retry later; operators: see /healthz",
        )


class MisconfiguredError(SharingError):
    """The service cannot start as configured."""

    status, title_zh, title_en = 500, "配置错误", "Not configured rightly"
