"""Keep a deployment's secrets encrypted: each value under Fernet (AES-128-CBC, HMAC-SHA256), bound to its name."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from shutong.layout import PRIVATE, SetupError, refuse_open
from warehouse.lock import exclusive


class Vault:
    """Secrets by name in `file`, readable only with the key in `key_file`; both belong to their owner alone (0600).

    The key may lie on another disk or come as a systemd credential: whoever copies the deployment's folder without it
    has copied no secret.
    """

    def __init__(self, file: Path, key_file: Path) -> None:
        self._file, self._key_file = file, key_file
        self._new_key = key_file.with_name(key_file.name + ".new")
        self._lock = file.with_name(file.name + ".lock")  # of two who change secrets at once, each keeps the other's

    def names(self) -> list[str]:
        """The names of the secrets kept; needs no key."""
        return sorted(self._tokens())

    def find(self, name: str) -> str | None:
        """The secret, or None when there is none of that name; SYS-VAULT-KEY when the key does not open it."""
        token = self._tokens().get(name)
        while token is not None:
            try:
                return self._opened(name, token)
            except SetupError:
                before, token = token, self._tokens().get(name)
                if token == before:  # else the key was changed between our two looks
                    raise
        return None

    def put(self, name: str, value: str) -> None:
        """Keep a secret, in place of the one of that name; the first one makes the key."""
        with self._alone():
            self._put(name, value)

    def _put(self, name: str, value: str) -> None:
        self._finish()
        if not self._key_file.exists() and not self._tokens():
            self._key_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._key_file, Fernet.generate_key())
        sealed = self._fernet(self._key_file).encrypt(json.dumps([name, value]).encode()).decode()
        self._save({**self._tokens(), name: sealed})

    def remove(self, name: str) -> bool:
        """Forget a secret; False when there was none of that name."""
        if name not in self._tokens():
            return False
        with self._alone():
            kept = self._tokens()
            gone = kept.pop(name, None)
            if gone is not None:
                self._save(kept)
        return gone is not None

    def rotate(self) -> int:
        """Put every secret under a new key; returns how many there are.

        The new key waits as `<key>.new` until the secrets are sealed with it, and every reader tries both: killed
        anywhere, nothing is lost and the next rotation first ends this one.
        """
        if not self._tokens():
            return 0
        with self._alone():
            return self._rotate()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Change secrets while nobody else does; SYS-VAULT-WRITE where the disk does not let us."""
        try:
            with exclusive(self._lock):
                yield
        except OSError as error:
            raise _unwritable(self._file, error) from error

    def _rotate(self) -> int:
        self._finish()
        values = {name: self._opened(name, token) for name, token in self._tokens().items()}
        _write(self._new_key, Fernet.generate_key())
        fernet = self._fernet(self._new_key)
        self._save({n: fernet.encrypt(json.dumps([n, value]).encode()).decode() for n, value in values.items()})
        self._new_key.replace(self._key_file)
        return len(values)

    def _finish(self) -> None:
        """End a rotation that was cut short behind its last seal: what is sealed next is sealed with the same key."""
        tokens = self._tokens()
        if tokens and self._new_key.exists() and all(self._opens(self._new_key, *one) for one in tokens.items()):
            self._new_key.replace(self._key_file)

    def _tokens(self) -> dict[str, str]:
        if not self._file.exists():
            return {}
        refuse_open(self._file)
        try:
            kept = json.loads(self._file.read_text())
        except ValueError:
            raise _damaged(self._file) from None
        if not isinstance(kept, dict):
            raise _damaged(self._file)
        return {str(name): str(token) for name, token in kept.items()}

    def _save(self, tokens: Mapping[str, str]) -> None:
        _write(self._file, json.dumps(tokens, indent=1, sort_keys=True).encode())

    @staticmethod
    def _fernet(path: Path) -> Fernet:
        if not path.exists():
            raise _no_key(path)
        refuse_open(path)
        try:
            return Fernet(path.read_bytes().strip())
        except ValueError:
            raise _no_key(path) from None

    def _opened(self, name: str, token: str) -> str:
        """The value, under the key or the one a rotation that was cut short has left."""
        value = self._opens(self._key_file, name, token)
        if value is None and self._new_key.exists():
            value = self._opens(self._new_key, name, token)
        if value is None:
            raise _no_key(self._key_file)
        return value

    def _opens(self, key_file: Path, name: str, token: str) -> str | None:
        try:
            sealed_name, value = json.loads(self._fernet(key_file).decrypt(token.encode()))
        except (InvalidToken, ValueError):
            return None
        return str(value) if sealed_name == name else None


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _unwritable(path: Path, error: OSError) -> SetupError:
    return SetupError(
        "SYS-VAULT-WRITE",
        zh=f"无法写入 {error.filename or path}：{error.strerror or error}，密钥没有改变",
        en=f"{error.filename or path} cannot be written: {error.strerror or error}; the secrets are as they were",
        fix_zh="检查 SHUTONG_HOME 与 SHUTONG_SECRETS_KEY_FILE 所在目录的权限和磁盘空间，然后重试",
        fix_en="Check permissions and space where SHUTONG_HOME and SHUTONG_SECRETS_KEY_FILE lead, then try again",
    )


def _no_key(path: Path) -> SetupError:
    return SetupError(
        "SYS-VAULT-KEY",
        zh=f"密钥文件 {path} 不存在，或不是加密这些密文的那一个",
        en=f"the key file {path} does not exist, or is not the one the secrets were sealed with",
        fix_zh="恢复原密钥文件，或用 SHUTONG_SECRETS_KEY_FILE 指明其位置；遗失时逐项重新 shutong secret set",
        fix_en="Restore the key file or let SHUTONG_SECRETS_KEY_FILE name it; if it is lost, set each secret again with"
        " shutong secret set",
    )


def _damaged(path: Path) -> SetupError:
    return SetupError(
        "SYS-VAULT-DAMAGED",
        zh=f"加密密钥库 {path} 已损坏，无法读取",
        en=f"the encrypted secrets in {path} are damaged and cannot be read",
        fix_zh="从备份恢复该文件，或删除后逐项重新 shutong secret set",
        fix_en="Restore the file from a backup, or delete it and set each secret again with shutong secret set",
    )
