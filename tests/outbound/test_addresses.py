from __future__ import annotations

import ipaddress
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apixo_emulator.domain.addresses import (
    ANY_BUT_FORBIDDEN,
    ANYWHERE,
    LOOPBACK_ONLY,
    STRICT,
    AddressPolicy,
    AddressRefused,
    Scope,
    UrlMalformed,
    check_call,
    is_loopback_name,
    judge,
    parse_target,
    scope_of,
)

# Loopback addresses only, behind any name.
NAMED_LOOPBACK = AddressPolicy(frozenset({Scope.LOOPBACK}))
POLICIES = (NAMED_LOOPBACK, ANY_BUT_FORBIDDEN, STRICT)

SCOPES = {
    Scope.LOOPBACK: """
        127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::1%lo
    """,
    Scope.PRIVATE: """
        10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 fc00::1 fd12:3456::1 ::ffff:10.0.0.1
        64:ff9b::10.0.0.1
    """,
    Scope.PUBLIC: """
        8.8.8.8 172.32.0.1 100.128.0.1 2001:4860:4860::8888 ::ffff:8.8.8.8
        64:ff9b::8.8.8.8
    """,
    Scope.FORBIDDEN: """
        0.0.0.0 0.1.2.3 169.254.169.254 100.100.100.200 168.63.129.16 192.0.0.192
        192.0.2.1 198.18.0.1 224.0.0.1 255.255.255.255 :: fe80::1 fe80::1%eth0 ff02::1
        100::1 2001:db8::1 2001:2::1 fd20:ce::254 5f00::1 64:ff9b:1::8.8.8.8
        64:ff9b::169.254.169.254 64:ff9b::127.0.0.1 2002:7f00:1::1 2002:a9fe:a9fe::1
        2002:808:808::1 ::127.0.0.1 ::ffff:169.254.169.254 ::ffff:0:169.254.169.254
        2001:0:808:808::5601:5601
    """,
}


@pytest.mark.parametrize(
    ("address", "reach"), [(a, r) for r, found in SCOPES.items() for a in found.split()]
)
def test_how_far_an_address_reaches(address: str, reach: Scope) -> None:
    assert scope_of(address) is reach
    assert scope_of(ipaddress.ip_address(address)) is reach
    assert is_loopback_name(address) is (reach is Scope.LOOPBACK)


@pytest.mark.parametrize(
    "text", ["", "localhost", "1.2.3", "::g", "010.0.0.1", "%eth0", "127.0.0.1%lo", "::1%a%b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressRefused, match="no IP address"):
        scope_of(text)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]", "[::1%25lo]"),
        *("localhost", "LOCALHOST.", "api.localhost"),
        *("１２７.0.0.1", "127。0。0。1"),  # noqa: RUF001 - full-width digits are what this is about
    ],
)
def test_loopback_in_every_form_is_loopback(host: str) -> None:
    target = parse_target(f"http://{host}:8080/x?y=1#z", LOOPBACK_ONLY)
    assert (target.port, target.path) == (8080, "/x?y=1")
    assert is_loopback_name(target.host)
    assert not target.is_literal or scope_of(target.host) is Scope.LOOPBACK
    if host.isascii():
        assert is_loopback_name(host.replace("%25", "%"))
    with pytest.raises(AddressRefused, match="loopback addresses are not called"):
        parse_target(f"https://{host}/", STRICT)


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "example.com", "localhost.example.com", "notlocalhost", "a b.localhost"),
        *("127.0.0.1.example.com", "128.0.0.1", "127.0.0.256", "127.1", "2130706433", "0x7f.1"),
        *("0177.0.0.1", "١٢٧.0.0.1", "[]", "1::1", "[::1%/evil.example]"),
        *("9" * 5000, "a" * 5000 + ".localhost"),
    ],
)
def test_what_may_be_another_machine_is_not_loopback(host: str) -> None:
    assert not is_loopback_name(host)


