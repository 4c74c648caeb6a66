"""The README is true: its tables are the code's, its commands and snippets run."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.process import Running, command, environment, running
from support.readme import README, filled

from apixo_emulator.config import load_config
from apixo_emulator.scenario_file import load_rules

pytestmark = pytest.mark.slow

ROOT = README.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(README.read_text("utf-8"))]
SHELL = [text for language, text in BLOCKS if language == "bash"]
# The receivers' snippets run in tests/client/test_snippets.py.
PYTHON = [
    text
    for language, text in BLOCKS
    if language == "python" and "Apixo()" in text and "pytest" not in text
]
TESTS = [text for language, text in BLOCKS if language == "python" and "import pytest" in text]
COMMANDS = ("curl", "make ", "apixo-client", "apixo-emulator ", "apixo-contract ")
DEFAULT_ORIGIN = "http://127.0.0.1:8787"
CURLS = [text for text in SHELL if text.startswith("curl") and "/api/v1/" in text]
CONTROL = [line for text in SHELL for line in text.splitlines() if "/_emulator/" in line]
MAKES = [line for text in SHELL for line in text.splitlines() if line.startswith("make ")]
STEERING = [
    line for text in SHELL for line in text.splitlines() if line.startswith("apixo-emulator ")
]
TOML = [text for language, text in BLOCKS if language == "toml"]
KIT = [line for text in SHELL for line in text.splitlines() if line.startswith("apixo-contract")]
CLIENT = [line for text in SHELL for line in text.splitlines() if line.startswith("apixo-client")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running("--ephemeral", "--latency", "0", cwd=tmp_path) as server:
        yield server


def client_environment(server: Running) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment(
        APIXO_API_KEY="sk-readme-0123456789", APIXO_BASE_URL=server.base_url, PATH=path
    )


def test_the_tables_are_the_code_s() -> None:
    text = README.read_text("utf-8")
    assert text == filled(text), "run `make readme`"


def test_every_shell_block_is_covered_by_a_test_below() -> None:
    assert all(text.startswith(COMMANDS) for text in SHELL)


@pytest.mark.parametrize("number", range(len(CURLS)))
def test_the_curl_calls_answer_as_shown(number: int, server: Running, tmp_path: Path) -> None:
    if "current-balance" in CURLS[number]:  # it is shown after one submit
        run_curl(CURLS[0], server, tmp_path)
    answer = run_curl(CURLS[number], server, tmp_path)
    shown = json.loads([text for language, text in BLOCKS if language == "json"][number])
    if "taskId" in (answer["data"] if isinstance(answer["data"], dict) else {}):
        assert len(answer["data"].pop("taskId")) == len(shown["data"].pop("taskId"))
    assert answer == shown


@pytest.mark.parametrize("line", CONTROL)
def test_the_control_calls_answer(line: str, server: Running, tmp_path: Path) -> None:
    answer = run_shell(line, server, tmp_path)
    if "task_12345678" in line:
        assert json.loads(answer)["code"] == 404
    elif "metrics" in line:
        assert "apixo_tasks" in answer
    else:
        assert "code" not in json.loads(answer)


def test_the_steering_commands_run_in_their_order(server: Running, tmp_path: Path) -> None:
    assert len(STEERING) > 10
    for line in STEERING:
        done = subprocess.run(
            shlex.split(line),
            cwd=tmp_path,
            env={**client_environment(server), "APIXO_EMULATOR_URL": server.origin},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), line


@pytest.mark.parametrize("line", KIT)
def test_the_kit_s_commands_find_no_broken_promise(
    line: str, server: Running, tmp_path: Path
) -> None:
    done = subprocess.run(
        shlex.split(line.replace(DEFAULT_ORIGIN, server.origin)),
        cwd=tmp_path,
        env=client_environment(server),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_tests_pass(tmp_path: Path) -> None:
    (text,) = TESTS
    (tmp_path / "test_application.py").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_application.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_files_are_read_as_they_stand(tmp_path: Path) -> None:
    rules, config = TOML
    (tmp_path / "scenarios.toml").write_text(rules, "utf-8")
    assert len(load_rules(tmp_path / "scenarios.toml")) == 2
    (tmp_path / "apixo-emulator.toml").write_text(config, "utf-8")
    found = load_config(None, tmp_path)
    assert found.options == {"latency": "realistic"}
    assert set(found.accounts) == {"sk-team-a", "sk-team-b"}


def run_curl(text: str, server: Running, cwd: Path) -> dict[str, Any]:
    answer = json.loads(run_shell(text, server, cwd))
    assert isinstance(answer, dict)
    return answer


def run_shell(text: str, server: Running, cwd: Path) -> str:
    words = shlex.split(text.replace(DEFAULT_ORIGIN, server.origin).replace("\\\n", " "))
    done = subprocess.run(
        [*words, "--silent"], cwd=cwd, env=environment(), capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
def test_the_python_snippets_run(snippet: str, server: Running, tmp_path: Path) -> None:
    # Only the pace differs: polling at once instead of after the documented 10 s.
    quick = snippet.replace("Apixo()", "Apixo(pace=Pace.every(0))")
    code = f"from apixo_client import Pace\n{quick}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=client_environment(server),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "no picture" not in done.stdout
    assert (tmp_path / "out.webp").read_bytes()[8:12] == b"WEBP"


@pytest.mark.parametrize("line", CLIENT)
def test_the_client_s_commands_run(line: str, server: Running, tmp_path: Path) -> None:
    done = subprocess.run(
        shlex.split(line),
        cwd=tmp_path,
        env=client_environment(server),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for line in MAKES:
        assert f"\n{line.split()[1]}:" in makefile, line


def test_make_demo_ends_by_itself_with_0() -> None:
    done = subprocess.run(
        ["make", "demo"],  # noqa: S607 - the user's own make
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for shown in ("apixo-emulator ready", "saved", "must be either '2k'", "SensitiveContent"):
        assert shown in done.stdout


def test_make_serve_serves(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["make", "serve", f"ARGS=--port 0 --data {tmp_path}"],  # noqa: S607 - the user's own make
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("apixo-emulator ready: http://127.0.0.1:")
    finally:
        os.killpg(process.pid, 15)
        process.communicate(timeout=60)


def test_help_names_every_option() -> None:
    done = subprocess.run(
        command("serve", "--help"), env=environment(), capture_output=True, text=True, check=True
    )
    table = README.read_text("utf-8").partition("## Options")[2]
    for flag in re.findall(r"`(--[a-z-]+)`", table.partition("A flag wins")[0]):
        assert flag in done.stdout
