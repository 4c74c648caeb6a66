"""A call as a report shows it, and the shell line that repeats it."""

import json
import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_contract import Exchange, Key, Purpose
from apixo_contract.masking import curl_line
from apixo_contract.report.model import format_exchange
from apixo_contract.text import json_line, shortened

# What an argument of a command can hold.
shell_texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
)


def call(**given: Any) -> Exchange:
    members: dict[str, Any] = {
        "number": 1,
        "purpose": Purpose.BODY,
        "method": "POST",
        "url": "https://api.example/api/v1/generateTask/image-upscaler",
        "sent_ms": 1000,
        "received_ms": 1250,
        "key": Key.OWN,
        "headers": {"authorization": "Bearer $APIXO_API_KEY", "user-agent": "x"},
        "body": '{"it\'s":"$HOME `id` \\\\ !x"}',
        "status": 400,
        "text": "No.",
    }
    return Exchange(**{**members, **given})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('"now"', '"now"'),
        ("500.0", "500.0"),
        ("1e999", "1E+999"),
        ("null", "null"),
        ('{"a": [true, 0.10, "Ü"]}', '{"a": [true, 0.1, "Ü"]}'),
        ('[{"a": "No."}]', '[{"a": "$message"}]'),
        ("[" * 900 + "]" * 900, "[" * 20 + "…" + "]" * 20),
    ],
)
def test_a_value_is_shown_as_json(text: str, told: str) -> None:
    assert json_line(call(text=text).json, message="No.") == told


def arguments(line: str, key: str) -> list[str]:
    """What a shell makes of a line: its words, as the command would get them."""
    script = line.replace("curl ", "printf '%s\\0' ", 1)
    made = subprocess.run(
        ["/bin/sh", "-c", script],
        capture_output=True,
        check=True,
        env={"APIXO_API_KEY": key, "HOME": "/nowhere"},
    )
    return made.stdout.decode().split("\0")[:-1]


def test_a_shell_makes_the_call_again_with_the_key_from_its_variable() -> None:
    shown = format_exchange(call())
    words = arguments(shown.curl, "sk-real $key")
    assert words == [
        *("-sS", "-X", "POST", call().url),
        *("-H", "authorization: Bearer sk-real $key"),
        *("--data-raw", call().body),
    ]


@given(shell_texts, shell_texts)
def test_quoting_holds_for_any_text(url: str, body: str) -> None:
    line = curl_line("GET", url, {}, body)
    assert shlex.split(line) == ["curl", "-sS", "-X", "GET", url, "--data-raw", body]


@pytest.mark.parametrize("text", ["$APIXO_API_KEY", "a$APIXO_API_KEY`id`", '"$APIXO_API_KEY"$HOME'])
def test_only_the_key_is_filled_in(text: str) -> None:
    line = curl_line("GET", "u", {}, text)
    assert arguments(line, "K")[-1] == text.replace("$APIXO_API_KEY", "K")


def test_a_call_keeps_what_tells_and_drops_the_noise() -> None:
    # A clock that was set back gives no negative time.
    assert format_exchange(call(received_ms=1)).elapsed_ms == 0
    shown = format_exchange(call())
    assert shown.request_headers == {"authorization": "Bearer $APIXO_API_KEY"}
    assert (shown.status, shown.response_body, shown.elapsed_ms) == (400, "No.", 250)


def test_a_long_text_keeps_both_ends() -> None:
    text = json.dumps(list(range(5000)))
    short = shortened(text)
    assert len(short) < 4100
    assert short.startswith(text[:2000])
    assert short.endswith(text[-2000:])
    assert f"{len(text) - 4000} characters left out" in short
    # In the shell line, which repeats the call, it is whole.
    shown = format_exchange(call(body=text))
    assert text in shown.curl
    assert shown.request_body == short
