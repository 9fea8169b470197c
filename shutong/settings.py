"""Every setting: its name, default and one sentence; the only place that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
    Setting("SHUTONG_API_HOST", "127.0.0.1", "共享接口监听地址", "Address the sharing API listens on"),
    Setting("SHUTONG_API_PORT", "8600", "共享接口端口", "Port of the sharing API; 0 takes a free one"),
    Setting("SHUTONG_API_WORKERS", "1", "共享接口进程数", "Worker processes of the sharing API"),
    Setting("SHUTONG_AIRFLOW_PORT", "8680", "Airflow 界面端口", "Port of Airflow's own pages; 0 takes a free one"),
    Setting("SHUTONG_LANG", "zh", "命令行语言：zh 或 en", "Language of the command line: zh or en"),
)
SECRET_PREFIX = "SHUTONG_SECRET_"  # noqa: S105 - a variable's prefix, not a secret


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings as values, read once at the edge and passed down."""

    home: Path
    shared: Path
    state_url: str
    api_host: str
    api_port: int
    api_workers: int
    airflow_port: int
    lang: str
    secrets: Mapping[str, str]


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; `environment` stands in for os.environ in tests."""
    env = os.environ if environment is None else environment
    said = {one.name: env.get(one.name) or one.default for one in SETTINGS}
    home = Path(said["SHUTONG_HOME"]).expanduser().resolve()
    return Settings(
        home=home,
        shared=Path(said["SHUTONG_SHARED"]).expanduser().resolve(),
        state_url=said["SHUTONG_STATE_URL"] or f"sqlite:///{home}/state/state.db",
        api_host=said["SHUTONG_API_HOST"],
        api_port=int(said["SHUTONG_API_PORT"]),
        api_workers=int(said["SHUTONG_API_WORKERS"]),
        airflow_port=int(said["SHUTONG_AIRFLOW_PORT"]),
        lang="en" if said["SHUTONG_LANG"].startswith("en") else "zh",
        secrets={
            name.removeprefix(SECRET_PREFIX).lower(): value
            for name, value in env.items()
            if name.startswith(SECRET_PREFIX)
        },
    )
