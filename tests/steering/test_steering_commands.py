"""The commands that steer, on a real emulator: what they print, and what they refuse."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from support.process import Running, running

from apixo_emulator.cli import main


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("--ephemeral", "--rate", "0", cwd=tmp_path_factory.mktemp("steered")) as server:
        yield server


def steered(server: Running, *arguments: str) -> Result:
    runner = CliRunner(env={"APIXO_EMULATOR_URL": server.origin, "APIXO_API_KEY": None})
    return runner.invoke(main, arguments)


@pytest.fixture(autouse=True)
def no_rules(server: Running) -> None:
    printed(server, "scenario", "clear")


def printed(server: Running, *arguments: str) -> Any:
    done = steered(server, *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def submitted(server: Running, **headers: str) -> int:
    url = f"{server.base_url}/generateTask/image-upscaler"
    body = {"input": {"image_urls": ["https://example.com/a.jpg"]}}
    headers = {"Authorization": "Bearer sk-test-0123456789abcd", **headers}
    return httpx.post(url, json=body, headers=headers).status_code


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
    answers = [submitted(server, **{"X-Suite": "nightly"}) for _ in range(3)]
    assert [submitted(server), *answers] == [200, 503, 200, 503]
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
    done = steered(server, "scenario", "add", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert printed(server, "scenario", "list") == []
