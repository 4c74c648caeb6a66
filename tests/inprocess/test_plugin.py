"""The pytest plugin, as other people's test suites use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest
import httpx
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
ASYNC = """
import pytest
import httpx

BALANCE = "https://api.apixo.ai/api/v1/apikeys/current-balance"

async def ask(apixo):
    async with httpx.AsyncClient() as client:
        answer = await client.get(BALANCE, headers={"Authorization": "Bearer k"})
    assert answer.json()["data"] == 100
    await apixo.aadvance(seconds=1)
    apixo.verify(call="balance", exactly=1)

@pytest.mark.asyncio
async def test_asyncio(apixo):
    await ask(apixo)

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio(apixo, anyio_backend):
    await ask(apixo)
"""
FAILING = """
from apixo_client import Apixo

def test_wrong(apixo):
    Apixo().submit("https://example.com/in.jpg")
    assert False

def test_right(apixo):
    Apixo().balance()
"""
INI = "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"


def run(folder: Path, suite: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a suite as its owner would, in a process of its own."""
    (folder / "pytest.ini").write_text(INI, "utf-8")
    (folder / "test_suite.py").write_text(suite, "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("-p", "randomly"), ("-n", "2")], ids=["randomly", "xdist"])
def test_the_fixture_in_process(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, SUITE, *options)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_async_tests_of_all_kinds(tmp_path: Path) -> None:
    done = run(tmp_path, ASYNC)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_a_failure_shows_the_calls(tmp_path: Path) -> None:
    told = run(tmp_path, FAILING, "-p", "no:randomly").stdout
    assert "APIXO calls (apixo)" in told
    assert "POST /api/v1/generateTask/image-upscaler -> 200" in told
    assert "current-balance" not in told
    every = run(tmp_path, FAILING, "--apixo-journal=all").stdout
    assert "GET /api/v1/apikeys/current-balance -> 200" in every
    assert "POST /api" in every
    assert "APIXO calls" not in run(tmp_path, FAILING, "--apixo-journal=none").stdout


@pytest.mark.slow
def test_a_marker_with_an_unknown_option_says_what_there_is(tmp_path: Path) -> None:
    suite = "import pytest\n@pytest.mark.apixo(scenarioo='stuck')\ndef test_it(apixo): ...\n"
    told = run(tmp_path, suite).stdout
    assert "unknown option 'scenarioo'" in told
    assert "Did you mean scenario?" in told


WRONG = """
import pytest

@pytest.mark.apixo(scenario=5)
def test_number(apixo): ...

@pytest.mark.apixo(scenario="http-429+reset")
def test_contradiction(apixo): ...

@pytest.mark.apixo(scenario=["slow-5", "Timeuot"])
def test_misspelt(apixo_server): ...

@pytest.mark.apixo(base_url=5)
def test_base_url(apixo): ...

@pytest.mark.apixo("stuck")
def test_unnamed(apixo): ...

def test_right(apixo): ...
"""


@pytest.mark.slow
def test_a_marker_that_asks_for_what_cannot_be_is_told_with_its_test(tmp_path: Path) -> None:
    told = run(tmp_path, WRONG, "-p", "no:randomly").stdout
    assert "1 passed, 5 errors" in told
    assert "INTERNALERROR" not in told
    marker = "UsageError: test_suite.py::{}: @pytest.mark.apixo: {}"
    for name, words in {
        "test_number": "scenario: expected the name of a scenario, found 5",
        "test_contradiction": "scenario[0]: http-429+reset cannot happen",
        "test_misspelt": "scenario[1]: Unknown scenario 'Timeuot'. Did you mean Timeout?",
        "test_base_url": "base_url: expected an absolute URL such as",
        "test_unnamed": "expected options by name",
    }.items():
        assert marker.format(name, words) in told


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

@pytest.mark.apixo(audit="loud")
def test_wrong(apixo): ...
"""


@pytest.mark.slow
def test_what_tests_leave_behind_is_reported(tmp_path: Path) -> None:
    told = run(tmp_path, LEFT_BEHIND, "-n", "2").stdout
    assert "1 failed, 4 passed, 1 error" in told
    summary = told.partition("left behind (--apixo-audit=off|warn|fail)")[2]
    lines = [line.partition(": ")[0] for line in summary.splitlines() if ": task " in line]
    assert sorted(lines) == ["test_suite.py::test_warns", "test_suite.py::test_warns_of_a_server"]
    assert "was neither polled to its end nor called back" in summary
    assert "test_fails - Failed: the test left behind:" in told
    assert "audit: expected one of off, warn, fail; found 'loud'" in told


@pytest.mark.slow
def test_the_option_holds_for_tests_without_a_marker(tmp_path: Path) -> None:
    assert (
        "left behind" not in run(tmp_path, LEFT_BEHIND, "--apixo-audit=off", "-k", "warns").stdout
    )
    told = run(tmp_path, LEFT_BEHIND, "--apixo-audit=fail", "-k", "warns or says").stdout
    assert "2 failed, 1 passed" in told


SERVER = """
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

def test_proxies_of_the_environment_are_not_used(apixo_server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    headers = {"Authorization": "Bearer k"}
    balance = f"{apixo_server.base_url}/apikeys/current-balance"
    assert httpx.get(balance, headers=headers).status_code == 200
    assert requests.get(balance, headers=headers, timeout=5).status_code == 200

def test_both_fixtures(apixo, apixo_server):
    with Apixo() as client:  # the address is that of the fixture listed last
        client.submit("https://example.com/in.jpg")
    assert (len(apixo.tasks), len(apixo_server.tasks)) == (0, 1)

@pytest.mark.parametrize("number", range(2))
def test_reset(apixo_server, number):
    assert apixo_server.tasks == []
    with Apixo() as apixo:
        task = apixo.submit("https://example.com/in.jpg")
    apixo_server.finish(task.id, fail_code="Timeout")
    assert apixo_server.task(task.id)["failCode"] == "Timeout"
"""


@pytest.mark.slow
def test_the_fixture_with_a_port(tmp_path: Path) -> None:
    done = run(tmp_path, SERVER)
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_loads_nothing_before_it_is_used() -> None:
    heavy = ["apixo_emulator.service", "apixo_emulator.testing", "httpx", "respx", "uvicorn"]
    code = (
        "import sys, pytest\nbefore = set(sys.modules)\nimport apixo_emulator.pytest_plugin\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
