"""The pytest plugin, as other people's test suites use it; pytest runs them within this process."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Loaded here: what a suite imports first is forgotten after its run.
import apixo_emulator.serve  # noqa: F401
from apixo_emulator.testing import controls, interception  # noqa: F401

pytest_plugins = "pytester"

INI = """
[pytest]
filterwarnings = error
addopts = -p no:cacheprovider -p apixo
"""
SUITE = """
import pytest
from apixo_client import Apixo, TaskFailed

IMAGE = "https://example.com/in.jpg"

@pytest.mark.apixo(scenario="SensitiveContent")
def test_marker(apixo):
    with pytest.raises(TaskFailed, match="SensitiveContent"):
        Apixo(sleep=apixo.sleep).upscale(IMAGE)

@pytest.mark.parametrize("number", range(3))
def test_reset(apixo, number):
    task = Apixo().submit(IMAGE)
    assert [entry["taskId"] for entry in apixo.tasks] == [task.id]
    assert Apixo().balance() == Apixo().balance()
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # most of the time is theirs
    pytester.makeini(INI)
    return pytester


def output(suite: pytest.Pytester, text: str, *options: str) -> str:
    suite.makepyfile(test_suite=text)
    return str(suite.runpytest_inprocess(*options).stdout)


def test_the_marker_sets_the_emulator_up_and_each_test_has_it_anew(suite: pytest.Pytester) -> None:
    assert "4 passed" in output(suite, SUITE)


FAILING = """
from apixo_client import Apixo

def test_wrong(apixo):
    Apixo().submit("https://example.com/in.jpg")
    assert False

def test_right(apixo):
    Apixo().balance()
"""


def test_a_failure_shows_the_calls(suite: pytest.Pytester) -> None:
    told = output(suite, FAILING)
    assert "APIXO calls (apixo)" in told
    assert "POST /api/v1/generateTask/image-upscaler -> 200" in told
    assert "current-balance" not in told
    every = output(suite, FAILING, "--apixo-journal=all")
    assert "GET /api/v1/apikeys/current-balance -> 200" in every
    assert "POST /api" in every
    assert "APIXO calls" not in output(suite, FAILING, "--apixo-journal=none")


WRONG = """
import pytest

@pytest.mark.apixo(scenario=5)
def test_number(apixo): ...

@pytest.mark.apixo(scenario=["slow-5", "Timeuot"])
def test_misspelt(apixo_server): ...

@pytest.mark.apixo(scenarioo="stuck")
def test_unknown(apixo): ...

@pytest.mark.apixo("stuck")
def test_unnamed(apixo): ...

@pytest.mark.apixo(audit="loud")
def test_audit(apixo): ...

def test_right(apixo): ...
"""


def test_a_marker_that_asks_for_what_cannot_be_is_told_with_its_test(
    suite: pytest.Pytester,
) -> None:
    told = output(suite, WRONG)
    assert "1 passed, 5 errors" in told
    assert "INTERNALERROR" not in told
    for name, words in {
        "test_number": "scenario: expected the name of a scenario, found 5",
        "test_misspelt": "scenario[1]: Unknown scenario 'Timeuot'. Did you mean Timeout?",
        "test_unknown": "unknown option 'scenarioo'",
        "test_unnamed": "expected options by name",
        "test_audit": "audit: expected one of off, warn, fail; found 'loud'",
    }.items():
        assert f"UsageError: test_suite.py::{name}: @pytest.mark.apixo: {words}" in told
    assert "Did you mean scenario?" in told


LEFT_BEHIND = """
import pytest
from apixo_client import Apixo

IMAGE = "https://example.com/in.jpg"

def test_warns(apixo):
    Apixo().submit(IMAGE)
    assert [finding.kind for finding in apixo.audit()] == ["not-followed"]

def test_warns_of_a_server(apixo_server):
    Apixo().submit(IMAGE)

@pytest.mark.apixo(audit="off")
def test_says_nothing(apixo):
    Apixo().submit(IMAGE)

@pytest.mark.apixo(audit="fail")
def test_fails(apixo):
    Apixo().submit(IMAGE)

@pytest.mark.apixo(audit="fail")
def test_passes(apixo, tmp_path):
    Apixo().upscale(IMAGE).download(tmp_path / "out.jpg")
"""


