"""The emulator as a process: start, stop, restart, and every way to start it wrongly."""

import os
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from support.process import AUTH, Running, command, environment, running

from apixo_emulator.cli import main

pytestmark = pytest.mark.slow


def test_sigterm_ends_it_with_0_and_nothing_on_stderr(tmp_path: Path) -> None:
    with running("--ephemeral", cwd=tmp_path) as server:
        assert httpx.get(f"{server.origin}/_emulator/health").json() == {"status": "ok"}
        assert server.stop() == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_tasks_and_balance_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    with running("--latency", "0", cwd=tmp_path) as server:
        task_id = server.submitted()
        before = server.status(task_id).json()
        server.process.kill()
    with running("--latency", "0", cwd=tmp_path) as server:
        after = server.status(task_id).json()
        balance = httpx.get(f"{server.base_url}/apikeys/current-balance", headers=AUTH).json()
    for answer in (before, after):
        del answer["data"]["resultJson"]  # holds the port, which is another one now
    assert after == before
    assert balance["data"] == 99.99
    assert (tmp_path / ".apixo-emulator" / ".gitignore").read_text() == "*\n"


def test_the_ready_file_holds_the_base_url_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    with running("--ephemeral", "--ready-file", str(path), cwd=tmp_path) as server:
        assert path.read_text() == server.base_url + "\n"
        server.stop()
    assert not path.exists()


def fails(*arguments: str, cwd: Path) -> str:
    """Run `serve` with bad options; give its one line of explanation."""
    done = subprocess.run(
        command("serve", *arguments),
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def test_a_busy_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = fails("--port", str(port), "--ephemeral", cwd=tmp_path)
    assert error.count("\n") == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in error
    assert "--port" in error


def test_a_data_folder_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with running("--data", "state", cwd=tmp_path):
        error = fails("--data", "state", "--port", "0", cwd=tmp_path)
    assert error.count("\n") == 1
    assert "in use by another emulator" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port: expected an integer from 0 to 65535, found '70000'"),
        (["--balance", "1e999999"], "--balance: expected an amount in USD"),
        (["--latency", "slow"], "--latency: expected fast, realistic or milliseconds"),
        (["--ephemeral", "--data", "x"], "give one of them"),
        (["--api-key", "schlüssel"], "--api-key: expected a key"),
        (["--images", "nowhere"], "--images: expected a folder"),
        (["--ready-file", "/nonexistent/x"], "--ready-file: expected a path for a file in"),
        (["--ca", "/etc/hostname"], "--ca: expected certificates"),
        (["--callback-retries", "soon"], "expected seconds such as 30,120,600"),
        (["--callback-rewrite", "x"], "a rewrite rule has the form"),
        (["--store", "mysql://x"], "--store: expected postgresql://"),
        (["--public-url", "http://"], "--public-url: expected"),
        (["--host", "192.0.2.1"], "Give --host an address or a name of this machine"),
        (["--host", "no-such-host.invalid"], "Give --host an address or a name of this machine"),
        (["--host", "a..b"], "Give --host an address or a name of this machine"),
        (["--fetch", "all"], "--fetch: expected one of loopback, public, found 'all'"),
        (["--data", "/proc/nowhere"], "cannot write to the data folder"),
        (["--no-such-flag"], "expected an option that exists, found --no-such-flag"),
    ],
)
def test_a_wrong_option_is_explained(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner(env={"PORT": None}).invoke(main, ["serve", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("host", "announced"),
    [("::1", "http://[::1]:"), ("0.0.0.0", "http://127.0.0.1:")],  # noqa: S104 - is tested
)
def test_the_address_that_is_announced_can_be_dialled(
    tmp_path: Path, host: str, announced: str
) -> None:
    with running("--ephemeral", "--host", host, cwd=tmp_path) as server:
        assert server.base_url.startswith(announced)
        assert server.submitted()


@pytest.mark.parametrize("closed", [False, True])
def test_it_starts_though_nobody_reads_the_ready_line(tmp_path: Path, *, closed: bool) -> None:
    read, write = os.pipe()
    os.close(read)
    ready = tmp_path / "ready"
    serve = command("serve", "--port", "0", "--ephemeral", "--ready-file", str(ready))
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" >&-', "sh", *serve] if closed else serve,
        cwd=tmp_path,
        env=environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    try:
        # The file comes before the line: what answers after it has outlived the closed pipe.
        while not ready.exists():
            assert process.poll() is None
        assert Running(process, ready.read_text().strip()).submitted()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.5)
    finally:
        process.kill()
        process.communicate()
