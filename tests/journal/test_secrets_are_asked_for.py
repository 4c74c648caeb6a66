"""A secret may be asked for as it was sent; it matches its mask, and is never shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.harness import KEY, Harness, body, make_harness

from apixo_emulator.journal.verify import Expectation, Verification

OTHER_KEY = "sk-other-987654321zzzz"
SIGNED = "https://cdn.example/a.png?X-Amz-Signature=0123456789abcdef&v=1"
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)


def verified(harness: Harness, **expected: Any) -> Verification:
    found: Verification = harness.operator.verify(Expectation(**expected))
    return found


def told(found: Verification) -> str:
    return found.words + "".join(words for near in found.nearest for words in near.differences)


@pytest.fixture
def harness() -> Harness:
    """A journal: #1 by one key, #2 by another with more secrets, #3 by a short one, #4 by none."""
    harness = make_harness()
    harness.submit()
    harness.extra = [(b"x-api-key", b"hush-hush-1"), (b"user-agent", b"bot/1 token=hush-hush-2")]
    harness.submit(body(image_urls=[SIGNED]), key=OTHER_KEY)
    harness.extra = []
    harness.submit(key="test-key")
    harness.submit(authorization="Basic dXNlcjpodXNoLWh1c2g=")
    return harness


@pytest.mark.parametrize(
    ("headers", "numbers"),
    [
        ({"Authorization": f"Bearer {KEY}"}, [1]),
        ({"authorization": f"bearer  {OTHER_KEY}"}, [2]),
        ({"Authorization": "Bearer sk-…abcd"}, [1]),
        ({"Authorization": "Bearer sk-*"}, [1, 2]),
        ({"Authorization": "*zzzz"}, [2]),
        ({"Authorization": "Bearer test-key"}, [3]),
        ({"Authorization": "Bearer sk-nobody-0123456789abce"}, []),
        ({"Authorization": "Bearer sk-test-0123456789*"}, []),
        ({"Authorization": "Basic *"}, [4]),
        ({"Authorization": "Basic dXNlcjpodXNoLWh1c2g="}, []),
        ({"Authorization": KEY}, []),
        ({"x-api-key": "hush-hush-1"}, []),
        ({"x-api-key": "*"}, [2]),
        ({"user-agent": "bot/1 token=hush-hush-2"}, [2]),
        ({"user-agent": "bot/1*"}, [2]),
    ],
)
def test_headers_with_secrets_are_compared_as_the_journal_shows_them(
    harness: Harness, headers: dict[str, str], numbers: list[int]
) -> None:
    found = verified(harness, headers=headers)
    assert [entry.number for entry in found.matching] == numbers
    for secret in ("0123456789", "98765", "hush-hush", "dXNlcjpod"):
        assert secret not in told(found)
    assert found.to_json() == harness.operator.verify({"headers": headers}).to_json()


def test_words_show_a_wanted_key_as_rules_and_the_journal_do(harness: Harness) -> None:
    missed = verified(harness, headers={"Authorization": "Bearer sk-nobody-0123456789abce"})
    assert missed.words.startswith(
        "expected at least 1 call with header Authorization Bearer sk-…abce,"
    )
    assert "header Authorization is Bearer …key, wants Bearer sk-…abce" in told(missed)
    words = verified(harness, headers={"Authorization": f"Bearer {KEY}"}, exactly=1).words
    assert words == (
        "as expected, exactly 1 call with header Authorization Bearer sk-…abcd: found 1 of 4 calls:"
        " #1"
    )


def test_what_is_wholly_hidden_is_not_taken_for_a_match(harness: Harness) -> None:
    for headers in ({"x-api-key": "another-one"}, {"Authorization": "Basic b3RoZXI6c2VjcmV0"}):
        differences = [
            near.differences for near in verified(harness, headers=headers, at_least=4).nearest
        ]
        assert any("is kept secret, only * can be asked of it" in one[0] for one in differences)


def test_a_signed_url_is_found_as_it_was_sent(harness: Harness) -> None:
    assert [entry.number for entry in verified(harness, image_url=SIGNED).matching] == [2]
    missed = verified(harness, image_url=SIGNED.replace("a.png", "b.png"))
    assert not missed
    assert "0123456789abcdef" not in told(missed)
    assert "image_url https://cdn.example/b.png?X-Amz-Signature=…&v=1" in missed.words


@settings(max_examples=30)
@given(KEYS, KEYS)
def test_no_key_that_is_asked_for_is_told(key: str, other: str) -> None:
    harness = make_harness()
    harness.submit(key=key)
    found = verified(harness, headers={"authorization": f"Bearer {other}"}, key=other)
    assert found.met or found.nearest
    if "*" not in other and "…" not in other:
        assert other not in told(found)
    plain = "*" not in key
    assert not plain or verified(harness, headers={"authorization": f"Bearer {key}"})
    assert verified(harness, key=key)


def test_a_rule_shows_no_secret_wherever_it_is_seen() -> None:
    harness = make_harness()
    secret = "Zq7-a-key-of-no-known-form"
    listed = harness.operator.add_scenario(
        {
            "scenario": "http-503",
            "match": {
                "key": secret,
                "headers": {"Authorization": f"Bearer {secret}", "X-Api-Key": "hush-hush-1"},
                "image_url": f"https://x.example/{secret}/*?token=hush-hush-2",
            },
        }
    )
    harness.extra = [(b"x-api-key", b"hush-hush-3")]
    padding = "p" * 50
    harness.submit(body(image_urls=[f"https://x.example/{padding}/{KEY}.jpg"]))
    harness.submit(body(image_urls=[f"https://x.example/{secret}/1?token=hush-hush-2"]), key=KEY)
    entries = [entry.to_json() for entry in harness.operator.requests()]
    assert [len(entry["whyNot"]) for entry in entries] == [1, 1]
    seen = str((listed, harness.operator.scenarios(), [entry["whyNot"] for entry in entries]))
    for text in (secret, "hush", "test-0123"):
        assert text not in seen
    assert listed["match"]["headers"]["authorization"] == "Bearer Zq7-…form"
