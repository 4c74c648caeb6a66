"""The system's clock is set back between two runs of the emulator."""

import sys
from pathlib import Path

import pytest
from faults.callers import FINAL, Caller, answered, final_answer
from faults.hooks import hooked
from faults.mortal import serving, steady_port

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
OPTIONS = ["--data", "data", "--latency", "300"]
HOUR_BACK = [sys.executable, LAUNCHER, "clock=-3600", "--", "serve"]


@pytest.mark.slow
def test_a_final_answer_once_seen_never_changes(tmp_path: Path) -> None:
    options = ["--port", str(steady_port()), *OPTIONS]
    port = int(options[1])
    with serving(*options, cwd=tmp_path), Caller(port) as caller:
        task_id = answered(caller.submit("https://example.com/a.jpg")).data["taskId"]
        final = final_answer(caller, task_id)
    with serving(*options, cwd=tmp_path, program=HOUR_BACK), Caller(port) as caller:
        assert answered(caller.status(task_id)).body == final
        # Time goes on from there: what is submitted now is later, and ends.
        later = answered(caller.submit("https://example.com/b.jpg")).data["taskId"]
        data = answered(caller.status(later)).data
        assert data["state"] not in FINAL
        assert data["createTime"] >= answered(caller.status(task_id)).data["completeTime"]
        final_answer(caller, later)
    assert "s behind the latest instant" in (tmp_path / "stderr.txt").read_text()


@pytest.mark.slow
def test_what_a_callback_told_is_what_a_poll_tells(tmp_path: Path) -> None:
    port = steady_port()
    options = ["--port", str(port), *OPTIONS]
    with hooked() as hooks:
        with serving(*options, cwd=tmp_path), Caller(port) as caller:
            answer = answered(caller.submit("https://example.com/a.jpg", f"{hooks.url}/hook"))
            task_id = answer.data["taskId"]
            assert hooks.wait_for({task_id}, timeout_s=30) == set()
        with serving(*options, cwd=tmp_path, program=HOUR_BACK), Caller(port) as caller:
            assert answered(caller.status(task_id)).body == hooks.bodies[task_id]


@pytest.mark.slow
def test_a_task_that_was_running_still_ends(tmp_path: Path) -> None:
    port = steady_port()
    options = ["--port", str(port), *OPTIONS]
    with serving(*options, cwd=tmp_path), Caller(port) as caller:
        answer = answered(caller.submit("https://example.com/emulate/slow-2.jpg"))
        task_id = answer.data["taskId"]
    with serving(*options, cwd=tmp_path, program=HOUR_BACK), Caller(port) as caller:
        assert final_answer(caller, task_id, timeout_s=10)
