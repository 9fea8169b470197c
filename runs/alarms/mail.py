"""Send messages by mail: one connection for a round, encrypted before anybody logs in, never waiting for long."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from threading import Timer
from typing import Literal

from connectors.options import Secrets, secret
from runs.alarms.people import Person
from runs.alarms.refusals import LineDown, NotDelivered, Refused
from runs.alarms.values import Message

Security = Literal["starttls", "tls", "none"]
PERMANENT = 500  # SMTP replies from here on will not become better
_OWN = "shutong.invalid"  # a domain nobody has: the right side of our Message-ID


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `password` names a secret; `ca` is a PEM file of an authority of one's own.

    `timeout` in seconds, of each exchange with the server, however slowly it answers.
    """

    host: str
    port: int = 587
    security: Security = "starttls"
    user: str = ""
    password: str = "smtp_password"  # noqa: S105 - a secret's name
    sender: str = "shutong@localhost"
    ca: Path | None = None
    timeout: float = 20.0


class _Line(smtplib.SMTP):
    """A connection on which one answer may take no longer than the timeout, be it one byte now and then."""

    def getreply(self) -> tuple[int, bytes]:
        waits = Timer(self.timeout, self._cut)
        waits.daemon = True
        waits.start()
        try:
            return super().getreply()
        finally:
            waits.cancel()

    def _cut(self) -> None:
        line = self.sock
        with suppress(OSError):  # closed meanwhile
            if line is not None:
                line.shutdown(socket.SHUT_RDWR)


class _SecretLine(_Line, smtplib.SMTP_SSL):
    """The same, encrypted from the first byte on."""


class Mailer:
    """Hands messages to a mail server; `close` ends the connection and may be called twice."""

    def __init__(self, server: MailServer, secrets: Secrets) -> None:
        self._server, self._secrets = server, secrets
        self._line: smtplib.SMTP | None = None

    def send(self, message: Message, person: Person) -> None:
        """Hand in one message; raises NotDelivered (LineDown where the server cannot be used) or Refused."""
        line = self._line or self._opened()
        mail = EmailMessage()
        try:
            mail["Subject"], mail["From"], mail["To"] = message.subject, self._server.sender, person.mail or ""
        except ValueError:
            raise self._failed("From, To") from None
        mail["Date"], mail["Message-ID"] = formatdate(), f"<{message.delivery}@{_OWN}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.body, charset="utf-8", cte="base64")
        try:
            line.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if all(code >= PERMANENT for code in codes):
                raise _refused(person) from None
            raise self._failed(f"SMTP {codes[0]}") from None
        except smtplib.SMTPResponseException as error:
            self.close()
            raise self._failed(f"SMTP {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            self.close()
            raise self._down(error) from None

    def close(self) -> None:
        """Give back the connection."""
        line, self._line = self._line, None
        if line is not None:
            with suppress(OSError, smtplib.SMTPException):
                line.quit()

    def _opened(self) -> smtplib.SMTP:
        server = self._server
        if server.user and server.security == "none":
            raise LineDown(
                "RUN-ALARM-MAIL-OPEN",
                zh=f"不会以明文向邮件服务器 {server.host} 发送口令",
                en=f"a password is not sent to the mail server {server.host} in the clear",
                fix_zh="设 SHUTONG_SMTP_SECURITY=starttls 或 tls，或不设 SHUTONG_SMTP_USER",
                fix_en="Set SHUTONG_SMTP_SECURITY=starttls or tls, or leave SHUTONG_SMTP_USER unset",
            )
        password = secret(self._secrets, server.password) if server.user else ""
        try:
            # Only the root of trust is ours to choose; names and dates are verified either way.
            trusted = ssl.create_default_context(cafile=server.ca)
            if server.security == "tls":
                line: smtplib.SMTP = _SecretLine(server.host, server.port, timeout=server.timeout, context=trusted)
            else:
                line = _Line(server.host, server.port, timeout=server.timeout)
        except (OSError, smtplib.SMTPException) as error:
            raise self._down(error) from None
        try:
            if server.security == "starttls":
                line.starttls(context=trusted)
            if server.user:
                line.login(server.user, password)
        except smtplib.SMTPAuthenticationError:
            line.close()
            raise self._login_refused() from None
        except (OSError, smtplib.SMTPException) as error:
            line.close()
            raise self._down(error) from None
        self._line = line
        return line

    def _failed(self, reason: str) -> NotDelivered:
        host = self._server.host
        return NotDelivered(
            "RUN-ALARM-MAIL",
            zh=f"邮件服务器 {host} 没有收下邮件（{reason}），稍后重试",
            en=f"the mail server {host} did not take a message ({reason}); it is tried again",
            fix_zh="持续如此时请邮件管理员查看，并用 shutong alarms test 再试",
            fix_en="If it goes on, ask whoever runs the mail server, and try with: shutong alarms test",
        )

    def _down(self, error: Exception) -> LineDown:
        host, reason = self._server.host, type(error).__name__
        return LineDown(
            "RUN-ALARM-MAIL-DOWN",
            zh=f"无法使用邮件服务器 {host}:{self._server.port}（{reason}），稍后重试",
            en=f"the mail server {host}:{self._server.port} cannot be used ({reason}); it is tried again",
            fix_zh="检查 SHUTONG_SMTP_HOST、SHUTONG_SMTP_PORT、SHUTONG_SMTP_SECURITY 与网络；"
            "自签证书用 SHUTONG_SMTP_CA 指明",
            fix_en="Check SHUTONG_SMTP_HOST, SHUTONG_SMTP_PORT, SHUTONG_SMTP_SECURITY and the network; SHUTONG_SMTP_CA"
            " names the file of your own certificate authority",
        )

    def _login_refused(self) -> LineDown:
        return LineDown(
            "RUN-ALARM-MAIL-LOGIN",
            zh=f"邮件服务器 {self._server.host} 不接受该用户名与口令",
            en=f"the mail server {self._server.host} does not accept the user and password",
            fix_zh=f"检查 SHUTONG_SMTP_USER，并执行 shutong secret set {self._server.password}",
            fix_en=f"Check SHUTONG_SMTP_USER and run shutong secret set {self._server.password}",
        )


def _refused(person: Person) -> Refused:
    return Refused(
        "RUN-ALARM-REFUSED",
        zh=f"{person.id} 的邮箱被邮件服务器拒收",
        en=f"the mail server refuses the address of {person.id}",
        fix_zh="更正 people.yaml 中的 mail",
        fix_en="Correct mail in people.yaml",
    )
