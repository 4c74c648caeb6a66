"""Which addresses an outbound call may reach: decided on text, before and after name resolution.

The emulator calls URLs that an application hands it. Every URL is first read by `parse_target`, the name's
addresses are then judged by `judge`, and the caller connects to a judged address, never to the name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import quote

IPAddress = IPv4Address | IPv6Address

MAX_HOST = 253
"""Characters of the longest host name that DNS can carry."""
MAX_URL = 8192
"""Characters of the longest URL that is read at all."""
_MAX_SHOWN: Final = 120
_MAX_PORT: Final = 65535
_MAX_LABEL: Final = 63


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


@dataclass(frozen=True)
class AddressPolicy:
    """What an outbound call may reach: the allowed kinds of address, and whether only over TLS."""

    name: str
    reaches: frozenset[Reach]
    https_only: bool

    @property
    def words(self) -> str:
        """The allowed addresses as a sentence has them, such as `an address that is public over https`."""
        kinds = [reach.value for reach in Reach if reach in self.reaches]
        over = " over https" if self.https_only else ""
        return f"an address that is {' or '.join(kinds) or 'never right'}{over}"


LOOPBACK_ONLY: Final = AddressPolicy("loopback-only", frozenset({Reach.LOOPBACK}), https_only=False)
ANY_BUT_FORBIDDEN: Final = AddressPolicy(
    "any-but-forbidden",
    frozenset({Reach.LOOPBACK, Reach.PRIVATE, Reach.PUBLIC}),
    https_only=False,
)
STRICT: Final = AddressPolicy("strict", frozenset({Reach.PUBLIC}), https_only=True)
"""What the live API demands of callbacks: a public address over https."""
ANYWHERE: Final = AddressPolicy("anywhere", frozenset(Reach), https_only=False)
"""For reading a URL only: whatever can be written, to be judged by another policy when it is called."""

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
_LOOPBACK_V4: Final = IPv4Network("127.0.0.0/8")
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


def reach_of(ip: str | IPAddress) -> Reach:
    """Say how far an address reaches; IPv6 forms of an IPv4 address are judged as what they carry.

    Args:
        ip: an address object or its standard text; a scope id (`%eth0`) is ignored.

    Raises:
        AddressRefused: the text is no address.
    """
    address = _plain(ip)
    return _reach_v4(address) if isinstance(address, IPv4Address) else _reach_v6(address)


def _plain(ip: str | IPAddress) -> IPAddress:
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
    if address in _LOOPBACK_V4:
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


@dataclass(frozen=True)
class Target:
    """An outbound URL in its parts, each in the one form that is called.

    Attributes:
        scheme: `http` or `https`.
        host: an ASCII name in lower case without a trailing dot, or the canonical text of an address.
        port: 1 to 65535; the scheme's own when the URL names none.
        path: path and query as sent, percent-encoded ASCII.
        is_literal: whether `host` is an address, so that there is nothing to resolve.
    """

    scheme: str
    host: str
    port: int
    path: str
    is_literal: bool

    @property
    def authority(self) -> str:
        """The `Host` header's value: brackets around IPv6, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL in canonical form, without a fragment."""
        return f"{self.scheme}://{self.authority}{self.path}"


