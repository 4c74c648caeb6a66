from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apixo_emulator.domain.deliveries import (
    DEEPEST,
    CallbackMode,
    CallbackOptions,
    depth_of,
    parse_rewrite,
    rewrite,
)

RULE = parse_rewrite("https://your-server.com=http://127.0.0.1:9000")
HOOKS = parse_rewrite("https://your-server.com/hooks/=http://127.0.0.1:9001/base/")


@pytest.mark.parametrize(
    ("url", "rewritten"),
    [
        ("https://your-server.com", "http://127.0.0.1:9000/"),
        ("https://your-server.com/", "http://127.0.0.1:9000/"),
        ("https://your-server.com/a/b?c=d", "http://127.0.0.1:9000/a/b?c=d"),
        ("https://your-server.com?c", "http://127.0.0.1:9000/?c"),
        ("HTTPS://Your-Server.COM:443/a", "http://127.0.0.1:9000/a"),
        ("https://your-server.com./a", "http://127.0.0.1:9000/a"),
        ("https://your-server.com/hooks", "http://127.0.0.1:9001/base"),
        ("https://your-server.com/hooks/a", "http://127.0.0.1:9001/base/a"),
        ("https://your-server.com/hooks?a", "http://127.0.0.1:9001/base?a"),
        ("https://your-server.com/hooksome", "http://127.0.0.1:9000/hooksome"),
    ],
)
def test_the_first_rule_that_covers_the_url_wins(url: str, rewritten: str) -> None:
    assert rewrite(url, [HOOKS, RULE]) == rewritten
    assert rewrite(url, []) == url
    assert rewrite(url, [RULE, HOOKS]).startswith("http://127.0.0.1:9000/")


@pytest.mark.parametrize(
    "url",
    [
        "https://your-server.com.evil.org/",
        "https://your-server.community/",
        "https://your-server.com@evil.org/",
        "https://api.your-server.com/",
        "http://your-server.com/",
        "https://your-server.com:8443/",
        "https://your-server.com\\.evil.org/",
        "nonsense",
    ],
)
def test_what_only_looks_like_the_prefix_stays(url: str) -> None:
    assert rewrite(url, [RULE, HOOKS]) == url


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://your-server.com", "PREFIX=REPLACEMENT"),
        ("your-server.com=http://127.0.0.1:9000", "the prefix of a rewrite rule: this is no URL"),
        ("https://your-server.com=", "the replacement of a rewrite rule: this is no URL"),
        ("https://u:p@a.example=http://127.0.0.1", "user information"),
        ("https://a.example=http://127.0.0.1/?x=1", "no query or fragment"),
        ("https://a.example#x=http://127.0.0.1", "no query or fragment"),
    ],
)
def test_a_malformed_rule_says_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_rewrite(text)


LABEL = st.text("abcdefghij", min_size=1, max_size=6)
SEGMENTS = st.lists(LABEL, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))


@settings(deadline=None)  # a busy machine is no failure
@given(LABEL, SEGMENTS, SEGMENTS, SEGMENTS)
def test_what_follows_the_prefix_is_kept(name: str, prefix: str, base: str, rest: str) -> None:
    rule = parse_rewrite(f"https://{name}.example{prefix}=http://127.0.0.1:9000{base}")
    assert rewrite(f"https://{name}.example{prefix}{rest}", [rule]) in {
        f"http://127.0.0.1:9000{base}{rest}",
        f"http://127.0.0.1:9000{base}{rest}/",  # an empty path is written /
    }
    longer = f"https://{name}.example{prefix}x{rest}"
    assert rewrite(longer, [rule]) == longer or not prefix
    for url in (f"https://{name}.example.evil{prefix}", f"https://{name}x.example{prefix}"):
        assert rewrite(url, [rule]) == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://user:secret@127.0.0.1:9000/hook", "user information"),
        ("http://0.0.0.0:9000/hook", "call the server at 127.0.0.1"),
        ("http://169.254.169.254/", "never called"),
        ("http://127.0.0.1:8787/_emulator/ui/clock/reset", "control paths"),
        ("https://hooks.example/_emulator/reset", "control paths"),
    ],
)
def test_a_url_that_must_not_be_called_is_rejected_at_submit(url: str, words: str) -> None:
    refused = CallbackOptions().refusal(url)
    assert refused is not None
    assert refused.startswith(
        "The parameter {{callback_url}} must be a URL that callbacks may go to. "
    )
    assert words in refused
    assert "secret" not in refused
    assert "policy" not in refused
    strict = CallbackOptions(CallbackMode.STRICT).refusal(url)
    assert strict == "The parameter {{callback_url}} must be a public HTTPS URL."


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/hook",
        "http://127.0.0.1:8787/_emulator/inbox?status=500",
        "https://hooks.example/a b",
        "not a URL",
        "ftp://hooks.example/",
        "http://127.0.0.1:99999/",
    ],
)
def test_other_urls_are_taken_in_local_mode(url: str) -> None:
    assert CallbackOptions().refusal(url) is None


def test_a_rewrite_does_not_lead_to_control_paths() -> None:
    rule = parse_rewrite("https://a.example=http://127.0.0.1:8787/_emulator")
    refused = CallbackOptions(rewrites=(rule,)).refusal("https://a.example/reset")
    assert refused is not None
    assert "control paths" in refused
    assert CallbackOptions(rewrites=(rule,)).refusal("https://a.example/inbox") is None


@pytest.mark.parametrize(
    ("header", "depth"),
    [(None, 0), (b"", 0), (b"x", 0), (b"-1", 0), (b"3", 3), (b"10", DEEPEST), (b"999", DEEPEST)],
)
def test_the_depth_of_a_submit(header: bytes | None, depth: int) -> None:
    assert depth_of(header) == depth
