"""The commands that control an emulator: any arguments, any server, and what they print."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from support.process import Running, running

from apixo_emulator.cli import main

# No server listens there: arguments that get so far were accepted.
NO_SERVER = "http://127.0.0.1:1"
# A byte of a command line that is no UTF-8, as Python hands it on.
BYTE = "\udcff"
VARIABLES = (
    *("APIXO_EMULATOR_URL", "APIXO_BASE_URL", "APIXO_API_KEY", "APIXO_EMULATOR_CONTROL_TOKEN"),
)


def run(*arguments: str, url: str = NO_SERVER, **env: str) -> Result:
    given: dict[str, str | None] = {**dict.fromkeys(VARIABLES), "APIXO_EMULATOR_URL": url, **env}
    return CliRunner(env=given).invoke(main, arguments)


def told(done: Result, code: int) -> str:
    """What a command says that has ended by itself with this code."""
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == code, done.output
    last: str = done.stderr.splitlines()[-1]
    return last


def refusal(*arguments: str, **env: str) -> str:
    """What is said of wrong usage; it names what was expected."""
    said = told(run(*arguments, **env), 2)
    assert "expected" in said
    return said


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "many", ""])
@pytest.mark.parametrize(
    "arguments", [("scenario", "add", "Timeout", "--probability"), ("clock", "set", "--rate")]
)
def test_a_number_is_finite(arguments: tuple[str, ...], value: str) -> None:
    said = refusal(*arguments, value)
    assert "expected a number from 0 to" in said
    assert repr(value) in said


@pytest.mark.parametrize(
    "value", ["nans", "infs", "1e400s", "9" * 400 + "s", "9" * 5000, "", "-1s"]
)
def test_a_duration_is_one_that_a_clock_can_show(value: str) -> None:
    assert "expected a duration" in refusal("clock", "advance", "--", value)


@pytest.mark.parametrize(
    "text",
    ['{"count":NaN}', '{"count":1e400}', "[" * 100_000, '{"count":' + "9" * 5000 + "}", "", "no"],
)
def test_an_expectation_is_json(text: str) -> None:
    assert "expected JSON" in refusal("requests", "verify", text)


@pytest.mark.parametrize("secret", ["key-é", "key-\n-x", f"key-{BYTE}", "key-\x00"])
@pytest.mark.parametrize(
    ("option", "variable"),
    [("--key", "APIXO_API_KEY"), ("--token", "APIXO_EMULATOR_CONTROL_TOKEN")],
)
def test_a_secret_fits_into_a_header_and_is_not_shown(
    option: str, variable: str, secret: str
) -> None:
    said = [refusal("clock", "show", option, secret)]
    if "\x00" not in secret:
        said.append(refusal("clock", "show", **{variable: secret}))
    for words in said:
        assert "expected printable ASCII" in words
        assert "key-" not in words


def test_a_line_end_behind_a_secret_is_no_part_of_it() -> None:
    assert "no emulator answers" in told(run("clock", "show", "--key", "sk-test\n"), 3)


@pytest.mark.parametrize(
    "url",
    [
        *("", " ", "127.0.0.1:8787", "ftp://a", "http://", "http://[", "http://a:99999", "//a"),
        *(
            "http://a b",
            "http://a\nb",
            "http://a\x7f",
            f"http://{BYTE}",
            "http://a/?q",
            "http://a:0",
        ),
    ],
)
def test_an_address_is_one(url: str) -> None:
    assert "expected an http(s) address such as" in refusal("clock", "show", "--url", url)
    if url:  # an empty variable is none
        assert "expected an http(s) address" in refusal("clock", "show", APIXO_EMULATOR_URL=url)


@pytest.mark.parametrize("url", ["http://a..b", "http://xn--", f"http://{'a' * 300}"])
def test_a_name_that_no_host_can_have_is_told(url: str) -> None:
    assert "cannot be called" in told(run("clock", "show", "--url", url), 2)


def test_a_password_in_the_address_is_not_shown() -> None:
    said = told(run("clock", "show", "--url", "http://me:secret@127.0.0.1:1"), 3)
    assert "no emulator answers at http://…@127.0.0.1:1" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        *(["tasks", "--text", BYTE], ["tasks", "--state", BYTE], ["finish", BYTE]),
        *(["finish", "t", "--fail", BYTE], ["redeliver", BYTE], ["top-up", BYTE, "1"]),
        *(["scenario", "add", BYTE], ["scenario", "clear", BYTE], ["requests", "verify", BYTE]),
        *(
            ["clock", "show", "--world", BYTE],
            ["scenario", "add", "stuck", "--header", f"a: {BYTE}"],
        ),
    ],
)
def test_a_text_is_utf_8(arguments: list[str]) -> None:
    assert "expected a text in UTF-8" in refusal(*arguments)


@pytest.mark.parametrize("arguments", [["finish"], ["redeliver"], ["scenario", "clear"]])
def test_an_empty_id_is_none(arguments: list[str]) -> None:
    # `scenario clear "$ID"` with a variable that is not set must not clear everything.
    assert "found an empty text" in refusal(*arguments, "")


@pytest.mark.parametrize("name", ["folder.toml", "bytes.toml", "bytes.json", "half.json", "text"])
def test_a_rule_file_is_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.toml").mkdir()
    for garbage in ("bytes.toml", "bytes.json", "text"):
        (tmp_path / garbage).write_bytes(b"\xff\xfe\x80 garbage")
    (tmp_path / "half.json").write_text(r'{"rule": [{"scenario": "\ud800"}]}')
    done = run("scenario", "add", "--file", str(tmp_path / name))
    assert name in told(done, 2)


def http(body: bytes, status: str = "200 OK", header: bytes = b"X: y") -> bytes:
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([f"HTTP/1.1 {status}".encode(), length, header, b"", body])


@contextmanager
def other_server(answer: bytes) -> Iterator[str]:
    """A server that answers every call with the same bytes and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller, suppress(OSError):
                        caller.recv(65_536)
                        caller.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", 3),
        (b"\xff\x00 garbage\r\n\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 3),
        (http(b"no gzip", header=b"Content-Encoding: gzip"), 3),
        (http(b"<html>\xff</html>"), 1),
        (http(b"[]"), 1),
        (http(b"[" * 100_000), 1),
        (http(b'{"n":' + b"9" * 5000 + b"}"), 1),
        (http(b"", "302 Found", b"Location: http://["), 1),
        (http(b'{"message": 5}', "404 Not Found"), 1),
        (http(b"\xff", "500 X"), 1),
    ],
    ids=str,
)
def test_with_any_server_the_command_ends_in_words(answer: bytes, code: int) -> None:
    with other_server(answer) as url:
        said = told(run("scenario", "add", "stuck", url=url), code)
    assert "--url" in said
    assert url in said


