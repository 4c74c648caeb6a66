"""Calls of the journal, copied: they say what was sent, whatever it was."""

from __future__ import annotations

import ast
import json
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.harness import Harness, body, make_harness

from apixo_emulator.core.journal import JournalEntry
from apixo_emulator.dashboard.snippets import snippets


@pytest.fixture
def harness() -> Harness:
    return make_harness()


def last(harness: Harness) -> tuple[JournalEntry, dict[str, str]]:
    desk = harness.operator
    [entry] = desk.requests(after=desk.last_number() - 1)
    return entry, dict(snippets(entry))


def request_of(code: str) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the call of httpx in a piece of Python, those that are literals."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    call = next(
        node
        for node in calls
        if isinstance(node.func, ast.Attribute) and node.func.attr == "request"
    )
    named = {entry.arg: entry.value for entry in call.keywords if entry.arg != "headers"}
    return [ast.literal_eval(argument) for argument in call.args], {
        str(name): ast.literal_eval(value) for name, value in named.items()
    }


URLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def test_a_submit_is_copied_as_it_was_sent(harness: Harness) -> None:
    @settings(deadline=None)
    @given(URLS)
    def for_any_url(url: str) -> None:
        harness.submit(body(image_urls=[f"https://x.example/{url}"]))
        entry, copied = last(harness)
        shown = json.loads(entry.request_body)  # as the journal shows it: without secrets
        words = shlex.split(copied["curl"].replace("\\\n", ""))
        assert words[:4] == ["curl", "-X", "POST", entry.url]
        assert json.loads(words[words.index("--data-raw") + 1]) == shown
        for name in ("Python", "pytest"):
            positional, named = request_of(copied[name])
            assert positional[0] == "POST"
            assert named == {"json": shown}

    for_any_url()


def test_a_test_expects_what_was_answered_and_asks_for_the_same_scenario(harness: Harness) -> None:
    harness.operator.add_scenario({"scenario": "http-429", "times": 1})
    harness.submit()
    test = last(harness)[1]["pytest"]
    assert "@pytest.mark.apixo(scenario='http-429')" in test
    assert "assert response.status_code == 429" in test
    assert request_of(test)[0][1].startswith("https://api.apixo.ai/api/v1/")


def test_no_secret_is_copied_and_no_mask(harness: Harness) -> None:
    harness.extra = [(b"x-secret-token", b"hush-hush-hush"), (b"prefer", b"quick")]
    harness.submit()
    harness.extra = []
    for text in last(harness)[1].values():
        assert "hush" not in text
        assert "…" not in text
        assert "sk-test-0123456789abcd" not in text
        assert "prefer" in text


def test_a_body_that_is_no_json_is_copied_too(harness: Harness) -> None:
    harness.call("POST", "/api/v1/generateTask/image-upscaler", raw=b"{it's no json")
    copied = last(harness)[1]
    assert request_of(copied["Python"])[1] == {"content": "{it's no json"}
    assert shlex.split(copied["curl"].replace("\\\n", ""))[-1] == "{it's no json"


def test_a_long_body_is_said_to_be_cut(harness: Harness) -> None:
    harness.submit(body(image_urls=["data:image/png;base64," + "A" * 200_000]))
    for text in last(harness)[1].values():
        assert "put the rest in" in text
