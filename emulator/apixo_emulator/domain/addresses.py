"""Which URLs and addresses an outbound call may reach, decided on text.

The emulator calls URLs that its callers name: callback receivers and source pictures. A URL is read by
`parse_target`, the addresses of its name are judged by `judge`, and the connection goes to a judged
address, never to the name again. `check_call` keeps every call away from the control API and the
dashboard of any emulator.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from apixo_emulator.domain.wire import CONTROL_PREFIX, INBOX_PATH

IPAddress = IPv4Address | IPv6Address

MAX_HOST = 253
"""Characters of the longest host name that DNS can carry."""
MAX_URL = 8192
"""Characters of the longest URL that is read at all."""
_MAX_PORT: Final = 65535
_MAX_SHOWN: Final = 120


class AddressRefused(ValueError):
    """A URL or an address that must not be called.

    The message says what is wrong, what was expected and found, and what to do about it. It never
    holds user information.
    """

    def __init__(self, reason: str, expected: str, found: str, advice: str) -> None:
        shown = found if len(found) <= _MAX_SHOWN else found[: _MAX_SHOWN - 1] + "…"
        super().__init__(f"{reason}: expected {expected}, found {shown!r}; {advice}")


class UrlMalformed(AddressRefused):
    """A text that no program can call: it is not an absolute http or https URL."""


# Addresses and their scopes


class Scope(StrEnum):
    """From where an address can be reached, seen from the machine that the emulator runs on."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"
    FORBIDDEN = "forbidden"


