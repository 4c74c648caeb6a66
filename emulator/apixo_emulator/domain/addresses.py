"""Which addresses an outbound call may reach: decided on text, before and after name resolution.

The emulator calls URLs that an application hands it. Every URL is first read by `parse_target`, the name's
addresses are then judged by `judge`, and the caller connects to a judged address, never to the name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Final
from urllib.parse import quote

from apixo_emulator.domain.reach import (
    LOOPBACK_V4,
    AddressRefused,
    IPAddress,
    Reach,
    plain,
    reach_of,
)

MAX_HOST = 253
"""Characters of the longest host name that DNS can carry."""
MAX_URL = 8192
"""Characters of the longest URL that is read at all."""
_MAX_PORT: Final = 65535
_MAX_LABEL: Final = 63


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


# Callbacks go to few receivers again and again; reading a URL anew is a twentieth of what one costs.
@lru_cache(maxsize=256)
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
        address = plain(text[1:-1])
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
    return address is not None and address in LOOPBACK_V4


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
    judged = list(dict.fromkeys(plain(text) for text in addresses))
    for address in judged:
        reach = reach_of(address)
        if reach not in policy.reaches:
            raise _out_of_reach(str(address), reach, policy)
    return tuple(str(address) for address in judged)