def test_json_of_another_server_is_told() -> None:
    with other_server(http(b'{"hello": 1}')) as url:
        said = told(run("tasks", url=url), 1)
    assert "found something else: JSON without tasks" in said


def test_words_of_a_server_do_not_control_the_terminal() -> None:
    with other_server(http(rb'{"message": "\u001b[2J"}', "404 X")) as url:
        assert told(run("clock", "show", url=url), 1) == r"apixo-emulator: \x1b[2J"


# On a real emulator


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("--ephemeral", "--rate", "0", cwd=tmp_path_factory.mktemp("control")) as server:
        yield server


@pytest.fixture
def server(process: Running) -> Running:
    """An emulator without rules."""
    printed(process, "scenario", "clear")
    return process


def on_server(server: Running, *arguments: str) -> Result:
    runner = CliRunner(env={"APIXO_EMULATOR_URL": server.origin, "APIXO_API_KEY": None})
    return runner.invoke(main, arguments)


def printed(server: Running, *arguments: str) -> Any:
    done = on_server(server, *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_rule_matches_on_all_that_a_file_can_say(server: Running) -> None:
    rule = printed(
        server,
        *("scenario", "add", "http-503", "--always", "--image-url", "*/a.jpg", "--match-key", "sk-test-*"),
        *("--resolution", "4k", "--format", "jpg", "--header", "X-Suite: night*"),
        *("--call", "1", "--call", "3", "--probability", "1"),
    )  # fmt: skip
    assert rule["match"] == {
        "image_url": "*/a.jpg",
        "resolution": "4k",
        "output_format": "jpg",
        "key": "…t-*",
        "headers": {"x-suite": "night*"},
        "call": [1, 3],
        "probability": 1.0,
    }
    headers: list[dict[str, str]] = [{}, *[{"X-Suite": "nightly"}] * 3]
    image = "https://example.com/a.jpg"
    answers = [server.submit(image, headers=one).status_code for one in headers]
    assert answers == [200, 503, 200, 503]
    assert [one["used"] for one in printed(server, "scenario", "list")] == [2]
    assert printed(server, "scenario", "clear") == {"removed": 1}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Timeout", "--header", "X-Suite"], "expected 'NAME: VALUE', found 'X-Suite'"),
        (["Timeout", "--header", "a: 1", "--header", "A: 2"], "each header once"),
        (["Timeout", "--probability", "2"], "expected a number from 0 to 1, found '2'"),
        (["Timeout", "--call", "0"], "expected an integer from 1"),
        (["Timeout", "--resolution", "3k"], "one of 2k, 4k, 8k"),
        (["Timeout", "--times", "2", "--always"], "--times and --always"),
        (["Timeuot"], "Timeout"),
        ([], "expected names of scenarios"),
    ],
)
def test_a_rule_that_makes_no_sense_is_told_what_was_expected(
    server: Running, arguments: list[str], words: str
) -> None:
    done = on_server(server, "scenario", "add", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert printed(server, "scenario", "list") == []


@pytest.mark.slow
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_no_proxy_of_the_environment_is_used_for_this_machine(server: Running, proxy: str) -> None:
    url = server.origin.replace("127.0.0.1", "localhost")
    env = dict.fromkeys(("ALL_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy"), proxy)
    done = run("clock", "show", "--token", "secret-token", url=url, **env)
    assert done.exit_code == 0, done.stderr
