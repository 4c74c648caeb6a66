"""A call of the journal, copied as a curl command, makes the same call again."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.harness import KEY, SUBMIT, body, make_harness

from apixo_emulator.journal.export import curl

KEY_VARIABLE = "sk-from-the-variable"
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
HOSTILE = [
    "'; touch pwned; '",
    "$(touch pwned)",
    "`touch pwned`",
    "@/etc/passwd",
    "a\nb\\\n c",
    "!!",
]

JSON = (b"content-type", b"application/json")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APIXO_API_KEY", KEY_VARIABLE)


def arguments_in_a_shell(command: str) -> tuple[list[str], bytes]:
    """What a shell hands to curl: its arguments and what is piped into it."""
    script = "curl() { printf '%s\\0' \"$@\"; printf '\\1'; case $* in *@-*) cat;; esac; }\n"
    done = subprocess.run(["sh", "-c", script + command], capture_output=True, check=True)  # noqa: S607
    arguments, _, piped = done.stdout.partition(b"\1")
    return [one.decode() for one in arguments.split(b"\0")[:-1]], piped


def test_a_submit_is_copied(send: Any) -> None:
    entry = send(
        raw=json.dumps(body(resolution="8k", output_format="webp")).encode(), headers=[JSON]
    )
    assert curl(entry) == (
        "curl -X POST http://127.0.0.1:8787/api/v1/generateTask/image-upscaler \\\n"
        '  -H "Authorization: Bearer $APIXO_API_KEY" \\\n'
        "  -H 'content-type: application/json' \\\n"
        "  --data-raw '" + entry.request_body.decode() + "'"
    )


@settings(max_examples=10)
@given(path=ANY_TEXT, query=ANY_TEXT, text=ANY_TEXT, header=ANY_TEXT)
@example(path=HOSTILE[0], query=HOSTILE[1], text=HOSTILE[2], header=HOSTILE[0])
@example(path="[1-9]", query="{a,b}", text=HOSTILE[3], header="@/etc/passwd")
@example(path="-o x", query="", text=HOSTILE[4], header=HOSTILE[5])
def test_a_shell_reads_back_what_was_written(path: str, query: str, text: str, header: str) -> None:
    harness = make_harness()
    harness.extra = [(b"prefer", header.encode())]
    harness.call("POST", f"/{path}", query=query.encode().decode("latin-1"), raw=text.encode())
    [entry] = harness.operator.requests()
    command = curl(entry)
    arguments, piped = arguments_in_a_shell(command)
    assert arguments[:3] == ["-X", "POST", entry.address]
    assert f"Authorization: Bearer {KEY_VARIABLE}" in arguments
    given_body = (
        arguments[arguments.index("--data-raw") + 1].encode() if text and not piped else piped
    )
    assert given_body == entry.request_body


@given(st.binary(min_size=1, max_size=80))
@settings(max_examples=10)
@example(b"\x00\xff")
@example(b"\x1b[2J")
def test_bytes_that_no_shell_takes_come_through_a_pipe(raw: bytes) -> None:
    harness = make_harness()
    harness.call("POST", SUBMIT, raw=raw)
    [entry] = harness.operator.requests()
    arguments, piped = arguments_in_a_shell(curl(entry))
    kept = piped or arguments[arguments.index("--data-raw") + 1].encode()
    assert kept == entry.request_body
    assert "Content-Type:" in arguments


def test_no_secret_is_copied_and_it_is_said_where_one_is_missing(send: Any) -> None:
    raw = json.dumps({"api_key": KEY, **body()}).encode()
    entry = send(raw=raw, headers=[JSON, (b"x-secret", b"hush"), (b"prefer", b"quick")])
    text = curl(entry)
    assert text.startswith("# Secrets stand here as …: put them in.\n")
    assert KEY not in text
    assert "hush" not in text
    assert "quick" in text


def test_a_body_that_was_cut_is_said_to_be(send: Any) -> None:
    entry = send(raw=json.dumps(body(image_urls=["data:," + "A" * 200_000])).encode())
    assert curl(entry).startswith("# The journal keeps both ends of a long body only")


def test_a_result_is_written_to_a_file_and_a_head_asks_for_no_body(send: Any) -> None:
    file = curl(send("GET", "/files/abc.jpg", key=None))
    assert file == ("curl -X GET http://127.0.0.1:8787/files/abc.jpg \\\n  --output abc.jpg")
    assert curl(send("HEAD", "/files/abc.jpg", key=None)).startswith("curl --head http")


def test_headers_that_cannot_be_written_are_left_out(send: Any) -> None:
    headers = [(b"prefer", b"caf\xe9"), (b"x(y", b"1"), (b"date", b"")]
    text = curl(send(headers=headers))
    assert "caf" not in text
    assert "x(y" not in text
    assert "-H 'date;'" in text
