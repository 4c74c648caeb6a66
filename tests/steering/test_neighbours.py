"""Sixteen test processes share one server, each in the world of its key, and disturb nothing."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.process import environment, running

pytestmark = pytest.mark.slow
OPTIONS = ("--world-per-key", "--rate", "0", "--latency", "1000", "--seed", "4", "--ephemeral")
NEIGHBOUR = str(Path(__file__).with_name("neighbour.py"))


def told(origin: str, numbers: range) -> dict[int, Any]:
    """Let processes work at once; give what each saw."""
    with ExitStack() as stack:
        processes = {
            number: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, NEIGHBOUR, origin, str(number)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment(),
                    text=True,
                )
            )
            for number in numbers
        }
        for process in processes.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes.values():
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return {
            number: json.loads(process.communicate(timeout=120)[0])
            for number, process in processes.items()
        }


def test_each_sees_what_it_sees_alone(tmp_path: Path) -> None:
    with running(*OPTIONS, cwd=tmp_path) as server:
        crowd = told(server.origin, range(16))
    with running(*OPTIONS, cwd=tmp_path) as server:
        alone = told(server.origin, range(1)) | told(server.origin, range(15, 16))
    for number, seen in crowd.items():
        state = "failed" if number % 2 else "success"
        assert [task[1] for task in seen["tasks"]] == [state] * 10
        assert [task[3] - task[2] for task in seen["tasks"]] == [1000] * 10
        # Four tasks since its own reset: charged, submitted, polled, and a look at the balance.
        assert (seen["balance"], seen["calls"]) == (99.96, 9)
    # The instants differ, as the two servers were started at different ones.
    for number, seen in alone.items():
        assert [task[:2] for task in crowd[number]["tasks"]] == [task[:2] for task in seen["tasks"]]
