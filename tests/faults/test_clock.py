"""The system's clock is set back between two runs of the emulator."""

import sys
from pathlib import Path

import pytest
from faults.callers import Caller, answered, final_answer
from faults.hooks import hooked
from faults.mortal import serving, steady_port

LAUNCHER = str(Path(__file__).with_name("launcher.py"))
OPTIONS = ["--data", "data", "--latency", "300"]
HOUR_BACK = [sys.executable, LAUNCHER, "clock=-3600", "--", "serve"]


@pytest.mark.slow
def test_no_final_answer_is_taken_back_and_time_goes_on(tmp_path: Path) -> None:
    port = steady_port()
    options = ["--port", str(port), *OPTIONS]
    with hooked() as hooks:
        with serving(*options, cwd=tmp_path), Caller(port) as caller:
            called = answered(caller.submit("https://example.com/a.jpg", f"{hooks.url}/hook"))
            slow = answered(caller.submit("https://example.com/emulate/slow-2.jpg"))
            task_id = called.data["taskId"]
            final = final_answer(caller, task_id)
            assert hooks.wait_for({task_id}, timeout_s=60) == set()
        with serving(*options, cwd=tmp_path, program=HOUR_BACK), Caller(port) as caller:
            assert answered(caller.status(task_id)).body == final == hooks.bodies[task_id]
            # What was under way ends, and what is submitted now is later and ends, too.
            later = answered(caller.submit("https://example.com/b.jpg")).data["taskId"]
            data = answered(caller.status(later)).data
            assert data["createTime"] >= answered(caller.status(task_id)).data["completeTime"]
            final_answer(caller, later)
            final_answer(caller, slow.data["taskId"])
    assert "s behind the latest instant" in (tmp_path / "stderr.txt").read_text()
