"""A call of the journal, copied as curl, as Python or as a test, makes the same call again."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.harness import BALANCE, KEY, STATUS, SUBMIT, body, make_harness

import apixo_emulator
from apixo_client import ApiError
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.snippets import snippets
from apixo_schemas import contract

API = "https://api.apixo.ai"
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

Send = Callable[..., JournalEntry]


@pytest.fixture
def send() -> Send:
    """Make a call and give its entry."""
    harness = make_harness()

    def sent(method: str = "POST", path: str = SUBMIT, **options: Any) -> JournalEntry:
        harness.extra = [(b"content-type", b"application/json"), *options.pop("headers", [])]
        harness.call(method, path, **options)
        entry: JournalEntry = harness.operator.requests(after=harness.operator.last_number() - 1)[0]
        return entry

    return sent


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APIXO_API_KEY", KEY_VARIABLE)


def copied(entry: JournalEntry, name: str, base_url: str | None = None) -> str:
    return dict(snippets(entry, base_url))[name]


def arguments_in_a_shell(command: str) -> tuple[list[str], bytes]:
    """What a shell hands to curl: its arguments and what is piped into it."""
    script = "curl() { printf '%s\\0' \"$@\"; printf '\\1'; case $* in *@-*) cat;; esac; }\n"
    done = subprocess.run(["sh", "-c", script + command], capture_output=True, check=True)  # noqa: S607
    arguments, _, piped = done.stdout.partition(b"\1")
    return [one.decode() for one in arguments.split(b"\0")[:-1]], piped


def sent_again(code: str) -> JournalEntry:
    """What arrives when a piece of Python is run."""
    with apixo_emulator.intercept() as emulator:
        with suppress(ApiError):  # the client raises what a refused call is answered
            exec(compile(code, "copied", "exec"), {})  # noqa: S102 - that is what it is for
        return emulator.requests[-1]


def test_a_submit_is_copied_for_each_place(send: Send) -> None:
    entry = send(raw=json.dumps(body(resolution="8k", output_format="webp")).encode())
    assert copied(entry, "curl") == (
        "curl -X POST http://127.0.0.1:8787/api/v1/generateTask/image-upscaler \\\n"
        '  -H "Authorization: Bearer $APIXO_API_KEY" \\\n'
        "  -H 'content-type: application/json' \\\n"
        "  --data-raw '" + entry.request_body.decode() + "'"
    )
    assert copied(entry, "Python") == (
        "from apixo_client import Apixo\n\n"
        "with Apixo(base_url='http://127.0.0.1:8787/api/v1') as apixo:  # key from APIXO_API_KEY\n"
        "    print(apixo.submit('https://example.com/input.jpg', resolution='8k',"
        " output_format='webp'))\n"
    )
    assert copied(entry, "pytest") == (
        "import httpx\n\n\n"
        "def test_call(apixo):\n"
        "    response = httpx.request(\n"
        "        'POST',\n"
        "        'https://api.apixo.ai/api/v1/generateTask/image-upscaler',\n"
        "        headers={'Authorization': 'Bearer sk-test-0123456789'},\n"
        "        json={'request_type': 'async',\n"
        "              'input': {'image_urls': ['https://example.com/input.jpg'],\n"
        "                        'resolution': '8k',\n"
        "                        'output_format': 'webp'}},\n"
        "    )\n"
        "    assert response.status_code == 200\n"
        "    assert response.json()[\"message\"] == 'success'\n"
    )


@pytest.mark.parametrize("base_url", ["http://emulator:9000", "http://emulator:9000/api/v1/"])
def test_it_goes_where_one_says(send: Send, base_url: str) -> None:
    entry = send("GET", BALANCE)
    assert "http://emulator:9000/api/v1/apikeys/current-balance" in copied(entry, "curl", base_url)
    assert "base_url='http://emulator:9000/api/v1'" in copied(entry, "Python", base_url)


@settings(deadline=None, max_examples=25)
@given(path=ANY_TEXT, query=ANY_TEXT, text=ANY_TEXT, header=ANY_TEXT)
@example(path=HOSTILE[0], query=HOSTILE[1], text=HOSTILE[2], header=HOSTILE[0])
@example(path="[1-9]", query="{a,b}", text=HOSTILE[3], header="@/etc/passwd")
@example(path="-o x", query="", text=HOSTILE[4], header=HOSTILE[5])
def test_a_shell_reads_back_what_was_written(path: str, query: str, text: str, header: str) -> None:
    harness = make_harness()
    harness.extra = [(b"prefer", header.encode())]
    harness.call("POST", f"/{path}", query=query.encode().decode("latin-1"), raw=text.encode())
    [entry] = harness.operator.requests()
    command = copied(entry, "curl")
    arguments, piped = arguments_in_a_shell(command)
    assert arguments[:3] == ["-X", "POST", entry.address]
    assert f"Authorization: Bearer {KEY_VARIABLE}" in arguments
    if text.isprintable() and text and "--data-raw" in arguments:
        remark, _, rest = command.partition("\n")
        words = shlex.split((rest if remark.startswith("#") else command).replace(" \\\n  ", " "))
        # A shell puts the key in, and `shlex` does not.
        assert [word.replace("$APIXO_API_KEY", KEY_VARIABLE) for word in words[1:]] == arguments
    given_body = (
        arguments[arguments.index("--data-raw") + 1].encode() if text and not piped else piped
    )
    assert given_body == entry.request_body


@given(st.binary(min_size=1, max_size=80))
@settings(deadline=None, max_examples=20)
@example(b"\x00\xff")
@example(b"\x1b[2J")
def test_bytes_that_no_shell_takes_come_through_a_pipe(raw: bytes) -> None:
    harness = make_harness()
    harness.call("POST", SUBMIT, raw=raw)
    [entry] = harness.operator.requests()
    arguments, piped = arguments_in_a_shell(copied(entry, "curl"))
    kept = piped or arguments[arguments.index("--data-raw") + 1].encode()
    assert kept == entry.request_body
    assert "Content-Type:" in arguments


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
SUBMITS = st.fixed_dictionaries(
    {
        "input": st.fixed_dictionaries(
            {
                "image_urls": st.lists(
                    st.text(max_size=20).map("https://x.example/".__add__), max_size=2
                )
            },
            optional={
                "resolution": st.sampled_from(["2k", "8K", "9k", None]),
                "output_format": st.sampled_from(["webp", "jpeg", None, 5]),
                "mode": st.sampled_from(["image-to-image", "other"]),
                "prompt": st.text(max_size=5),
            },
        )
    },
    optional={
        "request_type": st.sampled_from(["async", "callback", None]),
        "callback_url": st.sampled_from(["http://127.0.0.1:9/x", None]),
    },
)


def test_python_makes_the_same_call_again(send: Send) -> None:
    @settings(deadline=None, max_examples=25)
    @given(SUBMITS | JSON)
    def whatever_was_sent(document: Any) -> None:
        try:
            raw = json.dumps(document, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raw = json.dumps(document).encode()
        entry = send(raw=raw)
        again = sent_again(copied(entry, "Python", API))
        assert (again.method, again.path, again.query) == (entry.method, entry.path, entry.query)
        assert meant(again) == meant(entry)
        assert (again.status, again.key) == (entry.status, "sk-…able")

    whatever_was_sent()


def meant(entry: JournalEntry) -> Any:
    """What a body says, with what is the same as leaving it out left out."""
    found = json.loads(entry.request_body)
    if not isinstance(found, dict):
        return found
    kept = {name: value for name, value in found.items() if value is not None}
    defaults = contract().defaults
    kept = {"request_type": defaults["request_type"], **kept}
    if isinstance(kept.get("input"), dict):
        given_ = {name: value for name, value in kept["input"].items() if value is not None}
        kept["input"] = {**defaults, "request_type": None, **given_}
    return kept


@pytest.mark.parametrize(
    ("path", "query", "method"),
    [
        (BALANCE, "", "balance()"),
        (STATUS, "taskId=0123456789abcdef", "status('0123456789abcdef')"),
        (STATUS, "taskId=a'b", 'status("a\'b")'),
        (STATUS, "task_id=0123", ""),
        ("/nowhere", "", ""),
    ],
)
def test_the_clients_methods_are_used_where_it_has_one(
    send: Send, path: str, query: str, method: str
) -> None:
    entry = send("GET", path, query=query)
    code = copied(entry, "Python", API)
    assert method in code
    assert ("httpx" in code) == (not method)
    assert json.loads(entry.response_body)["code"] == entry.status


def test_a_test_passes_that_was_copied_from_a_refused_call(send: Send) -> None:
    @settings(deadline=None, max_examples=20)
    @given(SUBMITS | JSON)
    def whatever_was_sent(document: Any) -> None:
        entry = send(raw=json.dumps(document).encode())
        with apixo_emulator.intercept():
            space: dict[str, Any] = {}
            exec(compile(copied(entry, "pytest"), "copied", "exec"), space)  # noqa: S102
            space["test_call"](None)

    whatever_was_sent()


def test_a_test_asks_for_the_scenario_that_a_rule_asked_for() -> None:
    harness = make_harness()
    harness.operator.add_scenario({"scenario": "http-503", "times": 1})
    plan = {"name": "my plan", "plan": {"http": {"status": 503}}}
    harness.operator.add_scenario(plan)
    for _ in range(2):
        harness.submit()
    by_name, by_plan = harness.operator.requests()
    assert "@pytest.mark.apixo(scenario='http-503')\ndef test_call" in copied(by_name, "pytest")
    assert "# A rule that is called 'my plan' decided" in copied(by_plan, "pytest")
    compile(copied(by_plan, "pytest"), "copied", "exec")


def test_a_poll_has_no_test_since_the_task_is_not_there() -> None:
    harness = make_harness()
    harness.status(harness.submitted())
    poll = harness.operator.requests()[-1]
    assert [name for name, _ in snippets(poll)] == ["curl", "Python"]


def test_no_secret_is_copied_and_it_is_said_where_one_is_missing(send: Send) -> None:
    raw = json.dumps({"api_key": KEY, **body()}).encode()
    entry = send(raw=raw, headers=[(b"x-secret", b"hush"), (b"prefer", b"quick")])
    for text in dict(snippets(entry)).values():
        assert text.startswith("# Secrets stand here as …: put them in.\n")
        assert KEY not in text
        assert "hush" not in text
        assert "quick" in text


def test_a_body_that_was_cut_is_said_to_be(send: Send) -> None:
    entry = send(raw=json.dumps(body(image_urls=["data:," + "A" * 200_000])).encode())
    for text in dict(snippets(entry)).values():
        assert text.startswith("# The journal keeps both ends of a long body only")


def test_a_result_is_written_to_a_file_and_a_head_asks_for_no_body(send: Send) -> None:
    file = copied(send("GET", "/files/abc.jpg", key=None), "curl")
    assert file == (
        "curl -X GET http://127.0.0.1:8787/files/abc.jpg \\\n"
        "  -H 'content-type: application/json' \\\n"
        "  --output abc.jpg"
    )
    assert copied(send("HEAD", "/files/abc.jpg", key=None), "curl").startswith("curl --head http")


def test_what_python_cannot_write_as_json_is_sent_as_it_was(send: Send) -> None:
    for raw in (b'{"a": NaN}', b'{"a": "\\ud800"}', b"[1]", b"nothing", b"\xff"):
        again = sent_again(copied(send(raw=raw), "Python", API))
        assert again.request_body == raw


def test_headers_that_cannot_be_written_are_left_out(send: Send) -> None:
    headers = [(b"prefer", b"caf\xe9"), (b"x(y", b"1"), (b"date", b"")]
    text = copied(send(headers=headers), "curl")
    assert "caf" not in text
    assert "x(y" not in text
    assert "-H 'date;'" in text
