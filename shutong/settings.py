"""Every setting: its name, default and one sentence; the only place that reads the environment."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import ShutongError

LARGEST_PORT, MOST_WORKERS, DIGITS = 65535, 256, 5
MOST_CLAIMS = 1000  # beyond it nobody is kept from guessing
SECURITIES = ("starttls", "tls", "none")
ADDRESSINGS = ("path", "virtual")
SWITCHES = ("on", "off")
LONGEST_DAYS = 36_500
LONGEST_SECONDS = 3600
MOST_RELEASES = 1000  # each may keep a snapshot of a table, and every commit reads them all


class SettingError(ShutongError):
    """An environment variable says something that cannot be used."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable."""

    name: str
    default: str
    zh: str
    en: str


SETTINGS = (
    Setting("SHUTONG_HOME", "./var", "部署目录", "The deployment's folder"),
    Setting("SHUTONG_SHARED", "../shared", "示例与测试用真实数据所在目录", "Where the real sample data lies"),
    Setting(
        "SHUTONG_STATE_URL", "", "状态库地址，缺省为部署目录中的 SQLite", "State database; SQLite in the deployment"
    ),
    Setting(
        "SHUTONG_WAREHOUSE_URL",
        "",
        "数据仓库位置：目录或 s3://桶/前缀，缺省为部署目录中的 warehouse",
        "Where the warehouse lies: a folder or s3://bucket/prefix; warehouse in the deployment",
    ),
    Setting(
        "SHUTONG_CATALOG_URL",
        "",
        "表目录数据库地址，缺省为部署目录中的 SQLite；仓库在 s3 而状态库不是 SQLite 时与状态库相同",
        "Database that lists the tables; SQLite in the deployment, or the state database where the warehouse lies in"
        " s3 and that is no SQLite",
    ),
    Setting(
        "SHUTONG_S3_ENDPOINT",
        "",
        "对象存储地址 (http:// 或 https://)，其密钥为 s3_access_key 与 s3_secret_key",
        "Address of the object store (http:// or https://); its keys are the secrets s3_access_key and s3_secret_key",
    ),
    Setting("SHUTONG_S3_REGION", "us-east-1", "对象存储区域", "Region of the object store"),
    Setting(
        "SHUTONG_S3_ADDRESSING",
        "path",
        "桶名写在路径 (path) 还是主机名 (virtual) 中",
        "Whether the bucket stands in the path or in the host's name: path or virtual",
    ),
    Setting("SHUTONG_S3_CA", "", "对象存储自建证书机构的 PEM 文件", "PEM file of the object store's own authority"),
    Setting(
        "SHUTONG_S3_RETAIN_DAYS",
        "0",
        "原始批次不可删除的天数（须启用对象锁定），0 为不锁定",
        "Days for which nobody can remove what was received (needs object lock); 0 locks nothing",
    ),
    Setting("SHUTONG_KEEP_RELEASES", "20", "可回看的最近发布次数", "How many of the newest releases can still be read"),
    Setting(
        "SHUTONG_KEEP_DAYS",
        "7",
        "除此之外，最近若干个有发布的日子各保留最后一次发布",
        "Beside them, of so many newest days with a release the last one",
    ),
    Setting(
        "SHUTONG_KEYED_TWINS",
        "on",
        "为数据文件保留按主键取行的副本（最多占其十倍磁盘），使归并的开销只随变更：on 或 off",
        "Whether data files have keyed twins, for up to ten times their disk, so that a merge costs what changed:"
        " on or off",
    ),
    Setting(
        "SHUTONG_BACKUPS",
        "",
        "备份所在目录，缺省为部署目录中的 backups；宜放在另一块磁盘",
        "Folder of backups; backups in the deployment, better on another disk",
    ),
    Setting(
        "SHUTONG_SECRETS_KEY_FILE",
        "",
        "加密密钥库的密钥文件，缺省为部署目录中的 keys/secrets.key",
        "Key of the encrypted secrets; keys/secrets.key in the deployment",
    ),
    Setting("SHUTONG_API_HOST", "127.0.0.1", "共享接口监听地址", "Address the sharing API listens on"),
    Setting("SHUTONG_API_PORT", "8600", "共享接口端口", "Port of the sharing API; 0 takes a free one"),
    Setting("SHUTONG_API_WORKERS", "1", "共享接口进程数", "Worker processes of the sharing API"),
    Setting(
        "SHUTONG_API_CLAIMS",
        "5",
        "核验时一个部门每日对同一主体同一字段可提出的不同值",
        "Different claims a department may have verified a day about one field of one subject",
    ),
    Setting(
        "SHUTONG_API_PROXIES",
        "",
        "可信代理的网段（逗号分隔），只信它们写的 X-Forwarded-For",
        "Networks of proxies, by commas: X-Forwarded-For is believed from them only",
    ),
    Setting(
        "SHUTONG_API_CERTIFICATE_HEADER",
        "",
        "代理写入客户端证书的请求头，如 X-Client-Cert；代理不在本机时须有密钥 proxy",
        "Header in which a proxy tells the client's certificate, such as X-Client-Cert; one on another machine needs"
        " the secret proxy",
    ),
    Setting("SHUTONG_API_CALLS", "1024", "每个进程同时处理的调用上限", "Calls one worker has in work at once, at most"),
    Setting("SHUTONG_API_BODY_SECONDS", "20", "请求体须在几秒内传完", "Seconds that the body of a call has to arrive"),
    Setting(
        "SHUTONG_API_DRAIN_SECONDS",
        "0",
        "收到停止信号后先以未就绪状态继续应答几秒，供负载均衡撤下本机",
        "Seconds to go on answering, not ready, once asked to stop: for load balancers to notice",
    ),
    Setting(
        "SHUTONG_API_METRICS_FROM",
        "127.0.0.0/8,::1",
        "可读 /metrics 的网段（逗号分隔）；其他地址须持密钥 metrics",
        "Networks that may read /metrics, by commas; others show the secret metrics as a bearer token",
    ),
    Setting(
        "SHUTONG_API_ACCESS_LOG",
        "off",
        "是否写访问日志 logs/access.jsonl：on 或 off",
        "Whether calls are logged in logs/access.jsonl: on or off",
    ),
    Setting("SHUTONG_API_ACCESS_LOG_DAYS", "30", "旧访问日志保留天数", "Days that old access logs are kept"),
    Setting(
        "SHUTONG_TRACES_URL",
        "",
        "链路追踪收集端（OTLP/HTTP），如 http://10.0.0.9:4318/v1/traces，缺省不追踪",
        "Collector of traces (OTLP over HTTP), such as http://10.0.0.9:4318/v1/traces; none without it",
    ),
    Setting("SHUTONG_TRACES_PERCENT", "1", "追踪的调用比例（百分数）", "Of a hundred calls, how many are traced"),
    Setting(
        "SHUTONG_WEBHOOK_NETWORKS",
        "",
        "变更通知可发往的网段（逗号分隔），缺省只发往公网的 https 地址",
        "Networks that departments' webhooks may lie in, by commas; without any, public https addresses only",
    ),
    Setting("SHUTONG_AIRFLOW_PORT", "8680", "Airflow 界面端口", "Port of Airflow's own pages; 0 takes a free one"),
    Setting(
        "SHUTONG_SMTP_HOST",
        "",
        "发送告警的邮件服务器，缺省不发邮件",
        "Mail server for alarms; without it no mail is sent",
    ),
    Setting("SHUTONG_SMTP_PORT", "587", "邮件服务器端口", "Port of the mail server"),
    Setting("SHUTONG_SMTP_SECURITY", "starttls", "邮件加密：starttls、tls 或 none", "starttls, tls or none"),
    Setting(
        "SHUTONG_SMTP_USER",
        "",
        "邮件服务器用户名，口令为密钥 smtp_password",
        "User of the mail server; its password is the secret smtp_password",
    ),
    Setting("SHUTONG_SMTP_FROM", "shutong@localhost", "告警邮件的发件人", "Sender of alarms"),
    Setting("SHUTONG_SMTP_CA", "", "自建证书机构的 PEM 文件", "PEM file of your own certificate authority, for mail"),
    Setting("SHUTONG_LANG", "zh", "命令行语言：zh 或 en", "Language of the command line: zh or en"),
)
SECRET_PREFIX = "SHUTONG_SECRET_"  # noqa: S105 - a variable's prefix, not a secret


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server for alarms; no `host`: no mail."""

    host: str = ""
    port: int = 587
    security: str = "starttls"
    user: str = ""
    sender: str = "shutong@localhost"
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the warehouse lies: `url` and `catalog_url` as they are said, empty where the deployment's folder is meant.

    `keep_releases` and `keep_days` say how far back releases can be read, `keyed_twins` whether merges may find rows
    by key in twins of data files; backups lie in `backups`. The rest is about
    an object store and counts where `url` begins with s3://; `retain` in days.
    """

    url: str = ""
    catalog_url: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    addressing: str = "path"
    ca: Path | None = None
    retain: int = 0
    keep_releases: int = 20
    keep_days: int = 7
    keyed_twins: bool = True
    backups: Path = Path("backups")