REFUSED = {
    "": "no URL",
    "example.com": "no URL",
    "user:secret@example.com": "no URL",
    "file:///etc/passwd": "scheme",
    "http://": "neither a name nor an address",
    "http://.": "neither",
    "http://a..b/": "neither",
    "http://user:secret@example.com/": "user information",
    "http://1:2@[::1]:9876/": "user information",
    "http://good.example@evil.example/": "user information",
    "http://user:se/cret@example.com/": "malformed",
    "http://example.com:0/": "malformed",
    "http://example.com:65536/": "malformed",
    "http://example.com:-1/": "malformed",
    "http://example.com:http/": "malformed",
    "http://example.com:٨/": "malformed",
    "http://[::1/": "malformed",
    "http://[::1]evil.example/": "malformed",
    "http://::1/": "malformed",
    "http://[]/": "neither",
    "http://[example.com]/": "neither",
    "http://[127.0.0.1]/": "neither",
    "http://[::g]/": "no IP address",
    "http://[::ffff:127.0.0.1%25a%25b]/": "no IP address",
    "http://1.2.3.4.5/": "neither",
    "http://256.1.1.1/": "neither",
    "http://08/": "neither",
    "http://0/": "neither",
    "http://2130706433/": "neither",
    "http://010.8.8.8/": "neither",
    "http://example.0x7f/": "neither",
    "http://exa mple.com/": "neither",
    " http://example.com/": "white space",
    "http://example.com/\n": "white space",
    "http://example.com\\@evil.example/": "backslash",
    "http://example.com/\r\nHost: evil": "control",
    "http://example.com/\x00": "control",
    "http://example.com/\u2028": "white space",
    "http://example.com/\ud800": "control",
    "http://exa%6dple.com/": "neither",
    "http://a℀b.example/": "neither",  # becomes a/c when it is normalised
    "http://evil.example／@good.example": "user",  # noqa: RUF001 - a full-width slash
    "http://straße.example/": "neither",  # strasse in one edition of IDNA, not in the other
    f"http://{'a' * 64}.example/": "neither",
    f"http://{'a.' * 127}example/": "neither",
    f"http://example.com/{'a' * 9000}": "too long",
}


@pytest.mark.parametrize(("url", "reason"), REFUSED.items())
def test_refused_for_every_policy(url: str, reason: str) -> None:
    for policy in POLICIES:
        if policy is STRICT:
            url = url.replace("http://", "https://")
        with pytest.raises(AddressRefused, match=reason) as refused:
            parse_target(url, policy)
        assert "secret" not in str(refused.value)
        assert "user:" not in str(refused.value)
        assert len(str(refused.value)) <= 400


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("HTTP://EXAMPLE.com", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com:00080", "http://example.com/"),
        ("http://example.com?q", "http://example.com/?q"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://my_service:9000/a%20b", "http://my_service:9000/a%20b"),
        ("http://bücher.example/ä?ö", "http://xn--bcher-kva.example/%C3%A4?%C3%B6"),
        ("http://BÜCHER。example/", "http://xn--bcher-kva.example/"),
        ("http://[2001:4860:4860:0:0:0:0:8888]:81/", "http://[2001:4860:4860::8888]:81/"),
        ("http://[::ffff:808:808]/", "http://8.8.8.8/"),
        ("http://example.com/a b?c d#e f", "http://example.com/a%20b?c%20d"),
        ("http://example.com/@scope/x:y", "http://example.com/@scope/x:y"),
    ],
)
def test_a_url_is_called_in_one_form(url: str, canonical: str) -> None:
    assert parse_target(url, ANY_BUT_FORBIDDEN).url == canonical


def test_the_policies_differ_in_reach_and_scheme() -> None:
    table = {
        "http://127.0.0.1/": [NAMED_LOOPBACK, ANY_BUT_FORBIDDEN],
        "https://10.0.0.1/": [ANY_BUT_FORBIDDEN],
        "http://8.8.8.8/": [ANY_BUT_FORBIDDEN],
        "https://8.8.8.8/": [ANY_BUT_FORBIDDEN, STRICT],
        "https://169.254.169.254/": [],
        "https://[fe80::1%25eth0]/": [],
    }
    assert {url: [p for p in POLICIES if accepts(url, p)] for url in table} == table


def accepts(url: str, policy: AddressPolicy) -> bool:
    try:
        parse_target(url, policy)
    except AddressRefused:
        return False
    return True


def test_a_text_that_nothing_can_call_is_told_from_one_outside_the_policy() -> None:
    for url in ("nonsense", "ftp://example.com/", "http://example.com:0/", "http://a..b/"):
        with pytest.raises(UrlMalformed):
            parse_target(url, ANYWHERE)
    for url in ("http://user@example.com/", "http://169.254.169.254/"):
        with pytest.raises(AddressRefused) as refused:
            parse_target(url, ANY_BUT_FORBIDDEN)
        assert not isinstance(refused.value, UrlMalformed)


def test_the_address_to_listen_on_is_told_from_the_one_to_call() -> None:
    for host in ("0.0.0.0", "[::]"):  # noqa: S104 - nothing is bound
        with pytest.raises(AddressRefused, match=r"call the server at 127\.0\.0\.1"):
            parse_target(f"http://{host}:9000/", ANY_BUT_FORBIDDEN)


