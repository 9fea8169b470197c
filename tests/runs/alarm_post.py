"""Servers of the tests' own that take messages: SMTP with STARTTLS and login, and HTTP."""

from __future__ import annotations

import contextlib
import datetime as dt
import email
import email.policy
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "shutong", "the mail server's word"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, secret = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, secret


@dataclass
class Letters:
    """A mail server and what it took; `refuses` maps an address to the reply it gets instead."""

    port: int = 0
    ca: Path = Path()
    taken: list[EmailMessage] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    logins: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802 - aiosmtpd's name
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        self.taken.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@contextlib.contextmanager
def mail_server(folder: Path, *, security: str = "starttls") -> Iterator[Letters]:
    """A mail server on loopback; with `starttls` it wants encryption and a login before anything else."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import SMTP, AuthResult

    letters = Letters()

    def allowed(_server, _session, _envelope, _mechanism, data):
        letters.logins.append((data.login, data.password) == (USER.encode(), PASSWORD.encode()))
        return AuthResult(success=letters.logins[-1], handled=False)

    class Server(Controller):
        def factory(self):
            return SMTP(self.handler, **self.SMTP_kwargs)

    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    secured = {"tls_context": context, "require_starttls": True} if security == "starttls" else {}
    login = {"authenticator": allowed, "auth_required": True} if security == "starttls" else {}
    controller = Server(letters, hostname="127.0.0.1", port=_free_port(), **secured, **login)
    controller.start()
    letters.port, letters.ca = controller.port, cert
    try:
        yield letters
    finally:
        controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Posts:
    """An HTTP server and what was posted to it: (headers, body); `answers` are its next statuses, then 204."""

    url: str = ""
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def bodies(self) -> Sequence[dict[str, str]]:
        """What was posted, taken apart."""
        return [json.loads(body) for _, body in self.taken]


@contextlib.contextmanager
def http_server() -> Iterator[Posts]:
    """An HTTP server on loopback."""
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.taken.append((dict(self.headers), body))
            self.send_response(posts.answers.pop(0) if posts.answers else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        posts.url = f"http://127.0.0.1:{server.server_port}/hook?access_token=sesame"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield posts
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def dripping(drop: bytes, head: bytes = b"", pause: float = 0.1) -> Iterator[int]:
    """The port of a server that says `head` to whoever comes and then `drop`, again and again, until they leave."""
    over = threading.Event()

    def talk(to: socket.socket) -> None:
        with to, contextlib.suppress(OSError):
            to.sendall(head)
            while not over.wait(pause):
                to.sendall(drop)

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                threading.Thread(target=talk, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            over.set()
            thread.join()