@dataclass(frozen=True, slots=True)
class Operation:
    """How the sharing API is run: limits, who may read its metrics, its access log (in days, 0 for none), traces."""

    calls: int = 1024
    body_seconds: int = 20
    drain_seconds: int = 0
    metrics_from: tuple[str, ...] = ("127.0.0.0/8", "::1")
    access_log_days: int = 0
    traces_url: str = ""
    traces_percent: int = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings as values, read once at the edge and passed down."""

    home: Path
    shared: Path
    state_url: str
    secrets_key: Path
    api_host: str
    api_port: int
    api_workers: int
    airflow_port: int
    lang: str
    secrets: Mapping[str, str]
    smtp: Smtp = field(default_factory=Smtp)
    storage: Storage = field(default_factory=Storage)
    api_proxies: tuple[str, ...] = ()
    api_certificate_header: str = ""
    api_claims: int = 5
    webhook_networks: tuple[str, ...] = ()
    operation: Operation = field(default_factory=Operation)


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; `environment` stands in for os.environ in tests. Raises SettingError."""
    env = os.environ if environment is None else environment
    said = {one.name: env.get(one.name) or one.default for one in SETTINGS}
    home = Path(said["SHUTONG_HOME"]).expanduser().resolve()
    return Settings(
        home=home,
        shared=Path(said["SHUTONG_SHARED"]).expanduser().resolve(),
        state_url=said["SHUTONG_STATE_URL"] or f"sqlite:///{home}/state/state.db",
        secrets_key=Path(said["SHUTONG_SECRETS_KEY_FILE"] or home / "keys" / "secrets.key").expanduser(),
        api_host=said["SHUTONG_API_HOST"],
        api_port=_number(said, "SHUTONG_API_PORT", 0, LARGEST_PORT),
        api_workers=_number(said, "SHUTONG_API_WORKERS", 1, MOST_WORKERS),
        airflow_port=_number(said, "SHUTONG_AIRFLOW_PORT", 0, LARGEST_PORT),
        lang=language(env),
        secrets={
            name.removeprefix(SECRET_PREFIX).lower(): value
            for name, value in env.items()
            if name.startswith(SECRET_PREFIX)
        },
        smtp=Smtp(
            host=said["SHUTONG_SMTP_HOST"],
            port=_number(said, "SHUTONG_SMTP_PORT", 1, LARGEST_PORT),
            security=_choice(said, "SHUTONG_SMTP_SECURITY", SECURITIES),
            user=said["SHUTONG_SMTP_USER"],
            sender=said["SHUTONG_SMTP_FROM"],
            ca=Path(said["SHUTONG_SMTP_CA"]).expanduser() if said["SHUTONG_SMTP_CA"] else None,
        ),
        storage=_storage(said, home),
        api_proxies=_networks(said, "SHUTONG_API_PROXIES"),
        api_claims=_number(said, "SHUTONG_API_CLAIMS", 1, MOST_CLAIMS),
        api_certificate_header=_header(said, "SHUTONG_API_CERTIFICATE_HEADER"),
        webhook_networks=_networks(said, "SHUTONG_WEBHOOK_NETWORKS"),
        operation=_operation(said),
    )