@pytest.mark.slow
def test_what_tests_of_another_process_leave_behind_is_reported(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\naddopts = -p xdist -p apixo_emulator.pytest_plugin -n 1\n")
    suite.makepyfile(test_suite=LEFT_BEHIND)
    told = str(suite.runpytest_subprocess().stdout)
    assert "1 failed, 4 passed" in told
    summary = told.partition("left behind (--apixo-audit=off|warn|fail)")[2]
    lines = [line.partition(": ")[0] for line in summary.splitlines() if ": task " in line]
    assert sorted(lines) == ["test_suite.py::test_warns", "test_suite.py::test_warns_of_a_server"]
    assert "was neither polled to its end nor called back" in summary
    assert "test_fails - Failed: the test left behind:" in told


def test_the_option_holds_for_tests_without_a_marker(suite: pytest.Pytester) -> None:
    assert "left behind" not in output(suite, LEFT_BEHIND, "--apixo-audit=off", "-k", "warns")
    told = output(suite, LEFT_BEHIND, "--apixo-audit=fail", "-k", "warns or says")
    assert "2 failed, 1 passed" in told


SERVER = """
import os
import httpx
import pytest
import requests
from apixo_client import Apixo, Pace

@pytest.mark.apixo(latency=50)
def test_server(apixo_server):
    with Apixo(pace=Pace.every(0.05)) as apixo:
        result = apixo.upscale("https://example.com/in.jpg", resolution="2k")
    assert result.url.startswith(apixo_server.base_url.removesuffix("/api/v1"))
    apixo_server.verify(call="submit", exactly=1)

@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
@pytest.mark.parametrize("fixture", ["apixo", "apixo_server"])
def test_proxies_of_the_environment_are_not_used(request, monkeypatch, fixture, proxy):
    emulator = request.getfixturevalue(fixture)
    for name in ("http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    assert Apixo().balance() == 100
    headers = {"Authorization": "Bearer k"}
    balance = os.environ["APIXO_BASE_URL"].removesuffix("/api/v1") + "/api/v1/apikeys/current-balance"
    for library in (httpx, requests):
        assert library.get(balance, headers=headers, timeout=60).status_code == 200
    emulator.verify(call="balance", exactly=3)

def test_both_fixtures(apixo, apixo_server):
    with Apixo() as client:  # the address is that of the fixture listed last
        client.submit("https://example.com/in.jpg")
    assert (len(apixo.tasks), len(apixo_server.tasks)) == (0, 1)

@pytest.mark.apixo(latency=50)
def test_the_time_of_both_fixtures_is_real(apixo, apixo_server):
    Apixo(base_url="https://api.apixo.ai").balance()
    with Apixo(base_url=apixo_server.base_url, pace=Pace.every(0.05)) as client:
        client.upscale("https://example.com/in.jpg", timeout=30)

@pytest.mark.parametrize("number", range(2))
def test_reset(apixo_server, number):
    assert apixo_server.tasks == []
    apixo_server.freeze()
    before = apixo_server.now_ms
    apixo_server.advance(minutes=1)
    assert apixo_server.now_ms == before + 60_000
    with Apixo() as apixo:
        task = apixo.submit("https://example.com/in.jpg")
    apixo_server.finish(task.id, fail_code="Timeout")
    assert apixo_server.task(task.id)["failCode"] == "Timeout"
"""


def test_the_fixture_with_a_port(suite: pytest.Pytester) -> None:
    assert "9 passed" in output(suite, SERVER)


def test_the_plugin_loads_nothing_before_it_is_used() -> None:
    heavy = ["apixo_emulator.service", "apixo_emulator.testing", "httpx", "respx", "uvicorn"]
    code = (
        "import sys, pytest\nimport apixo_emulator.pytest_plugin\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_a_fixture_without_the_extra_says_what_to_install(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\naddopts = -p apixo_emulator.pytest_plugin\n")
    suite.makeconftest("import sys\nsys.modules['orjson'] = None")
    suite.makepyfile(test_suite="def test_one(apixo): pass\n\ndef test_two(apixo_server): pass\n")
    told = str(suite.runpytest_subprocess().stdout)
    words = "need orjson, which the extra `pytest` brings: pip install '.[pytest]'"
    assert told.count(words) >= 2, told
    assert "Traceback" not in told
    assert "ModuleNotFoundError" not in told
