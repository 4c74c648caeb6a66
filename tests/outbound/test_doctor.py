from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import jsonschema
import orjson
import pytest

from apixo_emulator.doctor import Finding, diagnose
from apixo_schemas import document
from outbound.receivers import Serve, answering


def never(_host: str, _port: int) -> list[str]:
    raise AssertionError("resolved")


def found(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda _host, _port: list(addresses)


def verdicts(findings: list[Finding]) -> dict[str, bool | None]:
    return {finding.check: finding.ok for finding in findings}


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
UNASKED = {"tls": None, "redirect": None, "answer": None}


@pytest.mark.parametrize(
    ("url", "addresses", "expected"),
    [
        ("https://hook.example/", ["8.8.8.8"], {"scheme": True, "address": True}),
        ("http://hook.example/", ["8.8.8.8"], {"scheme": False, "address": True}),
        ("https://hook.example/", ["8.8.8.8", "10.0.0.1"], {"scheme": True, "address": False}),
        ("https://127.0.0.1/", None, {"scheme": True, "address": False}),
    ],
)
def test_without_a_call_it_says_what_the_url_tells(
    url: str, addresses: list[str] | None, expected: dict[str, bool]
) -> None:
    resolver = never if addresses is None else found(*addresses)
    findings = diagnose(url, resolver)
    assert verdicts(findings) == {"url": True, **expected, **UNASKED}
    assert all(finding.words for finding in findings)


def test_a_url_that_cannot_be_called_ends_it() -> None:
    [finding] = diagnose("https://user@hook.example/", never)
    assert (finding.check, finding.ok) == ("url", False)
    assert "remove everything up to the @" in finding.words


def test_the_probe_posts_a_callback_of_the_contract(
    serve: Serve, tls_for: Callable[[str], ssl.SSLContext], ca_file: Path
) -> None:
    receiver = serve(answering(OK), tls_for("hook.example"))
    url = receiver.url("/hook", host="hook.example")
    findings = diagnose(url, found("127.0.0.1"), probe=True, ca_file=ca_file)
    passed = {"url": True, "scheme": True, "tls": True, "redirect": True, "answer": True}
    assert verdicts(findings) == {**passed, "address": False}
    [request] = receiver.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook ")
    schema = jsonschema.Draft202012Validator(document("callback.json"))
    schema.validate(orjson.loads(body))


def test_a_certificate_that_the_world_does_not_know_is_named(
    serve: Serve, tls_for: Callable[[str], ssl.SSLContext]
) -> None:
    receiver = serve(answering(OK), tls_for("hook.example"))
    url = receiver.url(host="hook.example")
    findings = diagnose(url, found("127.0.0.1"), probe=True)
    assert {**verdicts(findings), "address": None} == {
        "url": True,
        "scheme": True,
        "address": None,
        "tls": False,
        "redirect": None,
        "answer": False,
    }
    assert not receiver.requests


@pytest.mark.parametrize(
    ("status", "redirect", "answer"),
    [("200", True, True), ("204", True, False), ("302", False, False)],
)
def test_the_probe_judges_the_answer(
    serve: Serve, status: str, *, redirect: bool, answer: bool
) -> None:
    head = f"HTTP/1.1 {status} So\r\nLocation: https://x.example/\r\n\r\n"
    receiver = serve(answering(head.encode()))
    findings = diagnose(receiver.url(host="localhost"), probe=True)
    given = verdicts(findings)
    assert (given["tls"], given["redirect"], given["answer"]) == (None, redirect, answer)
    assert f"answered {status} after" in findings[-1].words
    assert ("redirects to https://x.example/" in findings[-2].words) is not redirect
