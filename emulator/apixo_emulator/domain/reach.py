"""How far an IP address reaches, whatever form it is written in, and which are never called."""

import re
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

IPAddress = IPv4Address | IPv6Address

_MAX_SHOWN: Final = 120


class Reach(StrEnum):
    """How far an address reaches, seen from the machine that the emulator runs on."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"
    FORBIDDEN = "forbidden"


class AddressRefused(ValueError):
    """A URL or an address that must not be called.

    Attributes:
        reason: what is wrong, in words.
        expected: what would have been accepted.
        found: what was there, shortened; never user information.
        advice: what to do about it.
    """

    def __init__(self, reason: str, *, expected: str, found: str, advice: str) -> None:
        self.reason = reason
        self.expected = expected
        self.found = found if len(found) <= _MAX_SHOWN else found[: _MAX_SHOWN - 1] + "…"
        self.advice = advice
        super().__init__(f"{reason}: expected {expected}, found {self.found!r}; {advice}")


_FORBIDDEN_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # unspecified: many systems take it for the machine itself
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "100.100.100.200/32",  # metadata of Alibaba Cloud, inside the carrier range
        "168.63.129.16/32",  # the host agent of Azure, inside the public range
        "192.0.0.0/24",  # protocol assignments, and the metadata of Oracle Cloud
        "192.0.2.0/24",  # documentation, as the next two
        "198.51.100.0/24",
        "203.0.113.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "198.18.0.0/15",  # benchmarking
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
    )
)
LOOPBACK_V4: Final = IPv4Network("127.0.0.0/8")
_PRIVATE_V4: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_FORBIDDEN_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "64:ff9b:1::/48",  # local NAT64: which bits hold the IPv4 address is the operator's choice
        "2001:2::/48",  # benchmarking
        "2001:10::/28",  # ORCHID: names of keys, not places
        "2001:20::/28",  # ORCHIDv2
        "2001:db8::/32",  # documentation, as the next one
        "3fff::/20",
        "fd00:ec2::/32",  # metadata, credentials and time of Amazon
        "fd20:ce::/64",  # metadata of Google Cloud
    )
)
_PRIVATE_V6: Final = IPv6Network("fc00::/7")
_PUBLIC_V6: Final = IPv6Network("2000::/3")  # IANA hands out nothing else
_LOOPBACK_V6: Final = IPv6Address(1)
_LOW_32_NETWORKS: Final = tuple(
    IPv6Network(text)
    for text in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96")  # v4-compatible, SIIT, NAT64
)
_ISATAP: Final = frozenset({0x0000_5EFE, 0x0200_5EFE})
_SCOPE: Final = re.compile(r"[A-Za-z0-9_.~\-]+")
_SEVERITY: Final = (Reach.PUBLIC, Reach.PRIVATE, Reach.LOOPBACK, Reach.FORBIDDEN)


@lru_cache(maxsize=256)
def reach_of(ip: str | IPAddress) -> Reach:
    """Say how far an address reaches; IPv6 forms of an IPv4 address are judged as what they carry.

    Args:
        ip: an address object or its standard text; a scope id (`%eth0`) is ignored.

    Raises:
        AddressRefused: the text is no address.
    """
    address = plain(ip)
    return _reach_v4(address) if isinstance(address, IPv4Address) else _reach_v6(address)


def plain(ip: str | IPAddress) -> IPAddress:
    """Read an address without its scope; a v4-mapped one becomes the IPv4 address that it is."""
    text, percent, scope = str(ip).partition("%")
    try:
        if percent and not (":" in text and _SCOPE.fullmatch(scope)):
            raise ValueError  # noqa: TRY301 - the same refusal as for the rest
        address: IPAddress = IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        raise AddressRefused(
            "this is no IP address",
            expected="IPv4 or IPv6 text",
            found=str(ip),
            advice="check what the name resolves to",
        ) from None
    return getattr(address, "ipv4_mapped", None) or address


def _reach_v4(address: IPv4Address) -> Reach:
    if any(address in network for network in _FORBIDDEN_V4):
        return Reach.FORBIDDEN
    if address in LOOPBACK_V4:
        return Reach.LOOPBACK
    return Reach.PRIVATE if any(address in network for network in _PRIVATE_V4) else Reach.PUBLIC


def _reach_v6(address: IPv6Address) -> Reach:
    if address == _LOOPBACK_V6:
        return Reach.LOOPBACK
    if any(address in network for network in _FORBIDDEN_V6):
        return Reach.FORBIDDEN
    carried = [_through_a_gateway(_reach_v4(v4)) for v4 in _carried_v4(address)]
    if address in _PUBLIC_V6:
        carried.append(Reach.PUBLIC)
    elif address in _PRIVATE_V6:
        carried.append(Reach.PRIVATE)
    # Nothing carried and no unicast range: link-local, multicast, unspecified, unassigned.
    return max(carried, key=_SEVERITY.index, default=Reach.FORBIDDEN)


def _through_a_gateway(reach: Reach) -> Reach:
    """A loopback address that a gateway unwraps is the gateway's own loopback, never ours."""
    return Reach.FORBIDDEN if reach is Reach.LOOPBACK else reach


def _carried_v4(address: IPv6Address) -> list[IPv4Address]:
    number = int(address)
    carried: list[int] = []
    if any(address in network for network in _LOW_32_NETWORKS):
        carried.append(number)
    if number >> 112 == 0x2002:  # noqa: PLR2004 - the prefix of 6to4
        carried.append(number >> 80)
    if number >> 96 == 0x2001_0000:  # noqa: PLR2004 - Teredo: the server, and the client inverted
        carried += [number >> 64, ~number]
    if (number >> 32) & 0xFFFF_FFFF in _ISATAP:
        carried.append(number)
    return [IPv4Address(value & 0xFFFF_FFFF) for value in carried]