def test_names_of_other_machines_are_not_looked_up_for_loopback() -> None:
    with pytest.raises(AddressRefused, match="not looked up"):
        parse_target("http://example.com/", LOOPBACK_ONLY)
    assert parse_target("http://api.localhost/", LOOPBACK_ONLY).host == "api.localhost"


@pytest.mark.parametrize(
    "path",
    [
        *("/_emulator", "/_emulator/", "/_emulator/ui/clock/reset", "/_EMULATOR/reset"),
        *("/prefix/_emulator/reset", "/%5Femulator/reset", "/_emulator%2Freset"),
        *("/%255Femulator/reset", "/a/../_emulator/reset", "//_emulator//reset"),
        *("/_emulator;x=y/reset", "/_emulator%5Creset", "/_emulator?x=1", "/%5Femulator/inbox"),
        *("/_emulator/inbox/clear", "/_emulator/ui/..%2finbox", "/_emulator/clock/_emulator/inbox"),
    ],
)
def test_control_paths_are_never_called(path: str) -> None:
    target = parse_target(f"http://mapped.example:9000{path}", ANYWHERE)
    for method in ("GET", "POST"):
        with pytest.raises(AddressRefused, match="control paths"):
            check_call(method, target)


def test_the_inbox_takes_callbacks_and_nothing_else() -> None:
    for url in ("http://127.0.0.1:1/_emulator/inbox?status=500", "http://x/p/_emulator/inbox"):
        target = parse_target(url, ANYWHERE)
        check_call("POST", target)
        with pytest.raises(AddressRefused):
            check_call("GET", target)


@pytest.mark.parametrize(
    "path", ["/", "/my_emulator/hook", "/_emulators/", "/x?next=/_emulator/", "/a%2Fb", "/%"]
)
def test_other_paths_are_called(path: str) -> None:
    check_call("POST", parse_target(f"http://127.0.0.1{path}", ANYWHERE))


def test_all_addresses_of_a_name_are_judged() -> None:
    assert judge(["8.8.8.8", "2001:4860::1", "8.8.8.8"], STRICT) == ("8.8.8.8", "2001:4860::1")
    assert judge(["::ffff:127.0.0.1", "::1%lo"], LOOPBACK_ONLY) == ("127.0.0.1", "::1")
    with pytest.raises(AddressRefused, match="private addresses are not called"):
        judge(["8.8.8.8", "10.0.0.1"], STRICT)
    with pytest.raises(AddressRefused, match="never called"):
        judge(["127.0.0.1", "169.254.169.254"], ANY_BUT_FORBIDDEN)
    with pytest.raises(AddressRefused, match="has no address"):
        judge([], STRICT)
    with pytest.raises(AddressRefused, match="no IP address"):
        judge(["8.8.8.8", "example.com"], STRICT)


FRAGMENTS = st.sampled_from(
    ["http://", "https://", "[", "]", ":", "@", ".", "/", "%25", "0x", "::1", "127.0.0.1", "é", "xn--"]
)  # fmt: skip
HOSTILE = st.lists(st.one_of(FRAGMENTS, st.text(max_size=5)), max_size=12).map("".join)
ANY_TEXT = st.one_of(st.text(), HOSTILE, HOSTILE.map(lambda text: f"http://{text}"))


@settings(deadline=None)  # a busy machine is no failure
@given(ANY_TEXT)
@example("http://" + "9" * 5000)
@example("http://xn--\u0130.example")
@example("[" * 5000)
def test_arbitrary_text_is_read_or_refused(text: str) -> None:
    is_loopback_name(text)
    for policy in POLICIES:
        if accepts(text, policy):
            target = parse_target(text, policy)
            assert target.url.isascii()
            assert parse_target(target.url, policy) == target
            assert 0 < target.port < 65536
    try:
        scope_of(text)
    except AddressRefused:
        pass
    else:
        ipaddress.ip_address(text)


@given(st.ip_addresses(v=4), st.sampled_from(["", "%25eth0", "%251"]))
def test_a_carried_v4_address_is_never_less_restricted(address: IPv4Address, zone: str) -> None:
    number = int(address)
    for carrier in (0xFFFF << 32, 0, 0xFFFF << 48, 0x64FF9B << 96, 0x20010000 << 96):
        carried = IPv6Address(carrier | number)
        for text in (carried.compressed, carried.exploded.upper()):
            if accepts(f"http://[{text}{zone}]/", ANY_BUT_FORBIDDEN):
                assert accepts(f"http://{address}/", ANY_BUT_FORBIDDEN) or str(carried) == "::1"
