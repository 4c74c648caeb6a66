"""Cassettes: kept without secrets, judged again with the same verdicts, refused when damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from kit.stub import KEY

from apixo_contract import CallbackSeen, Exchange, Key, Picture, Purpose, Run, judge
from apixo_contract.cassette import (
    CassetteError,
    cassette_lines,
    cassette_schema,
    read_cassette,
    write_cassette,
)
from apixo_contract.masking import find_secret, scrub, scrub_headers
from apixo_contract.observations import PropertySeen

PICTURE = Picture("png", 4096, 2731, is_whole=True)


def some_run(**given: Any) -> Run:
    call = Exchange(1, Purpose.BALANCE, "GET", "http://t/b", 1, 2, status=200, text="{}")
    members: dict[str, Any] = {"target": "http://t", "seed": 1, "started_ms": 0, "ended_ms": 9}
    return Run(**{**members, "exchanges": (call,), **given})


def with_text(text: str) -> Run:
    call = Exchange(1, Purpose.BALANCE, "GET", "http://t/b", 1, 2, status=200, text=text)
    return some_run(exchanges=(call,))


@pytest.fixture
def kept(tmp_path: Path, run: Run) -> Path:
    path = tmp_path / "run.jsonl"
    write_cassette(path, run, [KEY])
    return path


# --- keeping -------------------------------------------------------------------------------


def test_a_run_is_judged_the_same_from_its_cassette(kept: Path, run: Run) -> None:
    again = read_cassette(kept)
    assert again == run
    assert judge(again) == judge(run)


def test_every_kind_of_value_survives(tmp_path: Path) -> None:
    seen = CallbackSeen(1, "POST", "/hook", {"a": "b"}, "{}", 5, 500)
    shown = PropertySeen("client.view", passed=False, message="seen", examples=3)
    odd = Exchange(2, Purpose.RESULT, "GET", "u", 1, 2, Key.NONE, trouble="\ud800", picture=PICTURE)
    found = some_run(exchanges=(odd,), callbacks=(seen,), properties=(shown,), notes={"a": "b"})
    path = tmp_path / "any.jsonl"
    write_cassette(path, found)
    assert read_cassette(path) == found
    validator = Draft202012Validator(cassette_schema())
    for line in cassette_lines(found):
        validator.validate(json.loads(line))


# --- secrets -------------------------------------------------------------------------------


def test_the_key_of_a_run_is_nowhere_in_its_cassette(kept: Path) -> None:
    assert KEY not in kept.read_text("utf-8")
    assert "Bearer $APIXO_API_KEY" in kept.read_text("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        '{"key":"sk-live-abcdefghijklmnop"}',
        "Authorization: Bearer abcdefghijkl",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "-----BEGIN RSA PRIVATE KEY-----",
        "ghp_abcdefghijklmnopqrstuvwxyz",
    ],
)
def test_what_looks_like_a_key_is_not_written_and_not_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret.jsonl"
    with pytest.raises(
        CassetteError, match=r"nothing was written: line 2 .*what looks like"
    ) as told:
        write_cassette(path, with_text(text))
    assert list(tmp_path.iterdir()) == []
    assert text not in str(told.value)


def test_a_key_in_base64_is_found() -> None:
    # Basic authentication of a proxy, for instance.
    assert find_secret("c2stbXktb3duLWtleQ==", ["sk-my-own-key"]) == "the API key in use"


@pytest.mark.parametrize(
    "name", ["X-Amz-Signature", "Signature", "sig", "token", "x-goog-signature", "AWSAccessKeyId"]
)
def test_signatures_of_links_are_masked_and_equal_ones_stay_equal(name: str) -> None:
    def link(value: str, mark: str = "&") -> str:
        return scrub(f"https://files.example/a.jpg?w=1{mark}{name}={value}&h=2")

    assert "hunter2" not in link("hunter2")
    assert link("hunter2") == link("hunter2")
    assert link("hunter2") != link("hunter3")
    assert link("hunter2").endswith("&h=2")
    assert "hunter2" not in link("hunter2", "\\u0026")


def test_cookies_are_masked_and_other_headers_are_kept() -> None:
    found = scrub_headers(
        {
            "set-cookie": "session=secret",
            "Authorization": "Bearer $APIXO_API_KEY",
            "content-type": "application/json",
        }
    )
    assert found["set-cookie"].startswith("masked-")
    assert found["Authorization"] == "Bearer $APIXO_API_KEY"
    assert found["content-type"] == "application/json"


# --- damage --------------------------------------------------------------------------------


def test_a_cassette_cut_anywhere_is_known_as_such(tmp_path: Path) -> None:
    whole = "".join(f"{line}\n" for line in cassette_lines(some_run())).encode()
    path = tmp_path / "cut.jsonl"
    for length in range(0, len(whole) - 1, 3):
        path.write_bytes(whole[:length])
        with pytest.raises(CassetteError, match=r"cut\.jsonl"):
            read_cassette(path)


END = '{"end": {"calls": 0, "callbacks": 0}}'
DAMAGE: dict[str, Callable[[list[str]], list[str]]] = {
    "line 2: expected a JSON object, found none": lambda lines: [lines[0], lines[1][:-5]],
    "cut off after line 2; record the run again": lambda lines: lines[:2],
    "line 3: expected a call or a callback, found {}": lambda lines: [lines[0], END, "{}"],
    "the last line counts .*'calls': 0.* found .*'calls': 1": lambda lines: [*lines[:2], END],
    "the last line counts .*'calls': 1.* found .*'calls': 0": lambda lines: [lines[0], lines[2]],
    r"line 2: at \$.call, 'number' is a required property": lambda lines: [
        lines[0],
        '{"call": {}}',
    ],
    r"line 2: expected a call or a callback, found \[\]": lambda lines: [lines[0], "[]"],
    "line 1: expected the head of a cassette": lambda lines: lines[1:],
    r"line 1: expected .* found {'cassette': 2, .*; record the run again": lambda lines: [
        lines[0].replace('"cassette": 1', '"cassette": 2'),
        *lines[1:],
    ],
}


@pytest.mark.parametrize("words", DAMAGE)
def test_the_line_of_the_damage_is_named(tmp_path: Path, words: str) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(DAMAGE[words](cassette_lines(some_run()))), "utf-8")
    with pytest.raises(CassetteError, match=rf"c\.jsonl: {words}"):
        read_cassette(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n", b"[" * 100_000])
def test_foreign_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(content)
    with pytest.raises(CassetteError, match="line 1"):
        read_cassette(path)


@pytest.mark.parametrize(
    ("line", "member", "value"),
    [
        (0, "started_ms", 10**20),
        (0, "ended_ms", -1),
        (0, "options", {"budget_usd": "much"}),
        (0, "options", {"spent_usd": "1E+999999999"}),
        (1, "purpose", "no such purpose"),
        (1, "key", "no such key"),
        (1, "extra", 1),
    ],
)
def test_a_value_that_no_run_has_is_refused(
    tmp_path: Path, line: int, member: str, value: object
) -> None:
    values = [json.loads(text) for text in cassette_lines(some_run())]
    (values[line].get("call") or values[line])[member] = value
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values), "utf-8")
    with pytest.raises(CassetteError, match=r"c\.jsonl: "):
        read_cassette(path)