def _operation(said: Mapping[str, str]) -> Operation:
    logged = _choice(said, "SHUTONG_API_ACCESS_LOG", SWITCHES) == "on"
    return Operation(
        calls=_number(said, "SHUTONG_API_CALLS", 1, LARGEST_PORT),
        body_seconds=_number(said, "SHUTONG_API_BODY_SECONDS", 1, LONGEST_SECONDS),
        drain_seconds=_number(said, "SHUTONG_API_DRAIN_SECONDS", 0, LONGEST_SECONDS),
        metrics_from=_networks(said, "SHUTONG_API_METRICS_FROM"),
        access_log_days=_number(said, "SHUTONG_API_ACCESS_LOG_DAYS", 1, LONGEST_DAYS) if logged else 0,
        traces_url=_collector(said, "SHUTONG_TRACES_URL"),
        traces_percent=_number(said, "SHUTONG_TRACES_PERCENT", 0, 100),
    )


def _collector(said: Mapping[str, str], name: str) -> str:
    text = said[name]
    if text and not re.fullmatch(r"https?://[^\s@]+", text):
        raise SettingError(
            "SYS-SETTING",
            zh=f"{name} 不是收集端地址",
            en=f"{name} is no address of a collector",
            fix_zh="例如 http://10.0.0.9:4318/v1/traces，不带用户名与口令，或不设置",
            fix_en="For example http://10.0.0.9:4318/v1/traces, without a user's name, or leave it unset",
        )
    return text


