"""The emulator dies at each step from a submit to its recorded callback, and is started again."""

import sys
from pathlib import Path

import pytest
from faults.callers import Answer, Caller, Lost, answered, cents, final_answer
from faults.hooks import Hooks, hooked
from faults.launcher import CRASHED
from faults.mortal import end, launch, serving, steady_port, until_ready

LAUNCHER = [sys.executable, str(Path(__file__).with_name("launcher.py"))]
START_CENTS = 10_000
MOST_SUBMITS = 2000
# Whether the task of a submit that was cut off there must exist: no, yes, or (None) no submit was.
STEPS = {
    "accept:before:1": False,
    "accept:commit:1": False,
    "accept:commit:2": False,
    "accept:after:1": True,
    "enqueue:before:1": True,
    "settle:commit:1": None,
    "settle:after:2": None,
    "claim_deliveries:commit:1": None,
    "claim_deliveries:after:2": None,
    "post:after:1": None,
    "record_attempts:commit:2": None,
    "record_attempts:after:1": None,
}


def options(port: int) -> list[str]:
    return ["--port", str(port), "--data", "data", "--latency", "20", "--balance", "100"]


def until_it_dies(folder: Path, port: int, step: str, hooks: Hooks) -> tuple[list[str], int]:
    """Submit until the server has died; give the acknowledged tasks and the number of cut submits."""
    server = launch([*LAUNCHER, f"crash={step}", "--", "serve", *options(port)], cwd=folder)
    acknowledged: list[str] = []
    try:
        until_ready(server)
        last: Answer | Lost | None = None
        with Caller(port) as caller:
            # What comes together is kept and claimed together: more submits bring the next time.
            for _ in range(MOST_SUBMITS):
                last = caller.submit(f"{hooks.url}/source.jpg", f"{hooks.url}/hook")
                if isinstance(last, Lost):
                    break
                acknowledged.append(answered(last).data["taskId"])
        assert server.wait(timeout=60) == CRASHED
        return acknowledged, int(last is Lost.CUT)
    finally:
        end(server)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_lost_and_nothing_charged_twice(step: str, tmp_path: Path) -> None:
    port = steady_port()
    with hooked() as hooks:
        acknowledged, cut = until_it_dies(tmp_path, port, step, hooks)
        with serving(*options(port), cwd=tmp_path), Caller(port) as caller:
            finals = {task_id: final_answer(caller, task_id) for task_id in acknowledged}
            charged = START_CENTS - cents(answered(caller.balance()))
            # What was charged without being acknowledged is a whole task, callback and all.
            assert hooks.wait_for_tasks(charged, timeout_s=60) == charged
    assert set(acknowledged) <= hooks.arrivals.keys()
    assert {task_id: hooks.bodies[task_id] for task_id in acknowledged} == finals
    assert hooks.violations == []
    kept = STEPS[step]
    if kept is None:
        assert len(acknowledged) <= charged <= len(acknowledged) + cut
    else:
        assert cut == 1
        assert len(acknowledged) == int(step[-1]) - 1
        assert charged == len(acknowledged) + kept


@pytest.mark.slow
def test_an_attempt_that_was_not_recorded_is_made_again(tmp_path: Path) -> None:
    port = steady_port()
    with hooked() as hooks:
        until_it_dies(tmp_path, port, "record_attempts:before:1", hooks)
        with serving(*options(port), cwd=tmp_path), hooks.changed:
            assert hooks.changed.wait_for(lambda: 2 in hooks.arrivals.values(), timeout=60)
    assert hooks.violations == []
