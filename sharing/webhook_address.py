"""Which addresses a webhook may have: nobody can make the platform call into networks they cannot reach themselves."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sharing.proxies import Address, Network
from sharing.webhook_refusals import AddressRefusedError

if TYPE_CHECKING:
    import httpx

LONGEST: Final = 2000  # characters
_PORTS: Final = {"https": 443, "http": 80}
# Assigned to nobody's hosts, or made of an IPv4 address that a gateway would take us to: 192.88.99.0/24 and 2002::/16
# (6to4), and of IPv6 all outside of global unicast, 64:ff9b::/96 (NAT64) and ::/96 with it.
_GLOBAL6: Final = ipaddress.ip_network("2000::/3")
_NEVER: Final = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2002::/16")))


@dataclass(frozen=True, slots=True)
class Reachable:
    """Where webhooks may lie: in one of `networks`, over http or https; with none, https and public addresses only."""

    networks: Sequence[Network] = ()

    def read(self, url: str) -> httpx.URL:
        """The address, as far as its text tells. Raises AddressRefusedError."""
        import httpx  # what a worker of the API needs when somebody registers an address

        try:
            found = httpx.URL(url)
        except httpx.InvalidURL:
            raise AddressRefusedError.of() from None
        wrong = len(url) > LONGEST or not found.host or found.userinfo or found.fragment or "\\" in url
        if wrong or found.scheme not in _PORTS or (found.scheme == "http" and not self.networks):
            raise AddressRefusedError.of()
        return found

    def lets(self, address: Address) -> bool:
        """Whether something may be sent to that address."""
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped is not None:
            return self.lets(mapped)
        if self.networks:
            return any(address in network for network in self.networks if network.version == address.version)
        if not address.is_global or address.is_multicast or (address.version == 6 and address not in _GLOBAL6):  # noqa: PLR2004 IPv6
            return False
        return not any(address in network for network in _NEVER if network.version == address.version)

    async def resolved(self, url: httpx.URL) -> str:
        """The one address to connect to; looked up once, so that it cannot be another when it counts.

        Raises AddressRefusedError where any of the host's addresses is out of bounds, OSError where it has none.
        """
        port = url.port or _PORTS[url.scheme]
        told = await asyncio.get_running_loop().getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
        found = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in told]
        if not found or not all(self.lets(one) for one in found):
            raise AddressRefusedError.of()
        return str(found[0])
