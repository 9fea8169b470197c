"""A deployment's folder as values: departments, connections, resources, secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from connectors.options import Secrets
from runs.errors import unknown_resource
from runs.resources import Resource, load_resources
from schemas.lines import Node, read
from schemas.standard import Standard
from schemas.validators import scalar
from schemas.values import Json
from shutong.bundles import agreed
from shutong.layout import SetupError, read_secrets
from shutong.settings import Settings
from shutong.vault import Vault

_PASSWORD = re.compile(r"://[^:/@\s]*:[^@\s]+@|\b(password|pwd)\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Department:
    """A department 部门 that provides or asks for data."""

    id: str
    zh: str
    en: str
    uscc: str = ""  # 统一社会信用代码, its code in the directory


@dataclass(frozen=True, slots=True)
class Deployment:
    """Everything the folder says; `received` are the libraries that come from partners, in the standard agreed."""

    settings: Settings
    departments: tuple[Department, ...]
    connections: Mapping[str, Mapping[str, Json]]
    resources: tuple[Resource, ...]
    received: Mapping[str, Standard] = field(default_factory=dict)

    @property
    def libraries(self) -> dict[str, Standard]:
        """Every library by name, with the newest standard that resources merge into it, or that it comes in."""
        every = sorted((one.standard for one in self.resources), key=lambda one: one.version)
        return {**self.received, **{one.library: one for one in every if one.library}}

    @property
    def home(self) -> Path:
        """The deployment's folder."""
        return self.settings.home

    def department(self, name: str) -> Department:
        """The department of that id; SYS-DEPARTMENT-UNKNOWN when there is none."""
        for one in self.departments:
            if one.id == name:
                return one
        known = ", ".join(one.id for one in self.departments)
        raise SetupError(
            "SYS-DEPARTMENT-UNKNOWN",
            zh=f"没有部门 {name}；已有：{known}",
            en=f"there is no department {name}; there are: {known}",
            fix_zh=f"在 {self.home}/departments.yaml 中登记该部门，或改用已有部门",
            fix_en=f"Register it in {self.home}/departments.yaml, or name one that exists",
        )

    def resource(self, name: str) -> Resource:
        """The resource of that id, or of that name where only one department has it."""
        found = [one for one in self.resources if name in (one.id, one.name)]
        if len(found) != 1:
            raise unknown_resource(name, [one.id for one in self.resources])
        return found[0]

    def connection(self, resource: Resource) -> Mapping[str, Json]:
        """The entry of connections.yaml that a resource names; empty when it names none."""
        if resource.connection is None:
            return {}
        if resource.connection not in self.connections:
            known = ", ".join(self.connections) or "-"
            raise SetupError(
                "SYS-CONNECTION-UNKNOWN",
                zh=f"{resource.path} 引用的连接 {resource.connection} 未定义；已有：{known}",
                en=f"{resource.path} names an undefined connection {resource.connection}; there are: {known}",
                fix_zh=f"在 {self.home}/connections.yaml 中补上",
                fix_en=f"Add it to {self.home}/connections.yaml",
            )
        return self.connections[resource.connection]

    def expand(self, value: Json) -> Json:
        """`{home}` and `{shared}` filled in, wherever they stand in a value."""
        if isinstance(value, str):
            return value.replace("{home}", str(self.home)).replace("{shared}", str(self.settings.shared))
        if isinstance(value, list):
            return [self.expand(item) for item in value]
        if isinstance(value, dict):
            return {key: self.expand(item) for key, item in value.items()}
        return value


class DeploymentSecrets:
    """Secrets by name, from the first place that has one.

    `SHUTONG_SECRET_<NAME>` in the environment, the encrypted file (`shutong secret set`), `elsewhere` (inside Airflow:
    its connections), the deployment's secrets.yaml.
    """

    def __init__(self, settings: Settings, elsewhere: Secrets | None = None) -> None:
        self._home, self._environment, self._elsewhere = settings.home, settings.secrets, elsewhere
        self._vault = vault(settings)

    def get(self, name: str) -> str:
        """The secret; SYS-SECRET-MISSING names it and where to put it, never its value."""
        value = self._environment.get(name.lower()) or self._vault.find(name)
        if value is None and self._elsewhere is not None:
            with suppress(LookupError):
                value = self._elsewhere.get(name)
        if value is None:
            value = read_secrets(self._home).get(name)
        if value is None:
            raise SetupError(
                "SYS-SECRET-MISSING",
                zh=f"缺少密钥 {name}",
                en=f"the secret {name} is missing",
                fix_zh=f"执行 shutong secret set {name}，或设置环境变量 SHUTONG_SECRET_{name.upper()}",
                fix_en=f"Run shutong secret set {name}, or set SHUTONG_SECRET_{name.upper()}",
            )
        return value


def vault(settings: Settings) -> Vault:
    """The encrypted secrets of the deployment."""
    return Vault(settings.home / "secrets.enc", settings.secrets_key)


def load(settings: Settings) -> Deployment:
    """Read the folder; SYS-NO-HOME when there is none, StandardError with file and line for what cannot be used."""
    home = settings.home
    if not (home / "departments.yaml").exists():
        raise SetupError(
            "SYS-NO-HOME",
            zh=f"{home} 中还没有部署",
            en=f"there is no deployment in {home}",
            fix_zh="先执行 shutong init --example enterprises，或设置 SHUTONG_HOME",
            fix_en="Run `shutong init --example enterprises` first, or set SHUTONG_HOME",
        )
    departments = tuple(_department(one) for one in read(home / "departments.yaml").nodes("departments"))
    connections: dict[str, Mapping[str, Json]] = {}
    if (home / "connections.yaml").exists():
        for name, node in read(home / "connections.yaml").named("connections").items():
            connections[name] = {key: node.plain(key) for key in node.keys()}  # noqa: SIM118 - a Node is no dict
            _refuse_passwords(node, connections[name])
    return Deployment(settings, departments, connections, load_resources(home), agreed(home).received)


def _department(node: Node) -> Department:
    said = node.only("id", "zh", "en", "uscc")
    found = Department(said.text("id"), said.text("zh"), said.text("en"), said.text("uscc", default=""))
    if found.uscc and not scalar.valid("uscc", found.uscc, datetime.now(UTC).date()):
        node.fail(
            "uscc",
            zh=f"{found.uscc} 不是统一社会信用代码（18 位、字符集、校验位）",
            en=f"{found.uscc} is no unified social credit code (18 characters, alphabet, check character)",
            fix_zh="按登记证书核对，或删去此项",
            fix_en="Compare it with the certificate, or leave it out",
        )
    return found


def _refuse_passwords(node: Node, connection: Mapping[str, Json]) -> None:
    """A file that is copied, shown and kept in version control is no place for a password."""
    for key, value in connection.items():
        if isinstance(value, str) and _PASSWORD.search(value):
            node.fail(
                key,
                "地址中写有密码",
                "the address holds a password",
                "从地址中删去密码，写 password_secret: <名称>，再执行 shutong secret set <名称>",
                "Take it out of the address, write password_secret: <name> and run shutong secret set <name>",
                "SYS-CONNECTION-PASSWORD",
            )
