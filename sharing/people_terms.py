"""How people log in to a deployment: login.yaml, read as values."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from schemas.lines import Node, read
from sharing.lockout import Delays

# Asymmetric ones alone: with a shared secret whoever may check a token could make one.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SPAN: Final = r"[1-9][0-9]{0,3}[smhd]"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_KEYS = ("public", "passwords", "idle", "longest", "invitation", "account", "network", "oidc")
_OIDC = ("issuer", "client_id", "client_secret", "algorithm", "claim", "matches", "scopes", "ca")


@dataclass(frozen=True, slots=True)
class OidcTerms:
    """An identity provider: `client_secret` names a secret (None: a public client), `ca` a PEM file of its authority.

    The value of `claim` is the id of a person, or the mail where it `matches` that.
    """

    issuer: str
    client_id: str
    client_secret: str | None = None
    algorithm: str = "RS256"
    claim: str = "preferred_username"
    matches: Literal["id", "mail"] = "id"
    scopes: tuple[str, ...] = ("openid", "profile")
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class LoginTerms:
    """`public` is the address people open; times in seconds: a session's `idle` and `longest`, an invitation's life.

    `account` and `network` are the delays after failures for one name, and from one address.
    """

    public: str = "https://localhost"
    passwords: bool = True
    idle: float = 1800.0
    longest: float = 43_200.0
    invitation: float = 259_200.0
    account: Delays = field(default_factory=Delays)
    network: Delays = field(default_factory=lambda: Delays(free=50, first=10.0, most=900.0, alarm=100))
    oidc: OidcTerms | None = None

    @property
    def secure(self) -> bool:
        """Whether cookies travel over HTTPS alone."""
        return self.public.startswith("https://")


def read_terms(path: Path, public: str) -> LoginTerms:
    """`login.yaml`; what it leaves out, or all of it, is as usual, and people open `public`. StandardError."""
    usual = LoginTerms(public)
    if not path.exists():
        return usual
    node = read(path).only(*_KEYS)
    oidc = node.node("oidc")
    return LoginTerms(
        public=_address(node, "public", public).rstrip("/"),
        passwords=node.flag("passwords", default=True),
        idle=_span(node, "idle", usual.idle),
        longest=_span(node, "longest", usual.longest),
        invitation=_span(node, "invitation", usual.invitation),
        account=_delays(node.node("account"), usual.account),
        network=_delays(node.node("network"), usual.network),
        oidc=None if oidc is None else _oidc(oidc.only(*_OIDC), path.parent),
    )


def _oidc(node: Node, home: Path) -> OidcTerms:
    usual = OidcTerms("", "")
    ca = node.text("ca", default=None)
    scopes = tuple(node.texts("scopes")) or usual.scopes
    return OidcTerms(
        issuer=_address(node, "issuer", None),
        client_id=node.text("client_id"),
        client_secret=node.text("client_secret", default=None),
        algorithm=node.one_of("algorithm", ALGORITHMS, usual.algorithm),
        claim=node.text("claim", usual.claim),
        matches=cast("Literal['id', 'mail']", node.one_of("matches", ("id", "mail"), "id")),
        scopes=scopes if "openid" in scopes else ("openid", *scopes),
        ca=None if ca is None else home / ca,
    )


def _delays(node: Node | None, usual: Delays) -> Delays:
    if node is None:
        return usual
    node.only("free", "first", "most", "forget", "alarm")
    free, alarm = (node.integer(key, default=was) for key, was in (("free", usual.free), ("alarm", usual.alarm)))
    for key, number in (("free", free), ("alarm", alarm)):
        if not 1 <= number <= 10_000:  # noqa: PLR2004 more is no limit
            node.fail(key, zh=f"“{key}”应为 1 到 10000", en=f"'{key}' should be 1 to 10000", fix_zh=f"例如 {key}: 5",
                      fix_en=f"For example {key}: 5")  # fmt: skip
    return Delays(free, _span(node, "first", usual.first), _span(node, "most", usual.most),
                  _span(node, "forget", usual.forget), alarm)  # fmt: skip


def _span(node: Node, key: str, usual: float) -> float:
    if not node.has(key):
        return usual
    said = node.pattern(key, SPAN, example="30m")
    return timedelta(seconds=_SECONDS[said[-1]] * int(said[:-1])).total_seconds()


def _address(node: Node, key: str, usual: str | None) -> str:
    """An address of HTTPS, or of plain HTTP on this machine, where nobody can listen on the way."""
    said = node.text(key) if usual is None else node.text(key, usual)
    parts = urlsplit(said)
    plain = parts.scheme == "http" and is_local(parts.hostname or "")
    if not (parts.scheme == "https" or plain) or not parts.hostname or re.search(r"[?#\s]", said):
        node.fail(
            key,
            zh=f"“{key}”须为 https:// 地址；http:// 只可用于本机",
            en=f"'{key}' needs an address of https://; http:// is for this machine alone",
            fix_zh=f"例如 {key}: https://share.example.gov.cn",
            fix_en=f"For example {key}: https://share.example.gov.cn",
        )
    return said


def is_local(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
