"""From where a call came: the address in front of the proxies that a deployment names, and whom to believe headers."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ISSUER = "urn:shutong:sharing"


@dataclass(frozen=True, slots=True)
class Trust:
    """Which proxies are believed what they say of callers; without any, the connection alone counts.

    `certificate_header` (lower case) is where they write a client's certificate; they prove themselves by
    `certificate_secret` in X-Proxy-Secret, and without one only a proxy on this machine is believed. `issuer` names the
    deployment in access tokens.
    """

    proxies: tuple[Network, ...] = ()
    certificate_header: bytes | None = None
    certificate_secret: bytes | None = field(default=None, repr=False)
    issuer: str = ISSUER

    def origin(self, peer: str | None, forwarded: bytes | None) -> Address | None:
        """The address the call was made from; None when it cannot be told, which no list of networks holds."""
        address = address_of(peer)
        for hop in reversed((forwarded or b"").split(b",")) if forwarded else ():
            if address is None or not self._is_proxy(address):
                break
            address = address_of(hop.decode("latin-1").strip())
        return address

    def vouched(self, peer: str | None, secret: bytes | None) -> bool:
        """Whether the connection comes from a proxy whose word on certificates counts."""
        address = address_of(peer)
        if address is None or not self._is_proxy(address):
            return False
        if self.certificate_secret is None:
            return address.is_loopback
        return hmac.compare_digest(secret or b"", self.certificate_secret)

    def _is_proxy(self, address: Address) -> bool:
        return within(address, self.proxies)


def within(address: Address | None, networks: tuple[Network, ...]) -> bool:
    """Whether an address lies in one of the networks."""
    return address is not None and any(address in one for one in networks)


def address_of(text: str | None) -> Address | None:
    """An address as written, IPv4 inside IPv6 as IPv4; None when it is none."""
    try:
        found = ipaddress.ip_address(text or "")
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def networks_of(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Networks as written, `10.1.0.0/16` or one address. Raises ValueError, which says which one cannot be."""
    return tuple(ipaddress.ip_network(one.strip()) for one in texts if one.strip())