_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^#]*)(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]*))?")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\ud800-\udfff]|\s")
_NAME: Final = re.compile(r"[a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_V4_PART: Final = re.compile(r"0x([0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*)")
_DEVIATIONS: Final = frozenset("ßς\u200c\u200d")  # two editions of IDNA read these differently
_PATH_SAFE: Final = "/?:@!$&'()*+,;=-._~%[]|^`{}\"<>"


def parse_target(url: str, policy: AddressPolicy) -> Target:
    """Read an outbound URL; what stands in it is judged here, what a name resolves to in `judge`.

    Raises:
        AddressRefused: the URL cannot be called, is ambiguous, or is outside the policy.
    """
    scheme, authority, rest = _split(url)
    if scheme not in _DEFAULT_PORTS or (policy.https_only and scheme != "https"):
        raise AddressRefused(
            "the scheme is not allowed",
            expected="https" if policy.https_only else "http or https",
            found=scheme,
            advice="change the scheme of the URL",
        )
    host_text, port = _host_and_port(authority, _DEFAULT_PORTS[scheme])
    address, host = _host(host_text)
    reach = reach_of(address) if address else Reach.LOOPBACK if is_loopback_name(host) else None
    if reach is not None and reach not in policy.reaches:
        raise _out_of_reach(host, reach, policy)
    path = quote(rest, safe=_PATH_SAFE)
    return Target(scheme, host, port, path if path[:1] == "/" else f"/{path}", address is not None)


def _split(url: str) -> tuple[str, str, str]:
    advice = "give an absolute URL such as https://example.com/path"
    if len(url) > MAX_URL:
        expected = f"at most {MAX_URL} characters"
        found = f"{len(url)} characters"
        raise AddressRefused("the URL is too long", expected=expected, found=found, advice=advice)
    unsafe = _UNSAFE.search(url)
    if unsafe:
        raise AddressRefused(
            "the URL holds a character that programs read differently",
            expected="no white space, control character or backslash",
            found=unsafe.group(),
            advice="percent-encode it",
        )
    parts = _URL.fullmatch(url)
    if not parts:
        expected = "scheme://host/path"
        found = url.partition("@")[2] or url  # what stands before an @ may be a password
        raise AddressRefused("this is no URL", expected=expected, found=found, advice=advice)
    return parts[1].lower(), parts[2], parts[3]


def _host_and_port(authority: str, default_port: int) -> tuple[str, int]:
    if "@" in authority:
        raise AddressRefused(
            "the URL carries user information",
            expected="no user or password before the host",
            found=authority.rpartition("@")[2],
            advice="remove everything up to the @",
        )
    parts = _AUTHORITY.fullmatch(authority)
    port_text = (parts[3] or "").lstrip("0") if parts else ""
    zero_port = parts is not None and bool(parts[3]) and not port_text
    too_large = len(port_text) > len(str(_MAX_PORT)) or int(port_text or 0) > _MAX_PORT
    if not parts or zero_port or too_large:
        raise AddressRefused(
            "the host or its port is malformed",
            expected="a host and, if any, a port from 1 to 65535",
            found=authority if parts else authority.partition(":")[0],  # the rest may be a password
            advice="correct what stands between // and the path",
        )
    host = f"[{parts[1]}]" if parts[1] is not None else parts[2]
    return host, int(port_text) if port_text else default_port


def _host(text: str) -> tuple[IPAddress | None, str]:
    """Read a host: its address if it is one in any form, and the text that stands for it."""
    if text[:1] == "[":
        if ":" not in text:
            raise _bad_host(text)
        address = _plain(text[1:-1])
        return address, str(address)
    name = _ascii_name(text)
    if not _NUMERIC.fullmatch(name.rpartition(".")[2]):
        return None, name
    number = _ipv4(name)
    if number is None:
        raise _bad_host(text)
    return number, str(number)


def _ascii_name(text: str) -> str:
    if not text or len(text) > MAX_HOST + 1 or _DEVIATIONS & set(text):
        raise _bad_host(text)
    try:
        name = text.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        raise _bad_host(text) from None
    if len(name) > MAX_HOST or not _NAME.fullmatch(name):
        raise _bad_host(text)
    return name


def _ipv4(text: str) -> IPv4Address | None:
    """Read what `inet_aton` reads: one to four parts, decimal, octal or hex, the last one filling up."""
    matches = [_V4_PART.fullmatch(part) for part in text.split(".")]
    if len(matches) > 4 or len(text) > MAX_HOST:  # noqa: PLR2004 - an IPv4 address has four bytes
        return None
    values: list[int] = []
    for match in matches:
        if not match:
            return None
        base = 16 if match[1] else 8 if match[2] else 10
        values.append(int(match[1] or match[2] or match[3], base))
    *heads, tail = values
    room = 4 - len(heads)
    if any(head > 0xFF for head in heads) or tail >= 256**room:  # noqa: PLR2004 - a byte
        return None
    return IPv4Address(bytes(heads) + tail.to_bytes(room, "big"))


def _bad_host(text: str) -> AddressRefused:
    return AddressRefused(
        "the host is neither a name nor an address",
        expected=f"labels of 1 to {_MAX_LABEL} letters, digits and hyphens, or an IP address",
        found=text,
        advice="write the host in ASCII (xn-- for international names) or as a plain address",
    )


def _out_of_reach(host: str, reach: Reach, policy: AddressPolicy) -> AddressRefused:
    never = "never called" if reach is Reach.FORBIDDEN else "not allowed here"
    return AddressRefused(
        f"a {reach.value} address is {never} (policy {policy.name})",
        expected=policy.words,
        found=host,
        advice="give a URL whose host has only such addresses",
    )


_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


def is_loopback_name(host: str) -> bool:
    """Whether a host, without its port, can only mean this machine. Never raises; fast for names."""
    if host in _LOOPBACK_NAMES:
        return True
    if not host or len(host) > MAX_HOST + 1:
        return False
    if ":" in host:
        return _is_loopback_v6(host)
    name = host.lower().removesuffix(".")
    if name.endswith("localhost"):
        return name == "localhost" or (name[-10:-9] == "." and bool(_NAME.fullmatch(name)))
    if name[:1] not in "0123456789":
        return False
    address = _ipv4(name)
    return address is not None and address in _LOOPBACK_V4


def _is_loopback_v6(host: str) -> bool:
    text = host[1:-1] if host[0] == "[" and host[-1] == "]" else host
    try:
        return reach_of(text) is Reach.LOOPBACK
    except AddressRefused:
        return False


def judge(addresses: Sequence[str], policy: AddressPolicy) -> tuple[str, ...]:
    """Judge all addresses that a name resolved to; one bad address refuses them all.

    Returns:
        The addresses to connect to in canonical form: the first is the pinned one, the others stand in when
        nothing listens there. Whoever connects to anything else has resolved twice.

    Raises:
        AddressRefused: there is none, one is no address, or one is outside the policy.
    """
    if not addresses:
        raise AddressRefused(
            "the name has no address",
            expected=policy.words,
            found="none",
            advice="check the spelling of the host",
        )
    plain = list(dict.fromkeys(_plain(text) for text in addresses))
    for address in plain:
        reach = reach_of(address)
        if reach not in policy.reaches:
            raise _out_of_reach(str(address), reach, policy)
    return tuple(str(address) for address in plain)
