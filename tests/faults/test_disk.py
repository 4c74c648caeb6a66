"""The disk is full, then there is space again; and a data folder that cannot be written to."""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from faults.callers import Answer, Caller, answered, cents, final_answer
from faults.hooks import Hooks, hooked
from faults.mortal import serving, steady_port
from support.process import environment

LAUNCHER = [sys.executable, str(Path(__file__).with_name("launcher.py"))]
OPTIONS = ["--data", "data", "--latency", "20", "--balance", "100"]
START_CENTS = 10_000
NOBODY = 65534
MORE_THAN_FITS = 5000
REFUSED = b'{"code":500,"message":"Server or unmapped upstream error.","data":null}'

Process = subprocess.Popen[str]


def unmeasured() -> dict[str, str]:
    """An environment without coverage: another user cannot write its file."""
    return {name: value for name, value in environment().items() if "COVERAGE" not in name}


def no_larger_files(server: Process, folder: Path) -> None:
    """Let files grow a little more, and then no further."""
    size = max(path.stat().st_size for path in (folder / "data").iterdir() if path.is_file())
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size + 65_536, resource.RLIM_INFINITY))


def any_files(server: Process) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)


def submit(caller: Caller, hooks: Hooks, source: str) -> Answer:
    answer = caller.submit(source, f"{hooks.url}/hook")
    assert isinstance(answer, Answer), answer
    return answer


def submit_until_full(caller: Caller, hooks: Hooks) -> list[str]:
    acknowledged: list[str] = []
    for number in range(MORE_THAN_FITS):
        # Every other picture has to be looked at, so that the verdict meets the full disk.
        origin = hooks.url if number % 2 else "https://example.com"
        answer = submit(caller, hooks, f"{origin}/{number}.jpg")
        if answer.status != 200:
            assert (answer.status, answer.body) == (500, REFUSED)
            return acknowledged
        acknowledged.append(answer.data["taskId"])
    raise AssertionError("the disk is not full")


@pytest.mark.slow
def test_a_full_disk_refuses_submits_only_and_loses_nothing(tmp_path: Path) -> None:
    port = steady_port()
    with (
        hooked() as hooks,
        serving("--port", str(port), *OPTIONS, cwd=tmp_path) as server,
        Caller(port) as caller,
    ):
        no_larger_files(server, tmp_path)
        acknowledged = submit_until_full(caller, hooks)
        assert acknowledged
        # Polls go on, and what cannot be charged is not.
        assert [answered(caller.status(task_id)) for task_id in acknowledged]
        charged = START_CENTS - cents(answered(caller.balance()))
        assert charged == len(acknowledged)
        assert server.poll() is None

        any_files(server)
        acknowledged.append(answered(submit(caller, hooks, "https://e.com/a.jpg")).data["taskId"])
        finals = {task_id: final_answer(caller, task_id) for task_id in acknowledged}
        # An attempt whose record met the full disk is made again when its lease ends.
        assert hooks.wait_for(set(acknowledged), timeout_s=90) == set()
        assert START_CENTS - cents(answered(caller.balance())) == len(acknowledged)
        assert {task_id: hooks.bodies[task_id] for task_id in acknowledged} == finals
        assert hooks.violations == []


@pytest.mark.slow
def test_a_read_only_data_folder_is_one_clear_line() -> None:
    # Permission bits do not bind root.
    faults = [f"uid={NOBODY}"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        with serving("--port", "0", *OPTIONS, cwd=folder) as server:
            server.terminate()
            assert server.wait(timeout=60) == 0
        folder.chmod(0o755)
        for path in (*data.rglob("*"), data):
            path.chmod(0o555 if path.is_dir() else 0o444)
        done = subprocess.run(
            [*LAUNCHER, *faults, "--", "serve", "--port", "0", *OPTIONS],
            cwd=folder,
            env=unmeasured(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        data.chmod(0o755)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("apixo-emulator: cannot ")
    assert "--data" in done.stderr
