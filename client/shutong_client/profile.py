"""A profile: one TOML file that says which exchange is asked, by whom, and under which grant.

address = "https://share.example.gov.cn"
grant = "tax-firms"              # where a department has several
matter = "税务登记"               # what calls are for
receipt_keys = "receipt-keys.json"   # the pinned public keys, beside the profile
receipts = "receipts"            # a folder in which receipts are kept

[credential]                     # one of three; secrets as they are, from a file or from the environment
key_env = "SHUTONG_KEY"          # an API key: key, key_file or key_env
# key_id = 17                    # a signed call: key_id and secret, secret_file or secret_env
# client_id = 4                  # a token for an hour: client_id and a key
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shutong_client.credentials import ApiKey, Credential, SignedCalls, Tokens
from shutong_client.errors import ProfileError

HOME: Final = "SHUTONG_CLIENT_HOME"
_TOP: Final = frozenset({"address", "grant", "matter", "receipt_keys", "receipts", "timeout", "patience", "credential"})
_SECRETS: Final = ("key", "secret")
_IN: Final = frozenset({"key_id", "client_id", "algorithm", *(a + b for a in _SECRETS for b in ("", "_file", "_env"))})


@dataclass(frozen=True, slots=True)
class Profile:
    """Where and as whom to call; `timeout` of one try and `patience` for all tries of a call are seconds."""

    address: str
    credential: Credential = field(repr=False)
    grant: str | None = None
    matter: str | None = None
    receipt_keys: Path | None = None
    receipts: Path | None = None
    timeout: float = 30.0
    patience: float = 45.0


def read(where: str | Path) -> Profile:
    """The profile in that file, or of that name in $SHUTONG_CLIENT_HOME (~/.config/shutong). Raises ProfileError."""
    path = Path(where)
    if path.suffix != ".toml":
        path = Path(os.environ.get(HOME) or Path.home() / ".config" / "shutong") / f"{where}.toml"
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise wrong(path, f"不能读取：{type(error).__name__}", f"it cannot be read: {type(error).__name__}") from None
    unknown = sorted(told.keys() - _TOP)
    if unknown:
        raise wrong(path, f"未定义的名称：{'、'.join(unknown)}", f"names that are not defined: {', '.join(unknown)}")
    address, credential = told.get("address"), told.get("credential")
    if not isinstance(address, str) or not address.startswith(("http://", "https://")):
        raise wrong(path, "缺少以 https:// 开头的 address", "it has no `address` that begins with https://")
    if not isinstance(credential, dict) or credential.keys() - _IN:
        raise wrong(path, "[credential] 缺失或含未定义的名称", "[credential] is missing or has a name not defined")
    return Profile(
        address.rstrip("/"), _credential(path, credential), _word(path, told, "grant"), _word(path, told, "matter"),
        _beside(path, told, "receipt_keys"), _beside(path, told, "receipts"), _seconds(path, told, "timeout", 30.0),
        _seconds(path, told, "patience", 45.0),
    )  # fmt: skip


def wrong(path: Path, zh: str, en: str) -> ProfileError:
    """The profile does not say what it must."""
    return ProfileError("CLI-PROFILE", zh=f"配置 {path.name}：{zh}", en=f"profile {path.name}: {en}",
                        fix_zh="对照 docs/client.zh-CN.md 修改", fix_en="Compare it with docs/client.md")  # fmt: skip


def _credential(path: Path, told: Mapping[str, object]) -> Credential:
    key, secret = (_secret(path, told, one) for one in _SECRETS)
    number, client = told.get("key_id"), told.get("client_id")
    algorithm = told.get("algorithm", "sha256")
    if isinstance(number, int) and secret and client is None and algorithm in {"sha256", "sm3"}:
        return SignedCalls(number, secret, str(algorithm))
    if isinstance(client, int) and key and number is None:
        return Tokens(client, key)
    if key and number is None and client is None:
        return ApiKey(key)
    raise wrong(
        path, "[credential] 应为 key，或 key_id 与 secret，或 client_id 与 key",
        "[credential] needs a key, or key_id and a secret, or client_id and a key",
    )  # fmt: skip


def _secret(path: Path, told: Mapping[str, object], name: str) -> str:
    found = [one for one in (name, f"{name}_file", f"{name}_env") if one in told]
    if len(found) > 1:
        raise wrong(path, f"{name} 只能写一处", f"`{name}` is said more than once")
    if not found:
        return ""
    value = str(told[found[0]])
    if found[0].endswith("_env"):
        value = os.environ.get(value, "")
    elif found[0].endswith("_file"):
        try:
            value = (path.parent / value).expanduser().read_text("utf-8")
        except OSError as error:
            raise wrong(path, f"{found[0]} 不能读取", f"{found[0]} cannot be read") from error
    if not value.strip():
        raise wrong(path, f"{found[0]} 为空", f"{found[0]} is empty")
    return value.strip()


def _word(path: Path, told: Mapping[str, object], name: str) -> str | None:
    value = told.get(name)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise wrong(path, f"{name} 应为文本", f"`{name}` must be text")
    return value.strip() if isinstance(value, str) else None


def _beside(path: Path, told: Mapping[str, object], name: str) -> Path | None:
    value = _word(path, told, name)
    return (path.parent / value).expanduser() if value is not None else None


def _seconds(path: Path, told: Mapping[str, object], name: str, usual: float) -> float:
    value = told.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:  # noqa: PLR2004 an hour
        raise wrong(path, f"{name} 应为秒数", f"`{name}` must be seconds")
    return float(value)
