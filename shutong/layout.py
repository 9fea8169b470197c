"""Lay out a deployment's folder from an example that ships with Shutong."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from schemas.errors import ShutongError
from schemas.lines import read

PRIVATE = 0o600


class SetupError(ShutongError):
    """The deployment or this machine is not ready."""


def examples() -> Path:
    """Where the examples are: beside the packages in a checkout, inside `shutong` in an installed wheel."""
    here = Path(__file__).resolve().parent
    return here / "examples" if (here / "examples").is_dir() else here.parent / "examples"


def init(home: Path, example: str, *, force: bool = False) -> list[str]:
    """Copy an example into `home` and make its secrets; returns the files written.

    A deployment that exists is left alone (SYS-HOME-EXISTS) unless it is the same example laid out again, which adds
    only what is missing; `force` overwrites its files. Data and state are never touched.
    """
    source = examples() / example
    if not (source / "departments.yaml").exists():
        known = sorted(path.parent.name for path in examples().glob("*/departments.yaml"))
        raise SetupError(
            "SYS-EXAMPLE-UNKNOWN",
            zh=f"没有示例 {example}；可用：{'、'.join(known)}",
            en=f"there is no example {example}; there are: {', '.join(known)}",
            fix_zh=f"例如 shutong init --example {known[0] if known else 'enterprises'}",
            fix_en=f"For example shutong init --example {known[0] if known else 'enterprises'}",
        )
    marker = home / ".example"
    taken = (home / "departments.yaml").exists()
    if taken and not force and not (marker.exists() and marker.read_text().strip() == example):
        raise SetupError(
            "SYS-HOME-EXISTS",
            zh=f"{home} 中已有另一个部署",
            en=f"{home} already holds another deployment",
            fix_zh="换一个目录（SHUTONG_HOME=…），或加 --force 覆盖其配置文件（数据不动）",
            fix_en="Choose another folder (SHUTONG_HOME=…), or add --force to overwrite its settings, not its data",
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # what rests below is about firms and people
    except OSError as error:
        raise SetupError(
            "SYS-HOME-REFUSED",
            zh=f"无法建立部署目录 {home}：{error.strerror}",
            en=f"the deployment's folder {home} cannot be made: {error.strerror}",
            fix_zh="SHUTONG_HOME 须为可写的目录，不能是已有的文件",
            fix_en="Let SHUTONG_HOME name a folder that can be written, not a file",
        ) from error
    written = _copy(source, home, overwrite=force)
    marker.write_text(f"{example}\n")
    _make_secrets(home)
    return written


def _copy(source: Path, home: Path, *, overwrite: bool) -> list[str]:
    written = []
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if path.is_dir() or "__pycache__" in name.parts:
            continue
        target = home / name
        if target.exists() and not overwrite:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        written.append(str(name))
    return written


def _make_secrets(home: Path) -> None:
    """Give every secret that connections.yaml names, and the deployment's own, a random value once."""
    path = home / "secrets.yaml"
    known = dict(read_secrets(home))
    wanted = {"deployment", *_named_secrets(home)}
    missing = sorted(wanted - known.keys())
    if not missing:
        return
    known |= {name: secrets.token_urlsafe(24) for name in missing}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as file:
        file.writelines(f'{name}: "{value}"\n' for name, value in sorted(known.items()))


def _named_secrets(home: Path) -> set[str]:
    path = home / "connections.yaml"
    if not path.exists():
        return set()
    return {
        said
        for connection in read(path).named("connections").values()
        for key in connection.keys()  # noqa: SIM118 - a Node is no dict
        if key.endswith("_secret") and (said := connection.text(key))
    }


def read_secrets(home: Path) -> dict[str, str]:
    """The secrets file by name; refuses one that others may read (SYS-SECRETS-OPEN)."""
    path = home / "secrets.yaml"
    if not path.exists():
        return {}
    refuse_open(path)
    node = read(path)
    return {name: node.text(name) for name in node.keys()}  # noqa: SIM118 - a Node is no dict


def refuse_open(path: Path) -> None:
    """Refuse a file of secrets that others may read (SYS-SECRETS-OPEN)."""
    if path.stat().st_mode & 0o077:
        raise SetupError(
            "SYS-SECRETS-OPEN",
            zh=f"{path} 可被他人读取",
            en=f"others may read {path}",
            fix_zh=f"执行 chmod 600 {path}",
            fix_en=f"Run chmod 600 {path}",
        )
