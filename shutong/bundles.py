"""What a deployment has agreed with its partners about bundles: bundles.yaml, and the keys it signs and opens with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from schemas.lines import Node, read
from schemas.load import find_standard
from schemas.standard import Standard
from shutong.layout import SetupError

if TYPE_CHECKING:  # what opens a deployment has no use for cryptography
    from connectors.options import Secrets
    from warehouse.bundle_keys import Card, Keys

FILE, SECRET = "bundles.yaml", "bundle_keys"  # the name of a file of the deployment, and that of a secret
_NAME = r"[a-z][a-z0-9_]*"


@dataclass(frozen=True, slots=True)
class Received:
    """A library that comes from a partner: its name there, and the standard we take it in, under our own name."""

    theirs: str
    standard: Standard


@dataclass(frozen=True, slots=True)
class Partner:
    """Another deployment: its card, which libraries it may send (by our names) and which it may be given."""

    name: str
    card: str
    sends: Mapping[str, Received]
    receives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """How this deployment calls itself in bundles, and its partners by name."""

    name: str
    partners: Mapping[str, Partner]

    @property
    def received(self) -> dict[str, Standard]:
        """The libraries that come by bundles, by our names for them."""
        return {ours: one.standard for partner in self.partners.values() for ours, one in partner.sends.items()}

    def partner(self, name: str) -> Partner:
        """The partner of that name; SYS-PARTNER-UNKNOWN."""
        if name in self.partners:
            return self.partners[name]
        known = ", ".join(self.partners) or "-"
        raise SetupError(
            "SYS-PARTNER-UNKNOWN",
            zh=f"{FILE} 中没有合作方 {name}；已有：{known}",
            en=f"{FILE} names no partner {name}; there are: {known}",
            fix_zh=f"在 {FILE} 的 partners 中写明其名片（card）与可得到的库（receives）",
            fix_en=f"Write its card and the libraries it receives under partners in {FILE}",
        )

    def cards(self) -> dict[str, Card]:
        """Whose signatures count; WH-BUNDLE-CARD names the partner whose card is not whole."""
        from warehouse.bundle_keys import Card

        return {one.name: Card.read(one.card, one.name) for one in self.partners.values()}


def agreed(home: Path) -> Agreed:
    """What bundles.yaml says; no partner where there is no such file. StandardError with file and line."""
    file = home / FILE
    if not file.exists():
        return Agreed(home.resolve().name, {})
    node = read(file).only("name", "partners")
    named = node.named("partners") if node.has("partners") else {}
    taken: dict[str, str] = {}
    partners = {name: _partner(name, below, (home / "standards",), taken) for name, below in named.items()}
    return Agreed(node.pattern("name", _NAME, "province"), partners)


def _partner(name: str, node: Node, folders: tuple[Path, ...], taken: dict[str, str]) -> Partner:
    node.only("card", "sends", "receives")
    below = node.node("sends")
    sends = {}
    for theirs, one in (below.children() if below else {}).items():
        one.only("standard", "as")
        ours = one.pattern("as", _NAME, "province_legal_person", theirs)
        if taken.setdefault(ours, name) != name or ours in sends:
            _refuse_twice(one, ours, taken[ours])
        sends[ours] = Received(theirs, replace(find_standard(one.text("standard"), folders), library=ours))
    return Partner(name, node.text("card"), sends, tuple(node.texts("receives") if node.has("receives") else ()))


def _refuse_twice(node: Node, ours: str, other: str) -> NoReturn:
    """One bundle would replace what another partner sent."""
    node.fail(
        None,
        zh=f"{other} 送来的另一个库已叫 {ours}",
        en=f"another library, from {other}, is called {ours} already",
        fix_zh=f"用 as 给其中一个另起名称，例如 as: {ours}_2",
        fix_en=f"Give one of them another name, such as as: {ours}_2",
    )


def keys(secrets: Secrets) -> Keys:
    """The keys of this deployment; SYS-BUNDLE-KEYS before `shutong bundle keys` has made them."""
    from warehouse.bundle_keys import Keys

    try:
        return Keys.read(secrets.get(SECRET))
    except SetupError as error:
        if error.code != "SYS-SECRET-MISSING":
            raise
        raise SetupError(
            "SYS-BUNDLE-KEYS",
            zh="本部署还没有数据包密钥",
            en="this deployment has no keys for bundles yet",
            fix_zh="执行 shutong bundle keys，并把显示的名片交给合作方",
            fix_en="Run shutong bundle keys and give the card it shows to the partners",
        ) from None
