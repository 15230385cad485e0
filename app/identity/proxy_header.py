"""Callers whom an authenticating reverse proxy names in a header. It is believed from its addresses only."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from app.errors import Unauthenticated
from app.identity.base import Credentials, Identity
from app.identity.rules import Claims, Rule, permissions_for

KIND = "proxy"


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    header: str
    """In lower case, as `groups_header`."""
    groups_header: str | None
    networks: tuple[IPv4Network | IPv6Network, ...]
    rules: tuple[Rule, ...]

    def identify(self, credentials: Credentials) -> Identity | None:
        """Whom the proxy names; None if it is not the proxy who asks, or if it names nobody."""
        if self.header not in credentials.headers or not self._is_trusted(credentials.peer):
            return None
        name = credentials.headers[self.header]
        if not name:
            raise Unauthenticated(
                f"The reverse proxy sent {self.header!r} empty, more than once or not in UTF-8; it must name "
                "one user."
            )
        groups = credentials.headers.get(self.groups_header, "") if self.groups_header else ""
        if groups is None:
            # Half of them could be those for which something is denied.
            raise Unauthenticated(
                f"The reverse proxy sent {self.groups_header!r} more than once or not in UTF-8."
            )
        claims = Claims({"groups": [group.strip() for group in groups.split(",") if group.strip()]})
        return Identity(KIND, name, permissions_for(self.rules, name, claims))

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.networks)
