"""The API key is nowhere but in the calls themselves."""

import json
import os
import subprocess
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kit.stub import BASE, IMAGE, Clock, Stub, refused

from apixo_contract import Verdict, judge, observe, settle
from apixo_contract.masking import PLACEHOLDER, Mask, curl_line, find_secret
from apixo_contract.report.render import (
    render_html,
    render_junit,
    render_markdown,
    render_terminal,
)

SECRET = 'sk-"sec/ret"&key%0123456789'


class Chatty(Stub):
    """Repeats the key wherever it can: in messages, headers, ids, links."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        answer.headers["x-your-key"] = SECRET
        return answer

    def answer(self, request: httpx.Request, path: str) -> tuple[int, dict[str, Any]]:
        if request.headers.get("authorization") == f"Bearer {SECRET}":
            request.headers["authorization"] = "Bearer sk-kit-0123456789abcdef"
            status, body = super().answer(request, path)
            if status == 400:
                body["data"] = [SECRET]  # drift, so that there are examples to be shown
            slashes = SECRET.replace("/", "\\/")
            return status, {
                **body,
                "key": SECRET,
                "escaped": slashes,
                "url": f"?key={quote(SECRET, safe='')}",
            }
        return refused(401, f"Not {SECRET}")


_WAYS = (str, lambda key: json.dumps(key)[1:-1], lambda key: quote(key, safe=""), quote)


def hidden(text: str) -> bool:
    # A key that lacks its last letter nearly tells it.
    forms = [f(key) for key in (SECRET, SECRET[:-1], SECRET.swapcase()) for f in _WAYS]
    return not any(form in text for form in forms)


def test_no_report_and_no_record_holds_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clock = Clock()
    settings = settle(BASE, SECRET, {"image_url": IMAGE, "in_process": True, "examples": 0})
    run = observe(settings, transport=Chatty(clock), sleep=clock.sleep, clock=clock)
    report = judge(run)
    assert [result.id for result in report.of(Verdict.FAIL)] == ["envelope.error-data"]
    for text in (
        json.dumps(report.to_json()),
        render_html(report),
        render_junit(report),
        render_markdown(report),
        render_terminal(report),
        repr(settings),
        repr(run),
    ):
        assert hidden(text)
    assert all(hidden(path.read_text("latin-1")) for path in tmp_path.rglob("*") if path.is_file())


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8), st.text(), st.text()
)
@example("0000000\\", "0000000\\", "")
@example("0000000\\", "0000000\\" * 2, "")
def test_a_mask_leaves_nothing_of_the_key(key: str, before: str, after: str) -> None:
    masked = Mask(key).text(f"{before}{key} {json.dumps(key)} {quote(key, safe='')}{after}")
    assert key not in masked.replace(PLACEHOLDER, "")


ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda letter: letter,
    lambda letter: json.dumps(letter)[1:-1],
    lambda letter: json.dumps(json.dumps(letter)[1:-1])[1:-1],
    lambda letter: letter if letter.isalnum() else f"\\{letter}",
    lambda letter: f"\\u{ord(letter):04x}",
    lambda letter: f"\\\\u{ord(letter):04X}",
    lambda letter: f"%{ord(letter):02x}",
    lambda letter: f"%25{ord(letter):02X}",
    escape,
    lambda letter: f"&#{ord(letter)};",
    lambda letter: f"&#x{ord(letter):X};",
)


@given(
    st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\\"), min_size=8
    ),
    st.data(),
)
def test_a_key_is_masked_however_its_characters_are_escaped(key: str, data: st.DataObject) -> None:
    ways = data.draw(st.lists(st.sampled_from(ESCAPES), min_size=len(key), max_size=len(key)))
    echoed = "".join(way(letter) for way, letter in zip(ways, key, strict=True))
    assert Mask(key).text(f'"{echoed}"') == f'"{PLACEHOLDER}"'
    assert find_secret(f'"{echoed}"', [key])


def test_masking_reads_each_backslash_once() -> None:
    text = "\\" * 200_000
    assert Mask("\\/\\/\\/\\/").text(text) == text
    assert find_secret(text, ["\\\\/\\/\\/"]) is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=7), st.text())
def test_a_key_too_short_to_be_one_garbles_no_answer(key: str, text: str) -> None:
    if "Bearer" not in text:
        assert Mask(key).text(text) == text
    assert Mask(key).text(f"Bearer {key}").startswith(f"Bearer {PLACEHOLDER}")


def test_a_curl_line_makes_a_key_that_is_nearly_right_from_the_real_one() -> None:
    key = "sk-live-0123456789"
    mask = Mask(key)
    for other in (f"{key}x", key[:-1], key.swapcase()):
        line = curl_line("GET", "http://t/b", {"Authorization": mask.text(f"Bearer {other}")}, None)
        shell = line.replace("curl -sS -X GET http://t/b -H", "printf %s")
        done = subprocess.run(
            ["/bin/sh", "-c", shell],
            env={"APIXO_API_KEY": key, "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"Authorization: Bearer {other}"