_SCOPES: Final = tuple(
    (scope, ip_network(text))
    for scope, texts in (
        (Scope.LOOPBACK, ("127.0.0.0/8", "::1")),
        (
            Scope.FORBIDDEN,
            (
                "0.0.0.0/8",  # unspecified: many systems take it for the machine itself
                "169.254.0.0/16",  # link-local, and the metadata service of most clouds
                "100.100.100.200",  # metadata of Alibaba Cloud, inside the carrier range
                "168.63.129.16",  # the host agent of Azure, inside the public range
                "192.0.0.0/24",  # protocol assignments, and the metadata of Oracle Cloud
                "192.0.2.0/24",  # documentation, as the next two
                "198.51.100.0/24",
                "203.0.113.0/24",
                "192.88.99.0/24",  # relays of 6to4
                "198.18.0.0/15",  # benchmarking
                "224.0.0.0/4",  # multicast
                "240.0.0.0/4",  # reserved and broadcast
                "2001::/32",  # Teredo and 6to4: tunnels to an IPv4 address
                "2002::/16",
                "2001:2::/48",  # benchmarking
                "2001:10::/28",  # ORCHID and ORCHIDv2: names of keys, not places
                "2001:20::/28",
                "2001:db8::/32",  # documentation, as the next one
                "3fff::/20",
                "fd00:ec2::/32",  # metadata, credentials and time of Amazon
                "fd20:ce::/64",  # metadata of Google Cloud
            ),
        ),
        (
            Scope.PRIVATE,
            ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
        ),
        # IANA hands out no other IPv6 addresses.
        (Scope.PUBLIC, ("0.0.0.0/0", "2000::/3")),
    )
    for text in texts
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing is bound
_ZONE: Final = re.compile(r"[A-Za-z0-9_.~\-]+")


@lru_cache(maxsize=256)
def scope_of(ip: str | IPAddress) -> Scope:
    """Return the scope of an address: that of the first network of the table that holds it.

    A v4-mapped address has the scope of its IPv4 address, and so has one behind a NAT64 gateway.

    Args:
        ip: an address object or its standard text; a zone (`%eth0`) is ignored.

    Raises:
        AddressRefused: the text is not an address.
    """
    address = _plain(ip)
    if address in _NAT64:
        scope = scope_of(IPv4Address(int(address) & 0xFFFF_FFFF))
        return Scope.FORBIDDEN if scope is Scope.LOOPBACK else scope  # the gateway's own
    return next((scope for scope, network in _SCOPES if address in network), Scope.FORBIDDEN)


def _plain(ip: str | IPAddress) -> IPAddress:
    """Read an address without its zone; a v4-mapped one becomes the IPv4 address that it is."""
    text, percent, zone = str(ip).partition("%")
    try:
        if percent and not (":" in text and _ZONE.fullmatch(zone)):
            raise ValueError  # noqa: TRY301 - the same refusal as for the rest
        address = ip_address(text)
    except ValueError:
        advice = "check what the name resolves to"
        raise UrlMalformed("this is no IP address", "IPv4 or IPv6 text", str(ip), advice) from None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback_name(host: str) -> bool:
    """True if a host, given without its port, can only mean this machine. Never raises."""
    name = host.lower().removesuffix(".")
    if name.endswith("localhost"):
        is_name = len(name) <= MAX_HOST and _NAME.fullmatch(name) is not None
        return is_name and name.rpartition(".")[2] == "localhost"
    if ":" not in name and not name[-1:].isdigit():
        return False
    try:
        return (
            scope_of(name[1:-1] if name[0] == "[" and name[-1] == "]" else name) is Scope.LOOPBACK
        )
    except AddressRefused:
        return False


# Policies


@dataclass(frozen=True, eq=False)  # policies are constants: compared and hashed by identity
class AddressPolicy:
    """What an outbound call may reach.

    Attributes:
        scopes: the allowed scopes of addresses.
        https_only: whether http is refused.
        resolves: whether the names of other machines may be looked up.
    """

    scopes: frozenset[Scope]
    https_only: bool = False
    resolves: bool = True

    @property
    def words(self) -> str:
        """The allowed addresses in words, such as `a public address over https`."""
        kinds = [scope.value for scope in Scope if scope in self.scopes]
        over = " over https" if self.https_only else ""
        return f"a {' or '.join(kinds)} address{over}"


LOOPBACK_ONLY: Final = AddressPolicy(frozenset({Scope.LOOPBACK}), resolves=False)
ANY_BUT_FORBIDDEN: Final = AddressPolicy(frozenset({Scope.LOOPBACK, Scope.PRIVATE, Scope.PUBLIC}))
STRICT: Final = AddressPolicy(frozenset({Scope.PUBLIC}), https_only=True)
"""What the live API demands of callbacks: a public address over https."""
ANYWHERE: Final = AddressPolicy(frozenset(Scope))
"""For reading a URL only: whatever can be written, to be judged by another policy when it is called."""


def judge(addresses: Sequence[str], policy: AddressPolicy) -> tuple[str, ...]:
    """Judge all addresses that a name resolved to; one bad address refuses them all.

    Returns:
        The addresses to connect to, in canonical form and in the order of trying.

    Raises:
        AddressRefused: there is none, one is not an address, or one is outside the policy.
    """
    if not addresses:
        advice = "check the spelling of the host"
        raise AddressRefused("the name has no address", policy.words, "none", advice)
    judged = list(dict.fromkeys(str(_plain(text)) for text in addresses))
    for address in judged:
        _check_scope(address, scope_of(address), policy)
    return tuple(judged)


def _check_scope(host: str, scope: Scope, policy: AddressPolicy) -> None:
    if scope in policy.scopes:
        return
    reason = f"{scope.value} addresses are not called here"
    if scope is Scope.FORBIDDEN:
        reason = "reserved, link-local and metadata addresses are never called"
    advice = "give a URL whose host has only such addresses"
    if host in _UNSPECIFIED:
        advice = "it is an address to listen on: call the server at 127.0.0.1"
    raise AddressRefused(reason, policy.words, host, advice)


# URLs

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)([^#]*)(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::0*([0-9]{1,5})|:)?")
# A space inside a path is encoded, as browsers do it; programs disagree about what is refused here.
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\xa0\\\ud800-\udfff]|[^\S ]|\A | \Z")
_NAME: Final = re.compile(r"[a-z0-9_\-]{1,63}(?:\.[a-z0-9_\-]{1,63})*")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEVIATIONS: Final = frozenset("ßς\u200c\u200d")  # two editions of IDNA read these differently
_PATH_SAFE: Final = "/?:@!$&'()*+,;=-._~%[]|^`{}\"<>"


class Target(NamedTuple):
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
    def origin(self) -> str:
        """Scheme, host and port as a URL has them."""
        return f"{self.scheme}://{self.authority}"

    @property
    def url(self) -> str:
        """The URL in canonical form, without a fragment."""
        return f"{self.origin}{self.path}"


@lru_cache(maxsize=512)
def parse_target(url: str, policy: AddressPolicy) -> Target:
    """Read an outbound URL and check an address in it; `judge` checks what a name resolves to.

    Raises:
        UrlMalformed: nothing can call it, or programs would read it differently.
        AddressRefused: it is outside the policy, or holds user information.
    """
    scheme, authority, path = _split(url)
    if policy.https_only and scheme != "https":
        advice = "change the scheme of the URL"
        raise AddressRefused("the scheme is not allowed", "https", scheme, advice)
    host, port = _host_and_port(authority, _DEFAULT_PORTS[scheme])
    address: IPAddress | None = None
    if host[:1] == "[" and ":" in host:
        address = _plain(host[1:-1])
    else:
        host = _ascii_name(host)
        if _NUMERIC.fullmatch(host.rpartition(".")[2]):
            address = _dotted(host)
    if address is not None:
        host = str(address)
        _check_scope(host, scope_of(address), policy)
    elif is_loopback_name(host):
        _check_scope(host, Scope.LOOPBACK, policy)
    elif not policy.resolves:
        reason = "names of other machines are not looked up here"
        raise AddressRefused(reason, policy.words, host, "use localhost or 127.0.0.1")
    path = quote(path, safe=_PATH_SAFE)
    return Target(scheme, host, port, path if path[:1] == "/" else f"/{path}", address is not None)


def _split(url: str) -> tuple[str, str, str]:
    """Return scheme, authority and path of a URL, the path with its query."""
    advice = "give an absolute URL such as https://example.com/path"
    if len(url) > MAX_URL:
        expected = f"at most {MAX_URL} characters"
        raise UrlMalformed("the URL is too long", expected, f"{len(url)} characters", advice)
    if unsafe := _UNSAFE.search(url):
        reason = "the URL holds a character that programs read differently"
        expected = "no control character or backslash, no white space but spaces inside the path"
        raise UrlMalformed(reason, expected, unsafe.group(), "remove or percent-encode it")
    parts = _URL.fullmatch(url)
    if not parts:
        found = url.partition("@")[2] or url  # what stands before an @ may be a password
        raise UrlMalformed("this is no URL", "scheme://host/path", found, advice)
    scheme = parts[1].lower()
    if scheme not in _DEFAULT_PORTS:
        raise UrlMalformed("the scheme cannot be called", "http or https", scheme, advice)
    return scheme, parts[2], parts[3]


def _host_and_port(authority: str, default_port: int) -> tuple[str, int]:
    _, at_sign, behind = authority.rpartition("@")
    if at_sign:
        reason, expected = "the URL carries user information", "no user or password before the host"
        raise AddressRefused(reason, expected, behind, "remove everything up to the @")
    parts = _AUTHORITY.fullmatch(authority)
    port = int(parts[2]) if parts and parts[2] else default_port
    if not parts or not 0 < port <= _MAX_PORT:
        expected = "a host and, if any, a port from 1 to 65535"
        found = authority if parts else authority.partition(":")[0]  # the rest may be a password
        advice = "correct what stands between // and the path"
        raise UrlMalformed("the host or its port is malformed", expected, found, advice)
    return parts[1], port


def _dotted(name: str) -> IPv4Address:
    """Read an IPv4 address. Other forms, such as 0x7f.1, are refused: programs read them differently."""
    try:
        return IPv4Address(name)
    except ValueError:
        raise _bad_host(name) from None


def _ascii_name(text: str) -> str:
    if len(text) <= MAX_HOST and _NAME.fullmatch(text):
        return text
    if not text or len(text) > MAX_HOST + 1 or _DEVIATIONS & set(text):
        raise _bad_host(text)
    try:
        name = text.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        raise _bad_host(text) from None
    if len(name) > MAX_HOST or not _NAME.fullmatch(name):
        raise _bad_host(text)
    return name


def _bad_host(text: str) -> UrlMalformed:
    reason = "the host is neither a name nor an address"
    expected = "labels of 1 to 63 letters, digits and hyphens, or an address such as 127.0.0.1"
    advice = "write the host in ASCII (xn-- for international names) or as a plain address"
    return UrlMalformed(reason, expected, text, advice)


# Control paths

_CONTROL_SEGMENT: Final = re.compile(
    rf"[/\\]{re.escape(CONTROL_PREFIX.strip('/'))}(?=[/\\;]|\Z)", re.IGNORECASE
)
_MAX_DECODINGS: Final = 5


def check_call(method: str, target: Target) -> None:
    """Refuse a call to the control API or dashboard of any emulator; POST to the inbox is allowed.

    A caller of the API must not be able to steer the emulator through it. Which host names, port
    mappings and proxies lead to an emulator cannot be known, so the path alone decides, on every host.

    Raises:
        AddressRefused: the path names a control path, in whatever encoding.
    """
    path = target.path.partition("?")[0]
    if method == "POST":
        path = path.removesuffix(INBOX_PATH)
    for _ in range(_MAX_DECODINGS):
        if _CONTROL_SEGMENT.search(path):
            reason = "the control paths of an emulator are never called"
            expected = f"a path without {CONTROL_PREFIX}, or {INBOX_PATH} as a callback URL"
            advice = "use another path for a receiver or a picture of your own"
            raise AddressRefused(reason, expected, path, advice)
        path = unquote(path)
