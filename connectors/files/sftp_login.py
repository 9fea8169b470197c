"""Log in to an SFTP server only if it proves to be the one expected, and say what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.errors import SourceError, SourceRefused, SourceUnavailable
from connectors.options import Options, Secrets, secret, wrong

if TYPE_CHECKING:
    import asyncssh

_ALIVE = 15  # seconds without a word after which the server is asked whether it is there; thrice, then it is gone
_FINGERPRINT = "SHA256:"


@dataclass(frozen=True, slots=True)
class Login:
    """Where to log in as whom. `expected` are host keys or fingerprints; the secrets are fetched when they are used."""

    host: str
    port: int
    user: str
    secrets: Secrets = field(repr=False)
    password_secret: str | None
    key_secret: str | None
    expected: tuple[str, ...]
    known_hosts: str | None
    timeout: float  # seconds for the login, and for each answer after it


class HostKeyUnknown(Exception):
    """The server showed a key that is not among the expected ones."""

    def __init__(self, key: str, fingerprint: str, *, expected: bool) -> None:
        super().__init__(fingerprint)
        self.key, self.fingerprint, self.expected = key, fingerprint, expected


def login(options: Options, secrets: Secrets) -> Login:
    """The login that the options under `connection.sftp` describe."""
    if options.has("password_secret") == options.has("key_secret"):
        zh, en = "与 key_secret 须写且只写一个", "or key_secret must be written, and only one of them"
        raise wrong("connection.sftp.password_secret", zh, en, ("password_secret", "key_secret"))
    for key in options.names("known_host"):
        if not key.startswith(_FINGERPRINT) and len(key.split()) < 2:  # noqa: PLR2004 - type and key
            zh, en = ("须为 SHA256:… 指纹或“类型 公钥”", "must be a fingerprint SHA256:… or a key as `type key`")
            raise wrong("connection.sftp.known_host", zh, en)
    known = options.maybe("known_hosts")
    if known and not Path(known).is_file():
        raise wrong("connection.sftp.known_hosts", f"不是文件：{known}", f"is no file: {known}")
    return Login(
        host=options.text("host"),
        port=options.whole("port", 22, least=1),
        user=options.text("user"),
        secrets=secrets,
        password_secret=options.maybe("password_secret"),
        key_secret=options.maybe("key_secret"),
        expected=options.names("known_host"),
        known_hosts=known,
        timeout=options.span("timeout", "30s").total_seconds(),
    )


async def connected(who: Login) -> asyncssh.SSHClientConnection:
    """A connection with the login done. No password leaves before the host key is known to be the expected one."""
    try:
        import asyncssh
    except ImportError as error:
        raise SourceError(
            "SRC-DRIVER",
            zh="尚未安装 SFTP 组件 asyncssh",
            en="asyncssh, which reads SFTP, is not installed",
            fix_zh="请执行：pip install 'shutong[sftp]'",
            fix_en="Run: pip install 'shutong[sftp]'",
        ) from error

    keys = [asyncssh.import_public_key(_bare(key)) for key in who.expected if not key.startswith(_FINGERPRINT)]
    prints = [key for key in who.expected if key.startswith(_FINGERPRINT)]
    shown: list[asyncssh.SSHKey] = []

    class Client(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            del host, addr, port
            shown.append(key)
            return key.get_fingerprint() in prints

    password = secret(who.secrets, who.password_secret) if who.password_secret else None
    private = [asyncssh.import_private_key(secret(who.secrets, who.key_secret))] if who.key_secret else None
    try:
        return await asyncssh.connect(
            who.host,
            who.port,
            username=who.user,
            password=password,
            client_keys=private,
            known_hosts=who.known_hosts if who.known_hosts and not who.expected else (keys, [], []),
            client_factory=Client,
            config=None,
            agent_path=None,
            gss_host=None,
            connect_timeout=who.timeout,
            login_timeout=who.timeout,
            keepalive_interval=_ALIVE,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        if not shown:
            raise
        key = shown[-1]
        expected = bool(who.expected or who.known_hosts)
        public = key.export_public_key().decode().strip()
        raise HostKeyUnknown(public, key.get_fingerprint(), expected=expected) from error


def explained(error: BaseException, who: Login) -> SourceError | None:
    """What a failed login or a lost connection means; None for what concerns a file only."""
    import asyncssh

    where = f"{who.host}:{who.port}"
    if isinstance(error, HostKeyUnknown | asyncssh.HostKeyNotVerifiable):
        return _unknown_host(error, where) if isinstance(error, HostKeyUnknown) else _unverifiable(str(error), where)
    if isinstance(error, asyncssh.PermissionDenied):
        return SourceRefused(
            "SRC-SFTP-LOGIN",
            zh=f"{where} 拒绝用户 {who.user} 登录",
            en=f"{where} refuses the login of {who.user}",
            fix_zh=f"请核对用户名，并更新密钥 {who.password_secret or who.key_secret}；未自动重试，以免账号被锁定",
            fix_en=f"Check the user and store the secret {who.password_secret or who.key_secret} anew; it is not tried"
            " again by itself, so that the account is not locked.",
        )
    if isinstance(error, asyncssh.KeyImportError | asyncssh.KeyEncryptionError):
        return SourceError(
            "SRC-SFTP-KEY",
            zh=f"密钥 {who.key_secret} 或 known_host 不是可用的 SSH 密钥",
            en=f"the secret {who.key_secret}, or known_host, is no SSH key that can be used",
            fix_zh="请保存无口令的 OpenSSH 私钥全文；known_host 写 ssh-keyscan 输出的“类型 公钥”",
            fix_en="Store the whole text of an OpenSSH private key without passphrase; write known_host as the"
            " `type key` that ssh-keyscan prints.",
        )
    lost = (
        asyncssh.DisconnectError | asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection | asyncssh.ChannelOpenError
    )
    return _unreachable(error, who) if isinstance(error, OSError | lost) else None


def as_os_error(error: BaseException) -> OSError:
    """What a server said about a file, as the operating system would have said it."""
    import asyncssh

    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return FileNotFoundError(2, "no such file")
    if isinstance(error, asyncssh.SFTPNotADirectory):
        return NotADirectoryError(20, "not a folder")
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return PermissionError(13, "permission denied")
    return OSError(5, str(error) or type(error).__name__)


def _bare(key: str) -> str:
    """`type key` out of a line of known_hosts, which begins with the host's name."""
    words = key.split()
    at = next((at for at, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-", "sk-"))), 0)
    return " ".join(words[at : at + 2])


def _unknown_host(error: HostKeyUnknown, where: str) -> SourceRefused:
    if error.expected:
        return SourceRefused(
            "SRC-SFTP-HOSTKEY",
            zh=f"{where} 出示的主机密钥 {error.fingerprint} 与登记的不同，可能有人冒充，未发送密码",
            en=f"{where} shows the host key {error.fingerprint}, which is not the one on record; somebody may pose as"
            " it; no password was sent",
            fix_zh=f"请向来源部门核实；确已更换时将 connection.sftp.known_host 改为：{error.key}",
            fix_en=f"Ask the department; if the key was replaced, set connection.sftp.known_host to: {error.key}",
        )
    return SourceRefused(
        "SRC-SFTP-HOSTKEY",
        zh=f"尚不认识 {where} 的主机密钥，指纹为 {error.fingerprint}，未发送密码",
        en=f"the host key of {where} is not known yet; its fingerprint is {error.fingerprint}; no password was sent",
        fix_zh=f'请先与来源部门核对指纹，一致后在连接中写 known_host: "{error.key}"',
        fix_en=f'Compare the fingerprint with the department; if it is the same, write known_host: "{error.key}"',
    )


def _unverifiable(said: str, where: str) -> SourceRefused:
    return SourceRefused(
        "SRC-SFTP-HOSTKEY",
        zh=f"{where} 的主机密钥无法核实：{said}",
        en=f"the host key of {where} cannot be verified: {said}",
        fix_zh="请向来源部门索取主机公钥，写入 connection.sftp.known_host",
        fix_en="Ask the department for the server's public key and write it as connection.sftp.known_host.",
    )


def _unreachable(error: BaseException, who: Login) -> SourceUnavailable:
    where = f"{who.host}:{who.port}"
    if isinstance(error, TimeoutError):
        return SourceUnavailable(
            "SRC-SFTP-TIMEOUT",
            zh=f"{where} 在 {who.timeout:g} 秒内没有应答",
            en=f"{where} did not answer within {who.timeout:g} seconds",
            fix_zh="请检查网络与对方服务；稍后重试，或调大 connection.sftp.timeout",
            fix_en="Check the network and their server; try again later, or raise connection.sftp.timeout.",
        )
    return SourceUnavailable(
        "SRC-SFTP-UNREACHABLE",
        zh=f"与 {where} 的连接无法建立或已中断：{error}",
        en=f"the connection to {where} cannot be made or was lost: {error}",
        fix_zh="请检查主机名、端口、防火墙和对方服务；恢复后重新运行，已采集的文件不会重复采集",
        fix_en="Check the host, port, firewall and their server, then run again; files taken already are not taken"
        " twice.",
    )
