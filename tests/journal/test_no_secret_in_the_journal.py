"""Whatever a caller sends, and wherever in it a key stands: no entry of the journal shows it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.harness import KEY, STATUS, SUBMIT, body, make_harness

from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.export import har

ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)
# What every key begins with is in no other text, so that a hit is no chance.
KEYS = st.text(PRINTABLE, min_size=6, max_size=40).map(lambda rest: f"Zq7{rest}")


def all_escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def all_percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


BODIES: dict[str, Callable[[str], str]] = {
    "JSON": lambda key: json.dumps({"api_key": key, "input": {"image_urls": [key]}}),
    "JSON, escaped": lambda key: f'{{"input": {{"image_urls": ["{all_escaped(key)}"]}}}}',
    "JSON, slashes escaped": lambda key: json.dumps(body(image_urls=[key])).replace("/", "\\/"),
    "JSON in JSON": lambda key: json.dumps({"inner": json.dumps({"k": key})}),
    "a URL in a URL": lambda key: f"u={quote('https://x/?k=' + quote(key, safe=''), safe='')}",
    "JSON in a form": lambda key: f"body={quote(json.dumps({'k': key}))}",
    "JSON in JSON in JSON": lambda key: json.dumps([json.dumps([json.dumps([key])])]),
    "a name in JSON": lambda key: json.dumps({key: key}),
    "a form": lambda key: f"a=1&{quote_plus(key)}={quote_plus(key)}&b=2",
    "a form, all escaped": lambda key: f"k={all_percent(key)}",
    "a URL in JSON": lambda key: json.dumps(body(image_urls=[f"https://x/?k={quote(key)}"])),
    "lower-case escapes": lambda key: f"k={all_percent(key).lower()}",
    "a text": lambda key: f"the key is {key}, is it not",
    "a long text": lambda key: "x" * 70_000 + key + "x" * 70_000,
    "where a long text is cut": lambda key: "x" * 49_150 + key + "x" * 90_000,
    "many times, cut anywhere": lambda key: key * 20_000,
    "many times, escaped": lambda key: all_escaped(key) * 400,
}
QUERIES: dict[str, Callable[[str], str]] = {
    "as the task": lambda key: f"taskId={quote(key)}",
    "as another parameter": lambda key: f"a=1&key={quote_plus(key)}",
    "as a name": lambda key: f"{quote(key)}=1",
    "alone": quote,
    "all escaped": lambda key: f"taskId={all_percent(key)}",
}


def texts_of(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():
                yield name
                yield from texts_of(inner)
        case list() | tuple():
            for inner in value:
                yield from texts_of(inner)
        case str():
            yield value


def readings(text: str) -> Iterator[str]:
    """All that a reader can make of a text."""
    yield from (text, unquote(text), unquote_plus(text), unquote(text, "latin-1"))
    yield ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    yield text.replace("\\/", "/").replace('\\"', '"').replace("\\\\", "\\")
    with suppress(ValueError):
        parsed = json.loads(text)
        if isinstance(parsed, dict | list):
            for inner in texts_of(parsed):
                yield from readings(inner)


def assert_hidden(secret: str, entry: JournalEntry) -> None:
    for document in (entry.to_json(), har([entry])):
        for text in texts_of(document):
            assert not any(secret in reading for reading in readings(text)), text[:2000]
    assert secret not in repr(entry)


@pytest.mark.parametrize("form", BODIES)
def test_the_callers_key_is_in_no_body(send: Any, form: str) -> None:
    @settings(max_examples=4)
    @given(KEYS)
    @example(r"Zq7\\\\\\")
    @example("Zq7%%%25%2525")
    @example('Zq7"quoted"/and\\/back')
    @example("Zq7+plus+plus")
    @example("Zq7 with spaces")
    def whatever_it_is(key: str) -> None:
        assert_hidden(key, send(key=key, raw=BODIES[form](key).encode()))

    whatever_it_is()


def test_the_callers_key_is_in_no_query(send: Any) -> None:
    @settings(max_examples=30)
    @given(KEYS, st.sampled_from(list(QUERIES)))
    def whatever_it_is(key: str, form: str) -> None:
        assert_hidden(key, send("GET", STATUS, key=key, query=QUERIES[form](key)))

    whatever_it_is()


def test_the_callers_key_is_in_no_path(send: Any) -> None:
    @settings(max_examples=10)
    @given(KEYS)
    def whatever_it_is(key: str) -> None:
        assert_hidden(key, send("GET", f"/api/v1/{key}/x", key=key))
        assert_hidden(key, send("POST", f"{SUBMIT.rpartition('/')[0]}/{key}", key=key))

    whatever_it_is()


def test_the_callers_key_is_in_no_header(send: Any) -> None:
    names = ("x-api-key", "cookie", "x-anything", "user-agent", "host")
    beginnings = ("", "Bearer ", "https://x.example/?k=", "session=", "a=b; c=")

    @settings(max_examples=50)
    @given(KEYS, st.sampled_from(names), st.sampled_from(beginnings))
    def whatever_it_is(key: str, name: str, before: str) -> None:
        headers = [(name.encode(), f"{before}{key}".encode())]
        assert_hidden(key, send(key=key, headers=headers))

    whatever_it_is()


@pytest.mark.parametrize("name", ["x-api-key", "cookie", "x-anything", "x-goog-api-key", "key"])
def test_no_header_is_shown_that_is_not_known_to_be_harmless(send: Any, name: str) -> None:
    entry = send(key=None, headers=[(name.encode(), b"k=Zq7-secret")])
    assert dict(entry.request_headers)[name] == "…"


@pytest.mark.parametrize("scheme", ["Bearer {}", "bearer   {}", "Basic {}", "Token {}", "{}"])
def test_no_authorization_is_shown_whatever_its_scheme(send: Any, scheme: str) -> None:
    @settings(max_examples=10)
    @given(KEYS)
    def whatever_it_is(key: str) -> None:
        raw = json.dumps(body(image_urls=[key])).encode()
        assert_hidden(key, send(authorization=scheme.format(key), raw=raw))

    whatever_it_is()


@pytest.mark.parametrize("authorization", ['Digest x="{}", y=1', "Bearer\t{}", "Bearer {} {}"])
def test_odd_authorizations_are_not_shown_either(send: Any, authorization: str) -> None:
    entry = send(authorization=authorization.replace("{}", "Zq7-secret"))
    assert "secret" not in dict(entry.request_headers)["authorization"]


def test_a_key_beyond_ascii_is_hidden_in_every_encoding(send: Any) -> None:
    key = "Zq7-schlüssel-größe"
    latin, utf8 = key.encode("latin-1"), key.encode()
    for sent in (latin, utf8):
        for written in (latin, utf8, json.dumps(key).encode(), quote(key).encode()):
            entry = send(authorization=f"Bearer {sent.decode('latin-1')}", raw=written)
            shown = entry.request_body
            assert b"chl" not in shown, (sent, written, shown)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a key by its form: sk-live-0123456789", "sk-…"),
        ('{"password": "hunter2 and more"}', '"password": "…"'),
        (r'{"api_key" : "with \"quotes\" in it"}', '"api_key" : "…"'),
        (r'{"inner": "{\"token\": \"hush\"}"}', r"\"token\": \"…\""),
        ("user=me&secret=hush&x=1", "user=me&secret=…&x=1"),
        ("https://me:hush@example.com/in.jpg", "https://…@example.com/in.jpg"),
        ("https://x/in.jpg?X-Amz-Signature=hush1&v=2", "?X-Amz-Signature=…&v=2"),
        ("https://x/in.jpg?x-token%3Dhush", "x-token%3D…"),
        ("Authorization: Bearer hush0123456", "Authorization: Bearer …"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_without_being_known(
    send: Any, sent: str, shown: str
) -> None:
    text = send(key=None, raw=sent.encode()).request_body.decode()
    assert shown in text
    assert "hush" not in text
    assert "hunter2" not in text
    assert "quotes" not in text


def test_what_is_no_secret_stays_as_it_is(send: Any) -> None:
    raw = json.dumps(body(resolution="8k", image_urls=["https://example.com/a/b.jpg?w=1#x"]))
    headers = [(b"user-agent", b"my-app/1.0"), (b"content-type", b"application/json")]
    entry = send(raw=raw.encode(), headers=headers)
    assert entry.request_body.decode() == raw
    assert entry.request_headers == (
        ("user-agent", "my-app/1.0"),
        ("content-type", "application/json"),
        ("authorization", "Bearer sk-…abcd"),
    )
    assert entry.key == "sk-…abcd"
    asked = send("GET", STATUS, query="taskId=abc&x=1&y=")
    assert asked.query == "taskId=abc&x=…&y="


@pytest.mark.parametrize("key", ["x", "4k", "sk"])
def test_a_key_too_short_to_be_a_secret_leaves_the_body_readable(send: Any, key: str) -> None:
    raw = json.dumps(body(resolution="4k")).encode()
    entry = send(key=key, raw=raw)
    assert entry.request_body == raw
    assert dict(entry.request_headers)["authorization"] == "Bearer …"


@pytest.mark.parametrize(
    ("key", "shown"), [("my-key", "…key"), ("secret-key", "…key"), ("dev-1", "…-1"), ("four", "…")]
)
def test_of_a_short_key_the_end_is_shown_at_most_its_half(send: Any, key: str, shown: str) -> None:
    assert send(key=key).key == shown


@pytest.mark.parametrize("key", ["Zq7-no-known-form", "Zq7/with+signs==", "Zq7 with spaces"])
@pytest.mark.parametrize(
    "place",
    [
        "https://x.example/{}/a.jpg",
        "https://x.example/{}.jpg",
        "https://x.example/a.jpg?k={}",
    ],
)
def test_the_callers_key_is_in_no_task_and_no_delivery(key: str, place: str) -> None:
    harness = make_harness()
    for written in (key, quote(key, safe=""), quote_plus(key)):
        if written == key and "/" in key and "?" not in place:
            continue  # no URL has it in one segment
        url = place.format(written)
        asked = {**body(image_urls=[url]), "request_type": "callback", "callback_url": url}
        answer = harness.submit(asked, key=key)
        task_id = json.loads(answer.body)["data"]["taskId"]
        desk = harness.operator
        shown = [desk.task(task_id), desk.tasks(), desk.delivery(task_id), desk.deliveries()]
        for text in texts_of(shown):
            assert not any(key in reading for reading in readings(text)), text
        assert desk.task(task_id)["callbackUrl"].startswith("https://x.example/")


def test_bytes_that_are_no_text_are_masked_too(send: Any) -> None:
    raw = b"\xff\xfe" + KEY.encode() + b"\x00\xff"
    entry = send(raw=raw)
    shown = base64.b64decode(entry.to_json()["request"]["body"])
    assert shown == b"\xff\xfe" + "sk-…abcd".encode() + b"\x00\xff"
