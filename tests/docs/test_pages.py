"""The README and the pages of docs/ are true: commands and snippets run, tables are the code's."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path

import pytest
from support.process import Running, environment, running
from support.tables import PAGES, ROOT, filled

from apixo_client.cli import main as client
from apixo_contract.cli import main as kit
from apixo_emulator.cli import main as emulator
from apixo_emulator.config_file import load_settings
from apixo_emulator.scenarios.file import load_rules

pytestmark = pytest.mark.slow

README = ROOT / "README.md"
ORIGIN = "http://127.0.0.1:8787"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROGRAMS: dict[str, Callable[[list[str]], object]] = {
    "apixo-client": client,
    "apixo-emulator": emulator,
    "apixo-contract": kit,
}


def blocks(page: Path, *languages: str) -> list[str]:
    return [
        text for language, text in BLOCK.findall(page.read_text("utf-8")) if language in languages
    ]


def with_blocks(wanted: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, wanted)]


def name(page: Path) -> str:
    return page.name


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with running("--ephemeral", "--latency", "0", cwd=tmp_path) as server:
        yield server


def user_environment(server: Running) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return environment(
        APIXO_API_KEY="sk-pages-0123456789",
        APIXO_BASE_URL=server.base_url,
        APIXO_EMULATOR_URL=server.origin,
        PATH=path,
    )


def run(*words: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        words,
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_tables_are_the_code_s(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text == filled(text), "run `make tables`"


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = README.read_text("utf-8")
    assert len(text.encode()) <= 9_000
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize("page", with_blocks("bash"), ids=name)
def test_the_commands_run_in_their_order(page: Path, server: Running, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text('{"request_type": "async"}', "utf-8")
    script = "".join(blocks(page, "bash"))
    # The contract kit takes long: what it does on one page is not done again on another.
    before = "".join(text for other in PAGES[: PAGES.index(page)] for text in blocks(other, "bash"))
    left_out = ("make ", *re.findall(r"^apixo-contract \w+", before, re.MULTILINE))
    script = "\n".join(line for line in script.splitlines() if not line.startswith(left_out))
    script = script.replace(ORIGIN, server.origin).replace("curl -X", "curl -s -X")
    run("bash", "-euo", "pipefail", "-c", script, cwd=tmp_path, env=user_environment(server))


def test_the_readme_s_curl_calls_answer_as_shown(server: Running, tmp_path: Path) -> None:
    calls = [text for text in blocks(README, "bash") if "curl" in text]
    polled, refused = (
        run("bash", "-euo", "pipefail", "-c", text, cwd=tmp_path, env=user_environment(server))
        for text in calls
    )
    assert json.loads(polled)["data"]["state"] == "success"
    assert [refused.strip()] == [text.strip() for text in blocks(README, "json")]


def is_test(snippet: str) -> bool:
    return "def test_" in snippet and "unittest" not in snippet


def test_the_tests_of_the_pages_pass(tmp_path: Path) -> None:
    for page in with_blocks("python"):
        tests = "\n\n".join(filter(is_test, blocks(page, "python")))
        (tmp_path / f"test_{page.stem.replace('-', '_').lower()}.py").write_text(tests, "utf-8")
    env = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")  # most of the time is theirs
    run(sys.executable, "-m", "pytest", "-q", "-p", "apixo", cwd=tmp_path, env=env)


@pytest.mark.parametrize("page", with_blocks("python"), ids=name)
def test_the_python_snippets_run(page: Path, server: Running, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "python")):
        if is_test(text):
            continue
        # At the documented pace the first poll comes after 10 s.
        quick = text.replace("import Apixo", "import Pace, Apixo")
        quick = quick.replace("Apixo()", "Apixo(pace=Pace.every(0))")
        if "unittest" in text:
            quick += "\nunittest.main(exit=False)\n"
        (tmp_path / f"snippet_{number}.py").write_text(quick, "utf-8")
    code = (
        "import pathlib, runpy\nfor path in sorted(pathlib.Path().glob('snippet_*.py')):"
        " runpy.run_path(str(path), run_name='__main__')"
    )
    run(sys.executable, "-W", "error", "-c", code, cwd=tmp_path, env=user_environment(server))


def test_the_files_are_read_as_they_stand(tmp_path: Path) -> None:
    rules, config = blocks(ROOT / "docs" / "scenarios.md", "toml")
    (tmp_path / "scenarios.toml").write_text(rules, "utf-8")
    assert len(load_rules(tmp_path / "scenarios.toml")) == 2
    (tmp_path / "apixo-emulator.toml").write_text(config, "utf-8")
    found = load_settings(environ={}, folder=tmp_path)
    assert found.latency.fixed_ms is None
    assert set(found.accounts) == {"sk-team-a", "sk-team-b"}


@cache
def help_of(program: str, command: str) -> str:
    """What a command prints as its help."""
    with redirect_stdout(io.StringIO()) as shown, pytest.raises(SystemExit) as ended:
        PROGRAMS[program]([command, "--help"])
    assert not ended.value.code
    return shown.getvalue()


@pytest.mark.parametrize("page", with_blocks("text"), ids=name)
def test_the_commands_that_are_not_run_exist(page: Path) -> None:
    for line in "".join(blocks(page, "text")).splitlines():
        if not line.startswith(tuple(f"{program} " for program in PROGRAMS)):
            continue
        program, *words = shlex.split(line, comments=True)
        if words[0].endswith(":"):
            continue  # what a command prints
        shown = help_of(program, words[0])
        own = words[: words.index("--")] if "--" in words else words
        for flag in (word for word in own if word.startswith("-")):
            assert re.search(rf"(^|[\s,/]){flag}\b", shown), f"{line}: no {flag}"


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page in PAGES:
        for target in re.findall(r"`?make ([a-z-]+)", "".join(blocks(page, "bash"))):
            assert f"\n{target}:" in makefile, target


def test_make_demo_ends_by_itself_with_0() -> None:
    shown = run("make", "demo", cwd=ROOT)
    for text in ("apixo-emulator ready", "saved", "must be either '2k'", "SensitiveContent"):
        assert text in shown


def test_make_serve_serves(tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["make", "--silent", "serve", f"ARGS=--port 0 --data {tmp_path}"],  # noqa: S607 - the user's own make
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


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    mkdocs = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path),
    ]
    run(*mkdocs, cwd=ROOT, env=environment(NO_MKDOCS_2_WARNING="1"))
    assert (tmp_path / "index.html").is_file()
