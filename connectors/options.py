"""Read a connector's options from a resource file, and say which option is wrong and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from connectors.errors import SourceError, listed, nearest
from schemas.values import Json

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Secrets(Protocol):
    """Where passwords and tokens come from; a resource file only names them."""

    def get(self, name: str) -> str:
        """The secret called `name`; raises LookupError or a ShutongError when there is none."""
        ...


def wrong(option: str, zh: str, en: str, allowed: Sequence[str] = ()) -> SourceError:
    """SRC-OPTION: the option called `option` cannot be used; `allowed` are the names or values it may have."""
    may_zh = f"可用：{listed(allowed)}" if allowed else "请修改资源文件"
    may_en = f"Allowed: {listed(allowed)}." if allowed else "Correct the resource file."
    return SourceError("SRC-OPTION", zh=f"选项 {option} {zh}", en=f"option {option} {en}", fix_zh=may_zh, fix_en=may_en)


def secret(secrets: Secrets, name: str) -> str:
    """The secret called `name`; SRC-SECRET when nobody has stored it."""
    try:
        return secrets.get(name)
    except LookupError:
        raise SourceError(
            "SRC-SECRET",
            zh=f"没有名为 {name} 的密钥",
            en=f"there is no secret named {name}",
            fix_zh=f"请先保存密钥 {name}",
            fix_en=f"Store the secret {name} first.",
        ) from None


class Options:
    """The options under one heading (`source`, `source.page`, …), read by type; an unknown key is an error at once."""

    def __init__(self, values: Mapping[str, Json], allowed: Sequence[str], heading: str = "source") -> None:
        self._values, self._heading = values, heading
        for key in values:
            if key not in allowed:
                close = nearest(key, allowed)
                zh, en = ("不存在", "does not exist")
                if close:
                    zh, en = f"不存在，是否想写 {close[0]}", f"does not exist; did you mean {close[0]}"
                raise wrong(self._named(key), zh, en, allowed)

    def _named(self, key: str) -> str:
        return f"{self._heading}.{key}"

    def has(self, key: str) -> bool:
        """True when the option is written and not null."""
        return self._values.get(key) is not None

    def value(self, key: str) -> Json:
        """The option as it is written, of whatever type; null when it is left out."""
        return self._values.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        """A text option; without a default it must be written."""
        value = self._values.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not value:
            raise wrong(self._named(key), "须为非空文本", "must be a text that is not empty")
        return value

    def maybe(self, key: str) -> str | None:
        """A text option that may be left out."""
        return self.text(key) if self.has(key) else None

    def choice(self, key: str, default: str, allowed: Sequence[str]) -> str:
        """A text option out of a fixed list."""
        value = self.text(key, default)
        if value not in allowed:
            raise wrong(self._named(key), f"不能是 {value}", f"cannot be {value}", allowed)
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names; a single name may stand without brackets; left out is empty."""
        value = self._values.get(key)
        listed_names = [value] if isinstance(value, str) else value if value is not None else []
        if not isinstance(listed_names, list) or not all(isinstance(name, str) and name for name in listed_names):
            raise wrong(self._named(key), "须为名称列表", "must be a list of names")
        return tuple(str(name) for name in listed_names)

    def values(self, key: str) -> tuple[str, ...]:
        """A list of texts, numbers or truth values, each as JSON writes it; a single one may stand without brackets."""
        value = self._values.get(key)
        each = value if isinstance(value, list) else [] if value is None else [value]
        if any(isinstance(one, dict | list | None) for one in each):
            raise wrong(self._named(key), "须为值的列表", "must be a list of values")
        return tuple(str(one).lower() if isinstance(one, bool) else str(one) for one in each)

    def whole(self, key: str, default: int, least: int = 0) -> int:
        """A whole number, at least `least`."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise wrong(self._named(key), f"须为不小于 {least} 的整数", f"must be a whole number of at least {least}")
        return value

    def is_whole(self, key: str) -> bool:
        """True when the option is written as a whole number."""
        value = self._values.get(key)
        return isinstance(value, int) and not isinstance(value, bool)

    def number(self, key: str, default: float) -> float:
        """A number of at least zero."""
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise wrong(self._named(key), "须为不小于 0 的数", "must be a number of at least 0")
        return float(value)

    def is_mapping(self, key: str) -> bool:
        """True when the option is written as a mapping."""
        return isinstance(self._values.get(key), dict)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """True or false."""
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise wrong(self._named(key), "须为 true 或 false", "must be true or false")
        return value

    def texts(self, key: str) -> dict[str, str]:
        """A mapping of names to texts or numbers, numbers as text; left out is empty."""
        value = self._values.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or any(isinstance(one, dict | list | None) for one in value.values()):
            raise wrong(self._named(key), "须为一组键值", "must be a mapping of names to texts")
        return {str(name): str(one) for name, one in value.items()}

    def span(self, key: str, default: str) -> timedelta:
        """A length of time such as 30s, 10m, 2h or 1d."""
        said = re.fullmatch(r"(\d{1,9})([smhd])", self.text(key, default))
        if said is None:
            raise wrong(
                self._named(key), "须为时长，例如 30s、10m、2h、1d", "must be a time such as 30s, 10m, 2h or 1d"
            )
        return timedelta(seconds=int(said[1]) * _SECONDS[said[2]])

    def under(self, key: str, allowed: Sequence[str]) -> Options | None:
        """The options nested under `key`, or None when it is left out."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise wrong(self._named(key), "须为一组键值", "must be a mapping", allowed)
        return Options(value, allowed, self._named(key))