def _storage(said: Mapping[str, str], home: Path) -> Storage:
    return Storage(
        url=said["SHUTONG_WAREHOUSE_URL"],
        catalog_url=said["SHUTONG_CATALOG_URL"],
        endpoint=said["SHUTONG_S3_ENDPOINT"].rstrip("/"),
        region=said["SHUTONG_S3_REGION"],
        addressing=_choice(said, "SHUTONG_S3_ADDRESSING", ADDRESSINGS),
        ca=Path(said["SHUTONG_S3_CA"]).expanduser() if said["SHUTONG_S3_CA"] else None,
        retain=_number(said, "SHUTONG_S3_RETAIN_DAYS", 0, LONGEST_DAYS),
        keep_releases=_number(said, "SHUTONG_KEEP_RELEASES", 1, MOST_RELEASES),
        keep_days=_number(said, "SHUTONG_KEEP_DAYS", 0, MOST_RELEASES),
        keyed_twins=_choice(said, "SHUTONG_KEYED_TWINS", SWITCHES) == "on",
        backups=Path(said["SHUTONG_BACKUPS"] or home / "backups").expanduser(),
    )


def language(environment: Mapping[str, str] | None = None) -> str:
    """The language to speak, zh or en, whatever the other settings say."""
    env = os.environ if environment is None else environment
    return "en" if env.get("SHUTONG_LANG", "").startswith("en") else "zh"


def _number(said: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = said[name]
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS and least <= int(text) <= most):
        raise SettingError(
            "SYS-SETTING",
            zh=f"{name}=“{text}”不能用",
            en=f"{name}='{text}' cannot be used",
            fix_zh=f"写 {least} 到 {most} 之间的整数，或不设置",
            fix_en=f"Write a whole number from {least} to {most}, or leave it unset",
        )
    return int(text)


def _networks(said: Mapping[str, str], name: str) -> tuple[str, ...]:
    texts = tuple(one.strip() for one in said[name].split(",") if one.strip())
    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise SettingError(
                "SYS-SETTING",
                zh=f"{name} 中的“{text}”不是网段",
                en=f"'{text}' in {name} is no network",
                fix_zh="例如 10.2.0.0/16,127.0.0.1，或不设置",
                fix_en="For example 10.2.0.0/16,127.0.0.1, or leave it unset",
            ) from None
    return texts


def _header(said: Mapping[str, str], name: str) -> str:
    text = said[name]
    if text and not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        raise SettingError(
            "SYS-SETTING",
            zh=f"{name}=“{text}”不能用",
            en=f"{name}='{text}' cannot be used",
            fix_zh="写请求头的名称，例如 X-Client-Cert，或不设置",
            fix_en="Write the name of a header such as X-Client-Cert, or leave it unset",
        )
    return text


def _choice(said: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    if said[name] not in allowed:
        raise SettingError(
            "SYS-SETTING",
            zh=f"{name}=“{said[name]}”不能用",
            en=f"{name}='{said[name]}' cannot be used",
            fix_zh=f"可用：{'、'.join(allowed)}，或不设置",
            fix_en=f"Choose from {', '.join(allowed)}, or leave it unset",
        )
    return said[name]
